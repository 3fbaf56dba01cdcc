"""The measures against independent implementations, and what they must do whatever the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import entropy

from bertram.semantic_change.measures import MEASURES, PairOfPeriods, value

SIZES = st.tuples(st.integers(2, 12), st.integers(2, 12), st.integers(2, 9), st.integers(0, 2**32 - 1))


def drawn(n: int, m: int, width: int, seed: int, kinds: int = 3) -> PairOfPeriods:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(n + m, width)) + 0.5
    return PairOfPeriods(vectors, np.arange(n + m) >= n, generator.integers(0, kinds, n + m), kinds)


def parts(pair: PairOfPeriods) -> tuple[np.ndarray, np.ndarray]:
    return pair.vectors[~pair.later], pair.vectors[pair.later]


def shares(pair: PairOfPeriods) -> tuple[np.ndarray, np.ndarray]:
    assert pair.types is not None
    counts = [np.bincount(pair.types[chosen], minlength=pair.type_count) for chosen in (~pair.later, pair.later)]
    return counts[0] / counts[0].sum(), counts[1] / counts[1].sum()


@given(SIZES)
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "canberra"])
def test_average_pairwise_distance_is_the_mean_of_scipys_distances_of_all_pairs(
    metric: str, sizes: tuple[int, int, int, int]
) -> None:
    pair = drawn(*sizes)
    earlier, later = parts(pair)
    expected = np.mean([getattr(distance, metric)(x, y) for x in earlier for y in later])
    assert value(MEASURES[f"apd-{metric}"], pair) == pytest.approx(expected, abs=1e-10)


@given(SIZES)
def test_prt_is_one_over_the_cosine_of_the_mean_vectors(sizes: tuple[int, int, int, int]) -> None:
    pair = drawn(*sizes)
    a, b = (part.mean(0) for part in parts(pair))
    assert value(MEASURES["prt"], pair) == pytest.approx(1 / (1 - distance.cosine(a, b)), rel=1e-10)


@given(SIZES)
def test_jensen_shannon_is_the_square_of_scipys_distance(sizes: tuple[int, int, int, int]) -> None:
    pair = drawn(*sizes)
    p, q = shares(pair)
    assert value(MEASURES["jsd"], pair) == pytest.approx(distance.jensenshannon(p, q) ** 2, abs=1e-10)


@given(SIZES)
def test_entropy_difference_is_that_of_scipys_entropies_over_log_k(sizes: tuple[int, int, int, int]) -> None:
    pair = drawn(*sizes)
    p, q = shares(pair)
    expected = (entropy(q) - entropy(p)) / np.log(pair.type_count)
    assert value(MEASURES["entropy-difference"], pair) == pytest.approx(expected, abs=1e-10)


def test_weights_count_a_usage_as_often_as_they_say() -> None:
    pair = drawn(3, 4, 5, 0)
    repeats = np.array([2, 0, 1, 1, 3, 0, 1])
    index = np.repeat(np.arange(7), repeats)
    assert pair.types is not None
    longer = PairOfPeriods(pair.vectors[index], pair.later[index], pair.types[index], pair.type_count)
    earlier, later = (np.where(chosen, repeats, 0)[None].astype(float) for chosen in (~pair.later, pair.later))
    for measure in MEASURES.values():
        assert measure(pair, earlier, later)[0] == pytest.approx(value(measure, longer), rel=1e-10)


def test_two_periods_with_one_usage_type_each_differ_as_much_as_possible() -> None:
    pair = PairOfPeriods(np.eye(4), np.array([False, False, True, True]), np.array([0, 0, 1, 1]), 2)
    assert value(MEASURES["jsd"], pair) == pytest.approx(np.log(2))
    assert value(MEASURES["entropy-difference"], pair) == 0
    assert value(MEASURES["apd-cosine"], pair) == pytest.approx(1)


def test_the_same_usages_in_both_periods_differ_in_nothing_but_their_spread() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    pair = PairOfPeriods(np.tile(vectors, (2, 1)), np.arange(10) >= 5, np.tile([0, 1, 1, 0, 2], 2), 3)
    assert value(MEASURES["jsd"], pair) == pytest.approx(0)
    assert value(MEASURES["entropy-difference"], pair) == pytest.approx(0)
    assert value(MEASURES["prt"], pair) == pytest.approx(1)
