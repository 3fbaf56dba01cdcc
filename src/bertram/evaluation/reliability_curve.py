"""Reliability of probabilities: how often predictions of a confidence are right (Guo et al., 2017)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose confidence lies in (low, high]: how sure they were on average, how often right."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> list[ReliabilityBin]:
    """Sort predictions into bins of equal width by confidence (Guo et al. 2017, section 2).

    Args:
        confidence: probability given to the predicted label, [n], in [0, 1].
        correct: 1 if the predicted label is right, else 0, [n].
        bins: number of bins.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    bin_numbers = np.clip(np.ceil(sure * bins) - 1, 0, bins - 1)
    curve = []
    for k in range(bins):
        inside = bin_numbers == k
        n = int(inside.sum())
        means = (float(sure[inside].mean()), float(right[inside].mean())) if n else (None, None)
        curve.append(ReliabilityBin(k / bins, (k + 1) / bins, n, *means))
    return curve
