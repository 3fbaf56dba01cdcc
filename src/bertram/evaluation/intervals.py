"""How sure a score is over examples: bootstrap, and tests for paired results."""

from collections.abc import Callable, Iterator, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtr

Floats = NDArray[np.float64]
Interval = tuple[float, float]

_FEW_CELLS = 64  # up to here a multinomial draw is cheaper than drawing every example
_CHUNK = 1 << 17  # examples drawn at a time: 1 MiB of float64, which stays in the processor's cache


def bootstrap(
    statistic: Callable[..., Floats], columns: Sequence[Floats], generator: np.random.Generator, resamples: int
) -> Floats:
    """Draw the bootstrap distribution of a statistic of n examples (Efron 1979).

    Examples that are alike in every column are drawn together, as one multinomial draw over the distinct
    ones: the same distribution, and 20,000 yes/no answers cost no more than their four combinations.

    Args:
        statistic: called with weights [b, m], how often each of the m distinct examples was drawn, and with
            the columns [m]; returns [..., b].
        columns: values of each example that the statistic needs, [n] each, finite.
        generator: source of the draws.
        resamples: number of values to draw.

    Returns:
        The values, [..., resamples].
    """
    examples, counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
    values = [statistic(weights, *examples.T) for weights in _drawn_counts(counts, generator, resamples)]
    return np.concatenate(values, axis=-1)


def _drawn_counts(counts: NDArray[np.intp], generator: np.random.Generator, resamples: int) -> Iterator[Floats]:
    n, distinct = int(counts.sum()), len(counts)
    if distinct <= _FEW_CELLS:
        yield generator.multinomial(n, counts / n, size=resamples).astype(np.float64)
        return
    distinct_of_example = np.repeat(np.arange(distinct), counts)
    at_once = max(1, _CHUNK // n)
    for start in range(0, resamples, at_once):
        b = min(at_once, resamples - start)
        drawn_values = distinct_of_example[generator.integers(0, n, size=(b, n))]
        drawn_values += distinct * np.arange(b)[:, None]
        yield np.bincount(drawn_values.ravel(), minlength=b * distinct).reshape(b, distinct).astype(np.float64)


def percentile_interval(draws: Floats, level: float = 0.95) -> Interval | None:
    """Read the central interval from bootstrap draws [resamples]; None if over 5 % of them are undefined (nan)."""
    defined = draws[~np.isnan(draws)]
    if defined.size < 0.95 * draws.size or defined.size == 0:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_p(draws: Floats) -> float:
    """Two-sided p-value of "no difference": the level at which the percentile interval just touches zero.

    Args:
        draws: bootstrapped differences [resamples]. The smallest value returned is 2 / (resamples + 1).
    """
    defined = draws[~np.isnan(draws)]
    tail = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, 2 * (1 + int(tail)) / (1 + defined.size))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided mid-p value of McNemar's exact test that two classifiers are right equally often.

    The mid-p form keeps its level and is less timid than the exact one (Fagerland, Lydersen & Laake 2013).

    Args:
        only_first: examples that only the first classifier got right.
        only_second: examples that only the second classifier got right.
    """
    disagreements, fewer = only_first + only_second, min(only_first, only_second)
    if disagreements == 0:
        return 1.0
    below = bdtr(fewer - 1, disagreements, 0.5) if fewer else 0.0
    return float(below + bdtr(fewer, disagreements, 0.5))  # 2 (P[X < k] + P[X = k] / 2)


def dependent_correlations(gold: Floats, a: Floats, b: Floats) -> float | None:
    """Two-sided p-value that two predictions correlate equally well (Pearson) with the same gold scores.

    The distribution-free covariance of two correlations (Steiger & Hakstian 1982), written as the variance of
    their influence functions. Williams's better known t-test assumes normal data: with rare large errors, which
    models do make, it found a difference in a third of the cases where there was none.

    Args:
        gold: gold scores [n].
        a: predictions [n].
        b: other predictions of the same examples [n].

    Returns:
        The p-value; None for fewer than 4 examples. All three must vary.
    """
    n = len(gold)
    if n < 4:
        return None
    g, x, y = ((column - column.mean()) / column.std() for column in (gold, a, b))
    r_x, r_y = float((g * x).mean()), float((g * y).mean())
    influence = g * (y - x) - (r_y * (g**2 + y**2) - r_x * (g**2 + x**2)) / 2
    error = float(influence.std()) / sqrt(n - 3)
    if error < 1e-12:  # one is a linear function of the other
        return 1.0
    return float(2 * stdtr(n - 3, -abs(r_y - r_x) / error))
