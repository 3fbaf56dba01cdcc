"""The interval of a mean of scores from their own intervals."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from bertram.evaluation.intervals import Floats, Interval


def mean_interval(
    values: Sequence[float], intervals: Sequence[Interval], correlations: Floats | None = None
) -> Interval:
    """The method of variance estimates recovery (Zou & Donner, 2008): on each side distances add up by squares.

    Args:
        values: scores.
        intervals: their intervals.
        correlations: correlations of the scores, [scores, scores]; None: they are independent.
    """
    mean = sum(values) / len(values)
    down = error_of_mean([value - low for value, (low, _) in zip(values, intervals, strict=True)], correlations)
    up = error_of_mean([high - value for value, (_, high) in zip(values, intervals, strict=True)], correlations)
    return mean - down, mean + up


def error_of_mean(errors: Sequence[float], correlations: Floats | None = None) -> float:
    """Error of the mean of scores from the errors of each; see `mean_interval`."""
    if correlations is None:
        return sqrt(sum(error**2 for error in errors)) / len(errors)
    column = np.asarray(errors)
    return sqrt(max(0.0, float(column @ correlations @ column))) / len(errors)
