"""Tests of two models hold their level, by simulation."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from bertram.evaluation.intervals import dependent_correlations, mcnemar

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


@pytest.mark.slow
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
