"""Equivalence by two one-sided tests (Schuirmann, 1987), against the smallest effect of interest."""

from bertram.evaluation.intervals import Interval
from bertram.evaluation.metrics import METRICS

SMALLEST_EFFECT = 0.005  # of overall, an accuracy, F1 or a correlation
LEVEL = 0.05  # of each one-sided test, so that the interval is one of 90 %
BOUNDED = frozenset({"overall", *(name for name, metric in METRICS.items() if not metric.error)})


def margin(metric: str, smallest: float) -> float | None:
    """The smallest effect of interest in the unit of a metric; None for losses, whose unit is another."""
    return smallest if metric in BOUNDED else None


def within(ci90: Interval | None, smallest: float | None) -> bool:
    """Whether both one-sided tests say that an effect is smaller than the smallest one of interest."""
    return ci90 is not None and smallest is not None and -smallest < ci90[0] and ci90[1] < smallest
