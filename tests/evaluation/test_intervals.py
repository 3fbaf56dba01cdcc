"""Tests of two models hold their level, and intervals cover known truths: all by simulation."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from bertram.evaluation import metrics
from bertram.evaluation.intervals import (
    bootstrap,
    bootstrap_p,
    dependent_correlations,
    mcnemar,
    percentile_interval,
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
        return float(
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


@pytest.mark.slow
def test_paired_bootstrap_covers_a_difference_and_holds_its_level() -> None:
    generator, trials = GENERATOR(4), 1200
    covered = rejected = 0

    def difference(weights: np.ndarray, gold: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return metrics.f1(gold, b, weights) - metrics.f1(gold, a, weights)

    for _ in range(trials):
        gold = (generator.random(500) < 0.4).astype(np.float64)
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


def test_a_resample_in_which_a_score_is_undefined_is_left_out_unless_there_are_many() -> None:
    draws = np.append(np.linspace(0, 1, 100), np.nan)
    assert percentile_interval(draws) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.append(draws, [np.nan] * 10)) is None
    assert bootstrap_p(draws) == pytest.approx(4 / 101)  # one of 100 is 0
