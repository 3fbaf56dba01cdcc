"""By simulation: intervals cover the truth, tests hold their level, and the power that is promised is there."""

from math import sqrt

import numpy as np
import pytest

from bertram.comparison.models import TaskPredictions
from bertram.comparison.verdict import Decision, Reason, untestable
from bertram.experiments.design import Design, fractional, full, leave_one_out, sign
from bertram.experiments.effects import Measured, measure
from bertram.experiments.forecast import Noise, estimate
from bertram.experiments.noise import drawn, seed_noise
from bertram.experiments.render import effect_sentence
from bertram.tasks import QUORA

SD = 0.006  # of one run over seeds


def simulated(design: Design, generator: np.random.Generator, seeds: int, effect: float = 0.0) -> dict[str, dict]:
    """Scores with one true effect, of the first factor, and noise of runs and of seeds."""
    of_seed = generator.normal(scale=0.01, size=seeds)
    return {
        str(number): {
            seed: 0.7 + effect * sign(cell, 1) / 2 + of_seed[seed] + generator.normal(scale=SD) for seed in range(seeds)
        }
        for number, cell in enumerate(design.cells)
    }


@pytest.mark.parametrize(
    ("design", "seeds"),
    [(full("abc"), 2), (fractional("abcd", 4), 2), (leave_one_out("abc"), 3)],
    ids=lambda x: str(x)[:30],
)
def test_intervals_cover_and_tests_hold_their_level(design: Design, seeds: int) -> None:
    generator = np.random.default_rng(1)
    covered, found_first, found_others, trials = [], [], [], 400
    for _ in range(trials):
        rows = measure(design, {"overall": simulated(design, generator, seeds, effect=0.01)})
        for row in rows:
            truth = 0.01 if row.name == "a" else 0.0
            assert row.ci95 is not None
            covered.append(row.ci95[0] <= truth <= row.ci95[1])
            if truth == 0:
                assert row.p is not None
                found_others.append(row.p < 0.05)
        found_first.append(rows[0].value)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
    assert np.mean(found_others) == pytest.approx(0.05, abs=0.02)
    assert np.mean(found_first) == pytest.approx(0.01, abs=5e-4)


@pytest.mark.parametrize(("design", "seeds"), [(full("abc"), 2), (fractional("abcd", 4), 3), (leave_one_out("ab"), 5)])
def test_the_promised_power_is_there_within_10_percent(design: Design, seeds: int) -> None:
    generator = np.random.default_rng(2)
    power = estimate(design, Noise("", SD, 10, None), seeds=seeds, target=0.002, hours=1.0)
    assert power.visible is not None
    # An effect by leaving out is a whole difference of two cells, as in a factorial it is of two halves.
    seen = []
    for _ in range(500):
        first = measure(design, {"overall": simulated(design, generator, seeds, effect=power.visible)})[0]
        assert first.p is not None
        seen.append(first.p < 0.05)
    assert np.mean(seen) == pytest.approx(0.8, abs=0.08)


def test_power_in_words_and_seeds_needed() -> None:
    power = estimate(full("abc"), Noise("6 runs", SD, 4, 0.002), seeds=2, target=0.003, hours=0.5)
    assert power.needed is not None
    again = estimate(full("abc"), Noise("6 runs", SD, 4, 0.002), seeds=power.needed, target=0.003, hours=0.5)
    before = estimate(full("abc"), Noise("6 runs", SD, 4, 0.002), seeds=power.needed - 1, target=0.003, hours=0.5)
    assert again.visible is not None
    assert before.visible is not None
    assert again.visible <= 0.003 < before.visible
    first, second = power.in_words()
    assert f"with 2 seeds you can see {power.visible:.3f}; for 0.003 you need {power.needed} seeds" in first
    assert f"{power.needed * 0.5:.1f} hours here" in first
    assert "however many seeds" in second
    assert "1 seed no effect" in estimate(full("ab"), Noise("", SD, 4, None), seeds=1, target=1, hours=1).in_words()[0]


def test_the_noise_of_seeds_is_what_is_left_when_the_seeds_own_shift_is_taken_out() -> None:
    generator = np.random.default_rng(3)
    design = full("ab")
    found = [seed_noise(simulated(design, generator, 3)) for _ in range(400)]
    assert {df for one in found if one is not None for df in one[1:]} == {(4 - 1) * (3 - 1)}
    assert sqrt(np.mean([one[0] ** 2 for one in found if one is not None])) == pytest.approx(SD, rel=0.05)


def test_without_common_seeds_the_noise_is_that_within_arms() -> None:
    noise = seed_noise({"a": {0: 0.5, 1: 0.6}, "b": {2: 0.1, 3: 0.3}, "c": {0: 0.9}})
    assert noise == (pytest.approx(sqrt((0.005 + 0.02) / 2)), 2)
    assert seed_noise({"a": {0: 0.5}, "b": {0: 0.6}}) is None


