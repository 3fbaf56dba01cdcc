"""The interval of a mean of independent scores from their own intervals."""

from collections.abc import Sequence
from math import sqrt

from bertram.evaluation.intervals import Interval


def mean_interval(values: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """The method of variance estimates recovery (Zou & Donner, 2008): on each side distances add up by squares."""
    count, mean = len(values), sum(values) / len(values)
    down = sqrt(sum((value - low) ** 2 for value, (low, _) in zip(values, intervals, strict=True))) / count
    up = sqrt(sum((high - value) ** 2 for value, (_, high) in zip(values, intervals, strict=True))) / count
    return mean - down, mean + up
