"""The interval of a difference of two accuracies on the same examples."""

from math import sqrt

from bertram.evaluation.intervals import Interval
from bertram.evaluation.score_intervals import proportion


def newcombe(both_right: float, only_first: float, only_second: float, none_right: float) -> Interval:
    """95 % interval of the second accuracy minus the first: method 10 of Newcombe (1998), from Wilson's intervals.

    Args:
        both_right: examples that both got right; counts may be fractions, where examples are not independent.
        only_first: examples that only the first got right.
        only_second: examples that only the second got right.
        none_right: examples that both got wrong.
    """
    n = both_right + only_first + only_second + none_right
    first, second = (both_right + only_first) / n, (both_right + only_second) / n
    (low_1, high_1), (low_2, high_2) = (_wilson(value, n) for value in (first, second))
    margins = (
        (both_right + only_first) * (only_second + none_right) * (both_right + only_second) * (only_first + none_right)
    )
    product = both_right * none_right - only_first * only_second
    phi = (max(product - n / 2, 0.0) if product > 0 else product) / sqrt(margins) if margins > 0 else 0.0
    down = _combined(second - low_2, high_1 - first, phi)
    up = _combined(high_2 - second, first - low_1, phi)
    return second - first - down, second - first + up


def _wilson(value: float, n: float) -> Interval:
    error = sqrt(value * (1 - value) / n)
    return proportion(value, error, max(1, round(n)))


def _combined(own: float, other: float, phi: float) -> float:
    return sqrt(max(0.0, own**2 - 2 * phi * own * other + other**2))
