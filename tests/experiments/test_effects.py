"""Effects of designs: each by its own runs, interactions and sums said as such, and what they would need beforehand."""

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from tests.common.scores import outcome_of
from tests.common.studies import made_up_run

from bertram import options
from bertram.comparison.components import components
from bertram.comparison.evidence import Contrast
from bertram.comparison.outcomes import TaskPredictions, outcomes
from bertram.comparison.power import upper_sd
from bertram.comparison.verdict import Decision, Reason, untestable
from bertram.experiments.design import Design, fractional, full, leave_one_out, sign
from bertram.experiments.effects import Measured, contrasts, effects
from bertram.experiments.forecast import Forecast, contrast_noise, forecast, noise_runs
from bertram.experiments.render import cells, effect_sentence, forecast_lines
from bertram.minbert.rows import e4, e5
from bertram.tasks import QUORA

SD = 0.006  # of one run over seeds


def measured(design: Design, scores: dict[str, dict[int, float]]) -> list[Measured]:
    return effects(design, *outcome_of(scores))


def simulated(design: Design, seeds: int, effect: float = 0.0, seed: int = 1) -> dict[str, dict[int, float]]:
    """Scores with one true effect, of the first factor, and noise of runs and of seeds."""
    generator = np.random.default_rng(seed)
    of_seed = generator.normal(scale=0.01, size=seeds)
    return {
        str(number): {
            seed: 0.7 + effect * sign(cell, 1) / 2 + of_seed[seed] + generator.normal(scale=SD) for seed in range(seeds)
        }
        for number, cell in enumerate(design.cells)
    }


@pytest.mark.parametrize("design", [full("abc"), fractional("abcd", 4), leave_one_out("abc")], ids=lambda x: x.kind)
def test_an_effect_is_the_mean_of_its_contrast_over_seeds(design: Design) -> None:
    scores = simulated(design, 5, effect=0.02)
    rows = measured(design, scores)
    for effect, row in zip(design.effects(), rows, strict=True):
        each = [sum(w * scores[str(n)][seed] for n, w in enumerate(effect.weights)) for seed in range(5)]
        assert row.effect == pytest.approx(np.mean(each))
        assert row.sd == pytest.approx(np.std(each, ddof=1))
        assert row.ci95 is not None
        assert row.ci95[1] - row.ci95[0] == pytest.approx(2 * 2.776 * np.std(each, ddof=1) / sqrt(5), rel=1e-3)


def test_a_loud_factor_does_not_blur_the_others() -> None:
    scores = simulated(full("ab"), 4, effect=0.02)
    quiet = measured(full("ab"), scores)[0]
    loud = {
        cell: {seed: score + 0.1 * (-1) ** seed * sign(full("ab").cells[int(cell)], 2) for seed, score in each.items()}
        for cell, each in scores.items()
    }
    again = measured(full("ab"), loud)[0]
    assert again.ci95 == pytest.approx(quiet.ci95)
    assert again.p == pytest.approx(quiet.p)


def test_the_noise_is_told_apart_into_its_parts() -> None:
    generator, design = np.random.default_rng(3), full("ab")
    found = []
    for _ in range(400):
        of_seed, of_b = generator.normal(scale=0.01, size=4), generator.normal(scale=0.02, size=4)
        scores = {
            str(n): {s: of_seed[s] + of_b[s] * sign(cell, 2) / 2 + generator.normal(scale=SD) for s in range(4)}
            for n, cell in enumerate(design.cells)
        }
        parts = components(scores, {one.name: one.weights for one in contrasts(design) if one.main})
        assert parts is not None
        assert parts.rest is not None
        found.append([parts.common**2, parts.effects["a"] ** 2, parts.effects["b"] ** 2, parts.rest**2])
    common, a, b, rest = np.sqrt(np.mean(found, axis=0))
    assert rest == pytest.approx(SD, rel=0.05)
    assert a == pytest.approx(SD, rel=0.05)  # of four runs, each with weight 1/2
    assert b == pytest.approx(sqrt(0.02**2 + SD**2), rel=0.05)
    assert common == pytest.approx(0.01, rel=0.1)
    assert components({"0": {0: 0.5}, "1": {0: 0.6}}, {}) is None
    two = components({"0": {0: 0.5, 1: 0.7}, "1": {0: 0.6, 1: 0.7}}, {"x": {"1": 1.0, "0": -1.0}})
    assert two is not None
    assert two.rest is None


def test_the_error_of_examples_of_a_contrast_of_accuracies_has_a_closed_form() -> None:
    generator = np.random.default_rng(4)
    n = 800
    gold = {str(i): 1.0 for i in range(n)}
    right = generator.random((4, n)) < np.array([0.6, 0.62, 0.7, 0.7])[:, None]
    right[3] = right[2]  # a run that is right where another is
    predicted = {f"r{k}": {str(i): float(right[k, i]) for i in range(n)} for k in range(4)}
    (outcome,) = outcomes({"quora": TaskPredictions(QUORA.label_space, gold, predicted)})
    weights = {"r0": -0.5, "r1": -0.5, "r2": 0.5, "r3": 0.5}
    expected = (np.array([-0.5, -0.5, 0.5, 0.5]) @ right).std(ddof=1) / sqrt(n)
    assert outcome.example_error(weights) == pytest.approx(expected, rel=1e-6)
    assert outcome.example_error({"r2": 1.0, "r3": -1.0}) == pytest.approx(0.0, abs=1e-12)


