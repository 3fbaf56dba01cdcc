"""How many seeds would decide an open comparison, if its size and noise are as estimated."""

from math import sqrt

from scipy.special import stdtrit

from bertram.comparison.contrast import LEAST_SEEDS, Estimate

MOST = 1000


def more_seeds(found: Estimate, *, tests: int = 1, smallest: float | None = None) -> int | None:
    """The seeds beyond those at hand that would make a difference significant or equivalent.

    Args:
        found: the estimate, whose value and standard deviation are taken to be true.
        tests: number of tests in its family; the significance level is divided by it.
        smallest: smallest effect of interest; None where none is set.

    Returns:
        The number; None where more than a thousand seeds in all would be needed.
    """
    if found.sd is None:
        return None
    for seeds in range(max(LEAST_SEEDS, found.seeds + 1), MOST + 1):
        error = found.sd / sqrt(seeds)
        size = abs(found.value)
        if size > error * float(stdtrit(seeds - 1, 1 - 0.025 / tests)):
            return seeds - found.seeds
        if smallest is not None and size + error * float(stdtrit(seeds - 1, 0.95)) < smallest:
            return seeds - found.seeds
    return None
