"""Holm's correction of p-values for their number (1979)."""

from collections.abc import Sequence

import numpy as np

from bertram.evaluation.intervals import Floats


def holm(p_values: Sequence[float] | Floats) -> list[float]:
    """Adjust p-values for the number of comparisons (Holm, 1979), in the order given."""
    adjusted: list[float] = holm_rows(np.atleast_2d(np.asarray(p_values, dtype=np.float64)))[0].tolist()
    return adjusted


def holm_rows(p_values: Floats) -> Floats:
    """Holm-corrected p-values of each row of [trials, tests]."""
    order = np.argsort(p_values, axis=1, kind="stable")
    steps = np.arange(p_values.shape[1], 0, -1) * np.take_along_axis(p_values, order, axis=1)
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(np.minimum(steps, 1.0), axis=1), axis=1)
    return adjusted