def test_missing_runs_and_few_seeds_are_named() -> None:
    scores = {"0": {0: 0.5, 1: 0.6}, "1": {}, "2": {0: 0.5, 1: 0.55}, "3": {0: 0.6, 1: 0.7}}
    rows = measured(full("ab"), scores)
    assert all(row.effect is None and "no run of 1 of the 4" in row.verdict.detail for row in rows)
    two_seeds = measured(full("ab"), {str(k): {0: k / 10, 1: k / 9} for k in range(4)})
    assert two_seeds[0].effect == pytest.approx((0.1 + 1 / 9) / 2)
    assert two_seeds[0].verdict == untestable(Reason.TOO_FEW_SEEDS)
    assert cells(two_seeds[0])[4] == "–"  # scores alone say nothing of other examples


def test_main_effects_of_the_primary_outcome_are_corrected_together() -> None:
    rows = measured(full("abc"), simulated(full("abc"), 4, effect=0.05))
    mains = [row for row in rows if row.order == 1]
    assert all(row.p_holm >= row.p for row in rows if row.p is not None and row.p_holm is not None)
    assert min(mains, key=lambda row: row.p or 1).p_holm == pytest.approx(3 * min(row.p or 1 for row in mains))
    assert [row.primary for row in rows] == [True] * 3 + [False] * 3
    assert mains[0].verdict.decision is Decision.BETTER
    assert effect_sentence(mains[0]).startswith("with a is better than without by 0.0")


def test_the_words_of_an_interaction_say_what_both_have_beyond_their_sum() -> None:
    generator = np.random.default_rng(6)
    true = {(False, False): 0.5, (True, False): 0.6, (False, True): 0.6, (True, True): 0.8}
    scores = {
        str(number): {seed: true[cell] + generator.normal(scale=1e-4) for seed in range(3)}  # type: ignore[index]
        for number, cell in enumerate(full("ab").cells)
    }
    *_, both = measured(full("ab"), scores)
    assert both.effect == pytest.approx(0.05, abs=1e-3)
    assert effect_sentence(both).startswith("a×b together is better than the sum of their effects by 0.100 [")


def test_a_sum_of_effects_is_called_one() -> None:
    generator = np.random.default_rng(7)
    design = fractional("abcd", 4)
    scores = {
        str(number): {seed: 0.5 + 0.02 * sign(cell, 0b0011) + generator.normal(scale=1e-3) for seed in range(4)}
        for number, cell in enumerate(design.cells)
    }
    words = {row.name: effect_sentence(row) for row in measured(design, scores) if row.order == 2}
    assert words["a×b + c×d"].startswith("the sum a×b + c×d is significantly different from zero: +0.040 [")
    assert words["a×c + b×d"].startswith("the sum a×c + b×d is smaller than 0.005: ")


def predicted(design: Design, seeds: int, pilot: dict[str, dict[int, float]] | None = None) -> Forecast | None:
    scored, arms = outcome_of(pilot if pilot is not None else simulated(design, 3))
    return forecast(
        contrasts(design), scored, arms, arms, source="9 runs", seeds=seeds, target=0.005, hours=0.5, rows=9
    )


def test_each_effect_has_a_forecast_of_its_own() -> None:
    found = predicted(full("ab"), 4)
    assert found is not None
    rows = {row.name: row for row in measured(full("ab"), simulated(full("ab"), 3))}
    assert [one.name for one in found.effects] == ["a", "b"]
    for one in found.effects:
        assert one.noise.sd == pytest.approx(rows[one.name].sd)
        assert (one.noise.df, one.noise.own) == (2, True)
        assert one.visible is not None
    lines = forecast_lines(found)
    assert lines[0] == "noise from 9 runs; one seed of all configurations takes about 0.5 hours"
    assert lines[1].startswith("a on overall: 4 seeds show 0.0")
    assert "to see an effect of 0.005 takes" in lines[1]


def test_a_pilot_of_two_cells_lends_its_noise_to_every_effect() -> None:
    design = full("ab")
    pilot = {cell: each for cell, each in simulated(design, 5).items() if cell in ("0", "1")}
    found = predicted(design, 2, {**pilot, "2": {}, "3": {}})
    assert found is not None
    differences = [pilot["1"][seed] - pilot["0"][seed] for seed in range(5)]
    scored, arms = outcome_of(pilot)
    pair = contrast_noise(Contrast("", {"1": 1.0, "0": -1.0}), scored[0], arms)
    assert pair is not None
    for one in found.effects:
        assert not one.noise.own
        assert one.noise.sd == pytest.approx(np.std(differences, ddof=1) / sqrt(2))  # four runs with weight 1/2
        assert one.noise.upper == pytest.approx(upper_sd(float(np.std(differences, ddof=1)), 4))  # nothing averages out
        assert one.visible is None
        assert one.noise.example_error == pytest.approx(pair.example_error)  # all runs share the examples
    assert forecast_lines(found)[1].startswith("a on overall: 2 seeds give no verdict")
    assert predicted(design, 3, {"0": {0: 0.5}, "1": {0: 0.5}, "2": {}, "3": {}}) is None


def test_earlier_runs_without_predictions_do_not_tell_the_noise_and_stop_nothing(tmp_path: Path) -> None:
    quality = {"sst": 0.5, "quora": 0.6, "sts": 0.5}
    configs = [options.change(recipe(), seed=seed) for recipe in (e4, e5) for seed in (0, 1, 2)]
    runs = [made_up_run(tmp_path / str(number), config, quality) for number, config in enumerate(configs)]
    runs[0].predictions("sst").unlink()
    prior = noise_runs(runs, [configs[0]])
    assert prior is not None
    assert prior.source == "5 runs of 2 configurations at this budget; 1 without predictions left out"
    assert str(runs[0].path) not in {run for group in prior.arms.values() for run in group.values()}
