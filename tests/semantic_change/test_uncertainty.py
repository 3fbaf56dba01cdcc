"""Intervals and tests on simulated usages with known truth."""

import numpy as np
import pytest

from bertram.semantic_change.measures import LIMITS, MEASURES, PairOfPeriods, value
from bertram.semantic_change.uncertainty import bootstrap_interval, permutation_p

P, Q = np.array([0.7, 0.2, 0.1]), np.array([0.4, 0.3, 0.3])


def mixture(generator: np.random.Generator, n: int, shift: float = 0.0, q: np.ndarray = Q) -> PairOfPeriods:
    """Usages of three types with centres of their own, the later period's shifted."""
    kinds = np.concatenate([generator.choice(3, n, p=P), generator.choice(3, n, p=q)])
    centres = np.eye(3, 6)
    vectors = centres[kinds] + 0.3 * generator.normal(size=(2 * n, 6))
    later = np.arange(2 * n) >= n
    vectors[later] += shift
    return PairOfPeriods(vectors, later, kinds, 3)


def truth(name: str, shift: float, q: np.ndarray) -> float:
    """The measure of two periods so large that they have almost no noise."""
    return value(MEASURES[name], mixture(np.random.default_rng(1), 4000, shift, q))


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "q"), [(0.1, Q), (0.03, np.array([0.6, 0.25, 0.15])), (0.0, P)])
@pytest.mark.parametrize("name", ["apd-cosine", "prt", "jsd", "entropy-difference"])
def test_the_interval_covers_the_true_value_in_at_least_95_percent(name: str, shift: float, q: np.ndarray) -> None:
    true = {"prt": 1.0, "jsd": 0.0}.get(name) if q is P else None
    true, trials = truth(name, shift, q) if true is None else true, 200
    covered = 0
    for seed in range(trials):
        generator = np.random.default_rng(seed)
        pair = mixture(generator, 80, shift, q)
        low, high = bootstrap_interval(MEASURES[name], pair, generator, 300, LIMITS[name])
        covered += low <= true <= high
    assert covered / trials >= 0.905  # 95 % give less with a chance of 0.3 %


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_periods_that_do_not_differ_are_found_to_differ_in_at_most_5_percent(name: str) -> None:
    found, trials = 0, 300
    for seed in range(trials):
        generator = np.random.default_rng(seed)
        found += permutation_p(MEASURES[name], mixture(generator, 20, q=P), generator, 99) <= 0.05
    assert found / trials <= 0.09  # 5 % give at most 0.088 with a chance of 99.7 %


@pytest.mark.parametrize("name", ["apd-cosine", "prt"])
def test_a_shift_of_the_usages_is_found(name: str) -> None:
    generator = np.random.default_rng(0)
    assert permutation_p(MEASURES[name], mixture(generator, 60, 0.5), generator, 199) == 1 / 200


def test_the_same_seed_gives_the_same_interval_and_p_value() -> None:
    pair = mixture(np.random.default_rng(0), 20)
    for function in (bootstrap_interval, permutation_p):
        one, two = (function(MEASURES["jsd"], pair, np.random.default_rng(5), 300) for _ in range(2))
        assert one == two
