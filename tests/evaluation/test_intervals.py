"""Tests hold their level, intervals cover known truths, and the power estimate is right: all by simulation."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from bertram.errors import BertramError
from bertram.evaluation import metrics
from bertram.evaluation.intervals import (
    Effect,
    bootstrap,
    bootstrap_p,
    contrast,
    dependent_correlations,
    floor_of_examples,
    holm,
    interval_for_new_examples,
    mcnemar,
    percentile_interval,
    seeds_needed,
    shared_example_error,
    smallest_visible_effect,
    technique_effect,
)

GENERATOR = np.random.default_rng


def rate(trial: Callable[[], bool], trials: int) -> float:
    return sum(trial() for _ in range(trials)) / trials


def test_mcnemar_mid_p_of_a_published_table() -> None:
    # Fagerland, Lydersen & Laake (2013), airway hyper-responsiveness: 1 and 7 discordant pairs, mid-p 0.039.
    assert mcnemar(1, 7) == pytest.approx(0.039, abs=5e-4)
    assert mcnemar(7, 1) == mcnemar(1, 7)
    assert mcnemar(6, 6) == mcnemar(0, 0) == 1.0


def test_mcnemar_holds_its_level() -> None:
    generator = GENERATOR(0)
    disagreements = generator.binomial(1101, 0.2, size=6000)
    first = generator.binomial(disagreements, 0.5)
    level = np.mean([mcnemar(k, n - k) < 0.05 for k, n in zip(first.tolist(), disagreements.tolist(), strict=True)])
    assert level == pytest.approx(0.05, abs=0.02)


def two_predictions(generator: np.random.Generator, errors: str, n: int = 200) -> tuple[np.ndarray, ...]:
    """Gold scores and two predictions that correlate equally well with them, and with each other."""
    gold = generator.integers(0, 26, n) / 5
    noise = 0.8 * generator.normal(size=n) + 0.8 * generator.normal(size=(2, n))
    if errors == "rare and large":
        noise = 0.5 * noise + 2.5 * generator.normal(size=(2, n)) * (generator.random((2, n)) < 0.1)
    return gold, gold + noise[0], gold + noise[1]


@pytest.mark.parametrize("errors", ["normal", "rare and large"])
def test_dependent_correlations_hold_their_level_whatever_the_errors(errors: str) -> None:
    generator = GENERATOR(1)

    def found() -> bool:
        p = dependent_correlations(*two_predictions(generator, errors))
        return p is not None and p < 0.05

    assert rate(found, 4000) == pytest.approx(0.05, abs=0.02)


def test_dependent_correlations_agree_with_the_fourth_moments_of_steiger_and_hakstian() -> None:
    columns = np.stack(two_predictions(GENERATOR(2), "rare and large"))
    z = (columns - columns.mean(1, keepdims=True)) / columns.std(1, keepdims=True)
    r = z @ z.T / z.shape[1]

    def moment(*which: int) -> float:
        return float(np.mean(np.prod(z[list(which)], axis=0)))

    def covariance(i: int, j: int, k: int, m: int) -> float:
        squares = moment(i, i, k, k) + moment(j, j, k, k) + moment(i, i, m, m) + moment(j, j, m, m)
        return (
            moment(i, j, k, m)
            + r[i, j] * r[k, m] * squares / 4
            - r[i, j] * (moment(i, i, k, m) + moment(j, j, k, m)) / 2
            - r[k, m] * (moment(i, j, k, k) + moment(i, j, m, m)) / 2
        )

    variance = (covariance(0, 1, 0, 1) + covariance(0, 2, 0, 2) - 2 * covariance(0, 1, 0, 2)) / 197
    expected = 2 * stats.t.sf(abs(r[0, 1] - r[0, 2]) / sqrt(variance), 197)
    assert dependent_correlations(*columns) == pytest.approx(expected, rel=1e-9)


def test_dependent_correlations_do_not_see_a_change_of_units() -> None:
    gold, a, b = two_predictions(GENERATOR(3), "normal")
    assert dependent_correlations(gold, 3 * a - 7, b) == pytest.approx(dependent_correlations(gold, a, b))
    assert dependent_correlations(gold, a, 3 * a - 7) == 1.0
    assert dependent_correlations(gold[:3], a[:3], b[:3]) is None


def test_paired_bootstrap_covers_a_difference_and_holds_its_level() -> None:
    generator, trials = GENERATOR(4), 1200
    covered = rejected = 0

    def difference(weights: np.ndarray, gold: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return metrics.f1(gold, b, weights) - metrics.f1(gold, a, weights)

    for _ in range(trials):
        gold = (generator.random(500) < 0.4) * 1.0
        hard = generator.random(500)  # both models find the same pairs hard
        a, b, c = (np.where(generator.random(500) < 0.3 + 0.6 * hard**power, gold, 1 - gold) for power in (1, 1, 0.5))
        rejected += bootstrap_p(bootstrap(difference, (gold, a, b), generator, 400)) < 0.05
        low, high = percentile_interval(bootstrap(difference, (gold, a, c), generator, 400)) or (1, 0)
        covered += low <= f1_of(0.3 + 0.6 / 1.5) - f1_of(0.3 + 0.6 / 2) <= high
    assert rejected / trials == pytest.approx(0.05, abs=0.02)
    assert covered / trials == pytest.approx(0.95, abs=0.02)


def f1_of(accuracy: float) -> float:
    """F1 in the long run with 40 % positives and equal accuracy on both labels."""
    return 2 * 0.4 * accuracy / (0.4 + 0.4 * accuracy + 0.6 * (1 - accuracy))


def test_holm_by_hand_and_against_its_level() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    p_values = GENERATOR(5).random((4000, 6))
    assert np.mean([min(holm(row)) < 0.05 for row in p_values.tolist()]) == pytest.approx(0.05, abs=0.02)


def scores_of(values: np.ndarray) -> dict[str, dict[int, float]]:
    """Arms "0", "1", ... over seeds 0, 1, ..., from an array [arms, seeds]."""
    return {str(arm): dict(enumerate(row)) for arm, row in enumerate(values.tolist())}


def test_two_arms_with_the_same_seeds_are_the_paired_t_test() -> None:
    values = GENERATOR(6).normal(size=(2, 5))
    effect = technique_effect(scores_of(values), "1", "0")
    expected = stats.ttest_rel(values[1], values[0])
    assert effect.p == pytest.approx(expected.pvalue)
    assert effect.ci95 == pytest.approx(tuple(expected.confidence_interval()))
    assert (effect.seeds, effect.df) == (5, 4)


def test_further_arms_sharpen_the_seed_noise_but_do_not_move_the_effect() -> None:
    values = GENERATOR(7).normal(size=(4, 3))
    effect = technique_effect(scores_of(values), "1", "0")
    residual = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    assert effect.value == pytest.approx((values[1] - values[0]).mean())
    assert effect.df == 6
    assert effect.seed_sd == pytest.approx(sqrt((residual**2).sum() / 6))
    assert effect.standard_error == pytest.approx(sqrt((residual**2).sum() / 6 * 2 / 3))


def test_a_factor_of_a_full_design_is_a_contrast() -> None:
    factor = np.array([-1, -1, 1, 1])
    values = 0.5 * factor[:, None] + GENERATOR(8).normal(scale=0.01, size=(4, 3))
    effect = contrast(scores_of(values), {str(arm): sign / 2 for arm, sign in enumerate(factor.tolist())})
    assert effect.value == pytest.approx(1.0, abs=0.02)
    assert effect.standard_error == pytest.approx((effect.seed_sd or 0) * sqrt(4 / 12))  # 12 runs


def test_runs_that_lack_a_seed_are_still_used() -> None:
    scores = {"with": {1: 0.52, 2: 0.53, 3: 0.54}, "without": {1: 0.50, 2: 0.52, 3: 0.52, 4: 0.9}}
    effect = technique_effect(scores, "with", "without")
    assert effect.value == pytest.approx(0.05 / 3)
    assert (effect.seeds, effect.df) == (3, 2)


def test_fewer_than_three_seeds_give_no_interval_and_no_common_seed_is_refused() -> None:
    two = technique_effect({"a": {1: 0.5, 2: 0.6}, "b": {1: 0.4, 2: 0.4}}, "a", "b")
    assert two.value == pytest.approx(0.15)
    assert two.ci95 is None
    with pytest.raises(BertramError, match="no seed in common"):
        technique_effect({"a": {1: 0.5}, "b": {2: 0.4}}, "a", "b")


def test_effects_cover_the_truth_and_hold_their_level_over_seeds() -> None:
    generator, trials, sd, true = GENERATOR(9), 2000, 0.005, 0.01
    covered = rejected = 0
    for _ in range(trials):
        values = 0.5 + generator.normal(scale=0.02, size=3) + generator.normal(scale=sd, size=(3, 3))
        values[1] += true
        low, high = technique_effect(scores_of(values), "1", "0").ci95 or (1, 0)
        covered += low <= true <= high
        rejected += (technique_effect(scores_of(values), "2", "0").p or 0) < 0.05
    assert covered / trials == pytest.approx(0.95, abs=0.02)
    assert rejected / trials == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("df", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("seed_part", [0.05, 0.3, 0.5, 1.0, 2.0, 5.0, 20.0])
def test_the_wide_interval_covers_whatever_the_two_variances_are(df: int, seed_part: float) -> None:
    """Coverage on average over the estimates of the seeds' variance; the examples' standard error is 1."""
    quantiles = stats.chi2.ppf((np.arange(500) + 0.5) / 500, df) / df
    total, covered = sqrt(1 + seed_part**2), []
    for error in (seed_part * np.sqrt(quantiles)).tolist():
        low, high = interval_for_new_examples(Effect(0.0, 3, None, df, error, None, None), 1.0) or (1, 0)
        assert high >= error * stats.t.ppf(0.975, df) - 1e-12  # never within the interval for these examples
        covered.append(stats.norm.cdf(high / total) - stats.norm.cdf(low / total))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)


def test_one_degree_of_freedom_gives_no_wide_interval_and_no_seed_noise_that_of_the_examples() -> None:
    assert interval_for_new_examples(Effect(0.5, 2, 0.01, 1, 0.01, None, None), 0.02) is None
    assert interval_for_new_examples(Effect(0.5, 3, None, 4, None, None, None), 0.02) is None
    found = interval_for_new_examples(Effect(0.5, 3, 0.0, 2, 0.0, None, None), 0.02)
    assert found == pytest.approx((0.5 - 0.0392, 0.5 + 0.0392), abs=1e-5)


@pytest.mark.parametrize(
    ("seeds", "arms", "whim", "shift"),
    [
        (2, 4, 0.1, 0.02),  # a design's two seeds
        (3, 2, 0.1, 0.02),
        (3, 2, 1.0, 0.0),  # seeds disagree on many examples, and on nothing else
        (4, 2, 0.3, 0.05),
        (5, 2, 0.1, 0.3),  # some seeds are much better
    ],
)
def test_the_wide_interval_covers_the_truth_beyond_the_examples(
    seeds: int, arms: int, whim: float, shift: float
) -> None:
    """Arms on the same 400 examples, the last against the first; examples and seeds are drawn anew in each trial."""
    generator, trials, n = GENERATOR(10), 1500, 400
    true = float(stats.norm.cdf(0.15 / sqrt(2 + whim**2 + shift**2))) - 0.5
    wide = narrow = 0
    for _ in range(trials):
        margin, helped = generator.normal(size=(2, n))  # the technique helps some examples and harms others
        noise = whim * generator.normal(size=(arms, seeds, n)) + shift * generator.normal(size=(arms, seeds, 1))
        gain = np.stack([*(np.zeros(n) for _ in range(arms - 1)), helped + 0.15])
        right = (margin + gain[:, None] + noise > 0).astype(float)
        effect = contrast(scores_of(right.mean(2)), {str(arms - 1): 1.0, "0": -1.0}, least_seeds=2)
        of_example = right[-1] - right[0]  # [seeds, n]; what a bootstrap finds is their covariance
        drawn = np.linalg.cholesky(np.cov(of_example) / n + 1e-12 * np.eye(seeds)) @ orthonormal(seeds)
        low, high = interval_for_new_examples(effect, shared_example_error(drawn)) or (1, 0)
        wide += low <= true <= high
        low, high = effect.ci95 or (1, 0)
        narrow += low <= true <= high
    assert wide / trials == pytest.approx(0.95, abs=0.02)
    assert narrow <= wide
    if whim < 1 and shift < 0.1:
        assert narrow / trials < 0.93  # it speaks of these examples only


def orthonormal(rows: int) -> np.ndarray:
    """Draws [rows, columns] whose sample covariance is exactly the identity."""
    return np.sqrt(2 * rows - 1) * np.concatenate([np.eye(rows), -np.eye(rows)], axis=1) / sqrt(2)


def test_the_example_error_that_seeds_share_is_found_by_the_bootstrap() -> None:
    generator, n = GENERATOR(12), 2000
    shared, own = generator.normal(size=n), 0.7 * generator.normal(size=(4, n))
    columns = list(shared + own)

    def means(weights: np.ndarray, *values: np.ndarray) -> np.ndarray:
        return np.array([weights @ one / n for one in values])

    draws = bootstrap(means, columns, generator, 2000)
    assert shared_example_error(draws) == pytest.approx(1 / sqrt(n), rel=0.08)
    assert shared_example_error(draws[:1]) == pytest.approx(sqrt(1.49 / n), rel=0.08)
    assert shared_example_error(np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])) == 0.0
    with_gap = np.append(draws, np.full((4, 1), np.nan), axis=1)
    assert shared_example_error(with_gap) == shared_example_error(draws)


@pytest.mark.parametrize(("seeds", "arms"), [(3, 2), (3, 4), (6, 2)])
def test_the_power_estimate_is_right_within_10_percent(seeds: int, arms: int) -> None:
    generator, sd = GENERATOR(11), 0.005
    visible = smallest_visible_effect(sd, seeds, arms=arms)

    def share_found(effect: float) -> float:
        def found() -> bool:
            values = generator.normal(scale=0.02, size=seeds) + generator.normal(scale=sd, size=(arms, seeds))
            values[1] += effect
            return (technique_effect(scores_of(values), "1", "0").p or 0) < 0.05

        return rate(found, 2000)

    assert share_found(0.9 * visible) < 0.8 < share_found(1.1 * visible)


def test_power_of_a_design_and_of_more_seeds() -> None:
    one = smallest_visible_effect(0.005, 3, arms=16)
    assert smallest_visible_effect(0.005, 3, arms=16, arms_per_side=8) == pytest.approx(one / sqrt(8))
    needed = seeds_needed(0.005, 0.005)
    assert needed is not None
    assert smallest_visible_effect(0.005, needed) <= 0.005 < smallest_visible_effect(0.005, needed - 1)
    assert seeds_needed(1.0, 0.005) == 3
    assert seeds_needed(1e-6, 0.005, most=100) is None
    assert floor_of_examples(0.002) == pytest.approx(0.0056, abs=1e-5)  # 1.960 + 0.842 standard errors
    with pytest.raises(BertramError, match="at least 2"):
        smallest_visible_effect(0.005, 1)


def test_a_resample_in_which_a_score_is_undefined_is_left_out_unless_there_are_many() -> None:
    draws = np.append(np.linspace(0, 1, 100), np.nan)
    assert percentile_interval(draws) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.append(draws, [np.nan] * 10)) is None
    assert bootstrap_p(draws) == pytest.approx(4 / 101)  # one of 100 is 0
