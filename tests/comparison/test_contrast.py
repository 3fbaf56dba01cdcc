"""A contrast is tested by its own variance over seeds, and its interval holds beyond these examples."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from bertram.comparison.contrast import (
    Estimate,
    by_seed,
    estimate,
    interval_with_examples,
    p_with_examples,
    shared_variance,
)
from bertram.comparison.deciding_seeds import more_seeds
from bertram.comparison.equivalence import margin, within
from bertram.comparison.superiority import probability
from bertram.evaluation.influence import standard_error

GENERATOR = np.random.default_rng


def scores_of(values: np.ndarray) -> dict[str, dict[int, float]]:
    """Arms "0", "1", ... over seeds 0, 1, ..., from an array [arms, seeds]."""
    return {str(arm): dict(enumerate(row)) for arm, row in enumerate(values.tolist())}


def test_two_arms_with_the_same_seeds_are_the_paired_t_test() -> None:
    values = GENERATOR(6).normal(size=(2, 5))
    found = estimate(list(by_seed(scores_of(values), {"1": 1.0, "0": -1.0}).values()))
    expected = stats.ttest_rel(values[1], values[0])
    assert found.p() == pytest.approx(expected.pvalue)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval()))
    assert (found.seeds, found.df) == (5, 4)


def test_a_contrast_is_over_the_seeds_that_all_its_arms_have() -> None:
    scores = {"with": {1: 0.52, 2: 0.53, 3: 0.54}, "without": {1: 0.50, 2: 0.52, 3: 0.52, 4: 0.9}, "other": {9: 0.1}}
    each = by_seed(scores, {"with": 1.0, "without": -1.0, "other": 0.0})
    assert each == pytest.approx({1: 0.02, 2: 0.01, 3: 0.02})
    assert by_seed(scores, {"with": 1.0, "other": -1.0}) == {}


def test_fewer_than_three_seeds_give_an_effect_and_no_test() -> None:
    two = estimate([0.1, 0.2])
    assert two.value == pytest.approx(0.15)
    assert (two.interval(), two.p()) == (None, None)
    assert interval_with_examples(two, 0.02) is None
    assert probability(two) is None
    assert estimate([0.1]).sd is None


@pytest.mark.slow
@pytest.mark.parametrize("df", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("seed_part", [0.05, 0.3, 0.5, 1.0, 2.0, 5.0, 20.0])
def test_the_wide_interval_covers_whatever_the_two_variances_are(df: int, seed_part: float) -> None:
    """Coverage on average over the estimates of the seeds' variance; the examples' standard error is 1."""
    quantiles = stats.chi2.ppf((np.arange(500) + 0.5) / 500, df) / df
    total, covered = sqrt(1 + seed_part**2), []
    for error in (seed_part * np.sqrt(quantiles)).tolist():
        low, high = interval_with_examples(Estimate(0.0, df + 1, error * sqrt(df + 1)), 1.0) or (1, 0)
        assert high >= error * stats.t.ppf(0.975, df) - 1e-12  # never within the interval for these examples
        covered.append(stats.norm.cdf(high / total) - stats.norm.cdf(low / total))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)


def test_seeds_that_all_give_the_same_tell_nothing_of_others() -> None:
    same = Estimate(0.5, 3, 1e-17)
    assert not same.spread
    assert same.interval() is None
    assert same.p() is None
    assert interval_with_examples(same, 0.02) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "whim", "shift"),
    [(3, 0.1, 0.02), (3, 1.0, 0.0), (4, 0.3, 0.05), (5, 0.1, 0.3)],
    ids=["3 seeds", "seeds disagree on many examples", "4 seeds", "some seeds are much better"],
)
def test_the_wide_interval_covers_the_truth_beyond_the_examples(seeds: int, whim: float, shift: float) -> None:
    """Two arms on the same 400 examples; examples and seeds are drawn anew in each trial."""
    generator, trials, n = GENERATOR(10), 1500, 400
    true = float(stats.norm.cdf(0.15 / sqrt(2 + whim**2 + shift**2))) - 0.5
    wide = narrow = 0
    for _ in range(trials):
        margins, helped = generator.normal(size=(2, n))  # the technique helps some examples and harms others
        noise = whim * generator.normal(size=(2, seeds, n)) + shift * generator.normal(size=(2, seeds, 1))
        gain = np.stack([np.zeros(n), helped + 0.15])
        right = (margins + gain[:, None] + noise > 0).astype(float)
        difference = right[1] - right[0]  # [seeds, n]
        found = estimate(difference.mean(1))
        units = (difference - difference.mean(1, keepdims=True)) / n
        of_models = standard_error(units.mean(0))
        low, high = interval_with_examples(found, sqrt(max(0.0, shared_variance(units))), of_models) or (1, 0)
        wide += low <= true <= high
        low, high = found.interval() or (1, 0)
        narrow += low <= true <= high
    assert 0.93 <= wide / trials <= 0.99  # 98 % where seeds disagree on many examples
    assert narrow <= wide


def test_seeds_that_agree_by_luck_do_not_make_other_examples_surer_than_these_models_are() -> None:
    lucky = estimate([0.0100, 0.0101, 0.0102])
    low, high = interval_with_examples(lucky, 0.0, 0.006) or (1, 0)
    assert (low, high) == pytest.approx((0.0101 - 1.959964 * 0.006, 0.0101 + 1.959964 * 0.006))
    assert p_with_examples(lucky, 0.0, 0.006) == pytest.approx(2 * stats.norm.cdf(-0.0101 / 0.006))
    narrow = interval_with_examples(lucky, 0.0) or (1, 0)
    assert narrow == pytest.approx(lucky.interval())


def test_the_variance_that_seeds_share_is_found() -> None:
    generator, n = GENERATOR(12), 20000
    shared, own = generator.normal(size=n), 0.7 * generator.normal(size=(4, n))
    units = (shared + own) / n
    assert shared_variance(units) == pytest.approx(1 / n, rel=0.05)
    assert shared_variance(units[:1]) == pytest.approx(1.49 / n, rel=0.05)
    assert shared_variance(np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])) < 0


def test_equivalence_needs_the_whole_interval_inside() -> None:
    assert within((-0.004, 0.0049), 0.005)
    assert not within((-0.004, 0.0051), 0.005)
    assert not within((-0.004, 0.004), None)
    assert not within(None, 0.005)
    assert margin("overall", 0.005) == 0.005
    assert margin("nll", 0.005) is None
    assert margin("micro_f1", 0.005) == margin("subset_accuracy", 0.005) == 0.005


def test_the_probability_to_beat_the_other_covers_the_truth() -> None:
    generator, trials = GENERATOR(13), 2000
    covered, true = 0, float(stats.norm.cdf(0.8))
    for _ in range(trials):
        found = probability(estimate(0.8 + generator.normal(size=4)))
        assert found is not None
        low, high = found[1]
        assert low <= found[0] <= high
        covered += low <= true <= high
    assert covered / trials == pytest.approx(0.95, abs=0.015)
    assert probability(Estimate(0.1, 3, 0.0)) is None
    for value in (0.2, -0.2):  # a difference that hardly varies is found without a long search
        assert probability(Estimate(value, 3, 1e-8)) == (value > 0, (value > 0, value > 0))


def test_rounding_is_no_noise_of_seeds() -> None:
    scores = estimate([120000.2 - 120000.1, 120000.4 - 120000.3, 120000.8 - 120000.7])
    assert scores.sd is not None
    assert scores.sd > 1e-12
    assert not scores.spread


def test_more_seeds_decide_a_difference_or_its_smallness() -> None:
    large = Estimate(0.01, 3, 0.01)
    more = more_seeds(large)
    assert more is not None
    half = [float(stats.t.ppf(0.975, seeds - 1)) * 0.01 / sqrt(seeds) for seeds in (3 + more, 2 + more)]
    assert half[0] < 0.01 < half[1]
    assert (more_seeds(large, tests=4) or 0) > more
    assert more_seeds(Estimate(1e-5, 3, 0.01)) is None
    assert more_seeds(Estimate(1e-5, 3, 0.01), smallest=0.005) is not None
    assert more_seeds(Estimate(0.1, 1, None)) is None
