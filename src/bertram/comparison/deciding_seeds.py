"""Number of seeds that would decide an open comparison, if its size and noise are as estimated."""

from math import sqrt

from scipy.special import stdtrit

from bertram.comparison.contrast import LEAST_SEEDS, Estimate

MAX_SEEDS = 1000


def more_seeds(estimate: Estimate, *, tests: int = 1, smallest: float | None = None) -> int | None:
    """The seeds beyond those at hand that would make a difference significant or equivalent.

    Args:
        estimate: the estimate, whose value and standard deviation are taken to be true.
        tests: number of tests in its family; the significance level is divided by it.
        smallest: smallest effect of interest; None where none is set.

    Returns:
        The number; None where more than a thousand seeds in all would be needed.
    """
    if estimate.sd is None:
        return None
    for seeds in range(max(LEAST_SEEDS, estimate.seeds + 1), MAX_SEEDS + 1):
        error = estimate.sd / sqrt(seeds)
        size = abs(estimate.value)
        if size > error * float(stdtrit(seeds - 1, 1 - 0.025 / tests)):
            return seeds - estimate.seeds
        if smallest is not None and size + error * float(stdtrit(seeds - 1, 0.95)) < smallest:
            return seeds - estimate.seeds
    return None
