"""Influence of each example on a score: the infinitesimal jackknife, which gives standard errors over examples.

A score that is a smooth function of the examples' weights varies over samples like the mean of its influence values
(Hampel, 1974; Efron, 1982, chapter 6). Sums of scores have the sums of the values, so that a contrast of many runs
costs no resampling, and examples that share a text are simply summed.
"""

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from bertram.evaluation.intervals import Floats

STEP = 1e-3  # of a weight, whose usual value is 1
CHUNK = 1 << 20  # weights held at a time


def influence(metric: Callable[[Floats, Floats, Floats], Floats], gold: Floats, predicted: Floats) -> Floats:
    """The influence of each example on a score, [n]; they sum to 0, and their mean square over n is its variance.

    Args:
        metric: function of gold and predicted [m] and weights [b, m] to scores [b].
        gold: gold labels [n].
        predicted: predictions [n], for which the metric is defined.
    """
    pairs, position, counts = np.unique(
        np.stack([gold, predicted], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    weights = counts.astype(np.float64)
    at_once = max(1, CHUNK // len(weights))
    derivative = np.empty(len(weights))
    for start in range(0, len(weights), at_once):
        indices = np.arange(start, min(start + at_once, len(weights)))
        change = np.zeros((len(indices), len(weights)))
        change[np.arange(len(indices)), indices] = STEP
        up, down = (metric(pairs[:, 0], pairs[:, 1], weights + sign * change) for sign in (1, -1))
        derivative[indices] = (up - down) / (2 * STEP)
    values: Floats = len(gold) * derivative[position.ravel()]
    return values


def by_group(values: Floats, groups: NDArray[np.intp] | None) -> Floats:
    """Influence values of independent units, [..., units]: sums over the examples that share a group, over n.

    Args:
        values: influence values [..., n].
        groups: number of each example's group [n]; None: every example stands alone.
    """
    n = values.shape[-1]
    if groups is None:
        alone: Floats = values / n
        return alone
    count = int(groups.max()) + 1
    rows = values.reshape(-1, n)
    sums = np.stack([np.bincount(groups, weights=row, minlength=count) for row in rows])
    summed: Floats = sums.reshape(*values.shape[:-1], count) / n
    return summed


def correlations(influences: Sequence[Floats], groups: Sequence[NDArray[np.intp] | None]) -> Floats:
    """Correlations over examples of the scores of tasks whose examples share texts, [tasks, tasks].

    Args:
        influences: influence values of each task's score, each [n].
        groups: number of each example's group over all tasks, each [n]; None: every example stands alone.
    """
    count = max((int(numbers.max()) + 1 for numbers in groups if numbers is not None), default=0)
    sums = np.stack(
        [
            np.zeros(count) if numbers is None else np.bincount(numbers, weights=values, minlength=count) / len(values)
            for values, numbers in zip(influences, groups, strict=True)
        ]
    )
    sizes = np.sqrt((sums**2).sum(1))
    found: Floats = sums @ sums.T / np.maximum(np.outer(sizes, sizes), np.finfo(np.float64).tiny)
    np.fill_diagonal(found, 1.0)
    return found


def standard_error(units: Floats) -> float:
    """Standard error of a score from the summed influence of its independent units [units]."""
    count = len(units)
    return sqrt(float(units @ units) * count / (count - 1)) if count > 1 else 0.0
