"""Reliability of probabilities: how often predictions of a confidence are right (Guo et al., 2017)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertram.evaluation.intervals import Floats


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose confidence lies in (low, high]: how sure they were on average, how often right."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def bin_numbers(confidence: Floats, bins: int) -> NDArray[np.intp]:
    """Number of the bin of each confidence in [0, 1], [n]; bin k holds those in (k / bins, (k + 1) / bins]."""
    numbers: NDArray[np.intp] = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(np.intp)
    return numbers


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> list[ReliabilityBin]:
    """Sort predictions into bins of equal width by confidence (Guo et al. 2017, section 2).

    Args:
        confidence: probability given to the predicted label, [n], in [0, 1].
        correct: 1 if the predicted label is right, else 0, [n].
        bins: number of bins.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    numbers = bin_numbers(sure, bins)
    curve = []
    for k in range(bins):
        inside = numbers == k
        n = int(inside.sum())
        means = (float(sure[inside].mean()), float(right[inside].mean())) if n else (None, None)
        curve.append(ReliabilityBin(k / bins, (k + 1) / bins, n, *means))
    return curve
