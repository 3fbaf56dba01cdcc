"""Measures of change between two periods, for the periods as they are and for resampled or permuted ones.

Giulianelli, Del Tredici & Fernández (2020), section 3.3; PRT: Kutuzov & Giulianelli (2020). A measure takes the n
usages of both periods and B pairs of weights: how often each usage counts in the earlier and in the later period. The
measured periods are one such pair, a bootstrap draws others, and a permutation swaps usages between the periods.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]
Metric = Literal["cosine", "euclidean", "canberra"]


@dataclass(eq=False)
class PairOfPeriods:
    """The n usages of a word in two periods.

    Attributes:
        vectors: [n, H].
        later: [n] whether a usage is of the later period.
        types: [n] the index of each usage's type, below `type_count`; None without usage types.
        type_count: number of usage types of the word, at least 2.
    """

    vectors: Floats
    later: NDArray[np.bool_]
    types: NDArray[np.intp] | None = None
    type_count: int = 0

    def distances(self, metric: Metric) -> Floats:
        """[n, n] distance of each usage to each other."""
        if metric not in self._distances:
            self._distances[metric] = cdist(self.vectors, self.vectors, metric)
        return self._distances[metric]

    @cached_property
    def _distances(self) -> dict[Metric, Floats]:
        return {}

    @cached_property
    def type_members(self) -> Floats:
        """[n, K] 1 where a usage is of a type."""
        if self.types is None:
            raise ValueError("this measure needs usage types")
        return np.eye(self.type_count)[self.types]


Measure = Callable[[PairOfPeriods, Floats, Floats], Floats]  # (pair, earlier [B, n], later [B, n]) -> [B]


def average_pairwise_distance(metric: Metric) -> Measure:
    """APD: the mean distance of all pairs of usages across the two periods."""

    def measure(pair: PairOfPeriods, earlier: Floats, later: Floats) -> Floats:
        total = ((earlier @ pair.distances(metric)) * later).sum(-1)
        return np.asarray(total / (earlier.sum(-1) * later.sum(-1)))

    return measure


def prt(pair: PairOfPeriods, earlier: Floats, later: Floats) -> Floats:
    """PRT: the inverted cosine similarity of the two mean vectors."""
    a, b = (weights @ pair.vectors for weights in (earlier, later))  # the length of a vector does not matter
    return np.asarray(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1) / (a * b).sum(-1))


def jensen_shannon(pair: PairOfPeriods, earlier: Floats, later: Floats) -> Floats:
    """Jensen–Shannon divergence of the two usage distributions, natural logarithm, in [0, ln 2]."""
    p, q = (_distribution(pair, weights) for weights in (earlier, later))
    return np.maximum(0.0, _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2)


def entropy_difference(pair: PairOfPeriods, earlier: Floats, later: Floats) -> Floats:
    """Normalized entropy of the later usage distribution minus that of the earlier one, in [-1, 1]."""
    p, q = (_distribution(pair, weights) for weights in (earlier, later))
    return np.asarray((_entropy(q) - _entropy(p)) / np.log(pair.type_count))


MEASURES: dict[str, Measure] = {
    "apd-cosine": average_pairwise_distance("cosine"),
    "apd-euclidean": average_pairwise_distance("euclidean"),
    "apd-canberra": average_pairwise_distance("canberra"),
    "prt": prt,
    "jsd": jensen_shannon,
    "entropy-difference": entropy_difference,
}
LIMITS: dict[str, tuple[float, float]] = {  # smallest and largest possible value
    "apd-cosine": (0.0, 2.0),
    "apd-euclidean": (0.0, np.inf),
    "apd-canberra": (0.0, np.inf),
    "prt": (1.0, np.inf),  # negative only where the two means point in opposite directions
    "jsd": (0.0, float(np.log(2))),
    "entropy-difference": (-1.0, 1.0),
}
OF_TYPES = ("jsd", "entropy-difference")  # these need usage types
LABELS = {
    "apd-cosine": "average pairwise distance (cosine)",
    "apd-euclidean": "average pairwise distance (Euclidean)",
    "apd-canberra": "average pairwise distance (Canberra)",
    "prt": "inverted cosine similarity of the mean vectors (PRT)",
    "jsd": "Jensen–Shannon divergence of the usage types",
    "entropy-difference": "entropy difference of the usage types",
}


def value(measure: Measure, pair: PairOfPeriods) -> float:
    """A measure of the periods as they are."""
    later = pair.later[None].astype(np.float64)
    return float(measure(pair, 1 - later, later)[0])


def _distribution(pair: PairOfPeriods, weights: Floats) -> Floats:
    counts = weights @ pair.type_members
    return np.asarray(counts / counts.sum(-1, keepdims=True))


def _entropy(p: Floats) -> Floats:
    return np.asarray(-np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0).sum(-1))