def test_the_error_of_examples_of_a_contrast_of_accuracies_has_a_closed_form() -> None:
    generator = np.random.default_rng(4)
    n = 800
    gold = {str(i): 1.0 for i in range(n)}
    right = generator.random((4, n)) < np.array([0.6, 0.62, 0.7, 0.7])[:, None]
    right[3] = right[2]  # a run that is right where another is
    predicted = {f"r{k}": {str(i): float(right[k, i]) for i in range(n)} for k in range(4)}
    task = TaskPredictions(QUORA.label_space, gold, predicted)
    draws = drawn({"quora": task}, generator, 2000)
    weights = {"r0": -0.5, "r1": -0.5, "r2": 0.5, "r3": 0.5}
    expected = (np.array([-0.5, -0.5, 0.5, 0.5]) @ right).std() / sqrt(n)
    assert draws.error("quora", weights) == pytest.approx(expected, rel=0.06)
    assert draws.error("overall", {"r2": 1.0, "r3": -1.0}) == pytest.approx(0.0, abs=1e-12)


def test_undefined_scores_and_few_seeds_are_named() -> None:
    scores = {"0": {0: 0.5, 1: 0.6}, "1": {}, "2": {0: 0.5, 1: 0.55}, "3": {0: 0.6, 1: 0.7}}
    rows = measure(full("ab"), {"sts": scores})
    assert all(row.value is None and "no score in 1 of the 4" in row.verdict.detail for row in rows)
    one_seed = measure(full("ab"), {"sts": {str(k): {0: k / 10} for k in range(4)}})
    assert one_seed[0].value == pytest.approx(0.1)
    assert one_seed[0].verdict == untestable(Reason.TOO_FEW_SEEDS)
    two = measure(leave_one_out("ab"), {"sts": {str(k): {0: 0.1, 1: 0.2 + k} for k in range(3)}})
    assert two[0].ci95 is None  # a technique against one arm needs three seeds


def test_many_effects_are_corrected_together() -> None:
    generator = np.random.default_rng(5)
    rows = measure(full("abc"), {"overall": simulated(full("abc"), generator, 3, effect=0.02)})
    mains: list[Measured] = [row for row in rows if row.order == 1]
    assert all(row.p_holm >= row.p for row in rows if row.p is not None and row.p_holm is not None)
    assert min(mains, key=lambda row: row.p or 1).p_holm == pytest.approx(3 * min(row.p or 1 for row in mains))
    assert mains[0].verdict.decision is Decision.BETTER
    assert effect_sentence(mains[0]).startswith("with a is better than without by 0.0")


def test_the_words_of_an_interaction_say_what_both_have_beyond_their_sum() -> None:
    generator = np.random.default_rng(6)
    true = {(False, False): 0.5, (True, False): 0.6, (False, True): 0.6, (True, True): 0.8}
    scores = {
        str(number): {seed: true[cell] + generator.normal(scale=1e-4) for seed in range(3)}  # type: ignore[index]
        for number, cell in enumerate(full("ab").cells)
    }
    *_, both = measure(full("ab"), {"overall": scores})
    assert both.value == pytest.approx(0.05, abs=1e-3)
    assert effect_sentence(both).startswith("a×b together is better than the sum of their effects by 0.100 [")


def test_a_sum_of_effects_is_called_one() -> None:
    generator = np.random.default_rng(7)
    design = fractional("abcd", 4)
    scores = {
        str(number): {seed: 0.5 + 0.02 * sign(cell, 0b0011) + generator.normal(scale=1e-4) for seed in range(2)}
        for number, cell in enumerate(design.cells)
    }
    said = {row.name: effect_sentence(row) for row in measure(design, {"overall": scores}) if row.order == 2}
    assert said["a×b + c×d"].startswith("the sum a×b + c×d is significantly different from zero: +0.040 [")
    assert said["a×c + b×d"].startswith("the sum a×c + b×d is not significantly different from zero: ")


def test_seeds_without_which_there_is_no_verdict_are_counted_before_the_start_as_after() -> None:
    noise = Noise("", SD, 4, None)
    left_out = estimate(leave_one_out("abc"), noise, seeds=2, target=1.0, hours=1.0)
    assert (left_out.visible, left_out.needed) == (None, 3)
    assert left_out.in_words()[0].startswith(
        "with 2 seeds no effect can be told from noise; for 1.000 you need 3 seeds"
    )
    assert estimate(full("abc"), noise, seeds=2, target=1.0, hours=1.0).needed == 2
