"""P(A > B): the probability that A with a new seed beats B with that seed."""

from scipy.special import nctdtrinc, ndtr

from bertram.comparison.contrast import Estimate
from bertram.evaluation.intervals import Interval

LARGEST_T = 1e3  # beyond it all probabilities are 0 or 1 to the last digit, and the search for them has no end


def probability(estimate: Estimate) -> tuple[float, Interval] | None:
    """P(A > B) for normal differences, and its 95 % interval from the noncentral t.

    The standardized mean δ = μ/σ has √S·δ as noncentrality of the t-value; the interval of δ inverts that distribution
    (Reiser & Guttman, 1986), and Φ(δ) is the probability.

    Args:
        estimate: A minus B over seeds, higher being better.

    Returns:
        None where there are too few seeds, or all seeds agree to the last digit.
    """
    error = estimate.standard_error
    if error is None or not estimate.testable or not estimate.spread:
        return None
    t, root = estimate.value / error, estimate.seeds**0.5
    searched = max(-LARGEST_T, min(LARGEST_T, t))
    low, high = (float(nctdtrinc(estimate.df, p, searched)) / root for p in (0.975, 0.025))
    return float(ndtr(t / root)), (float(ndtr(low)), float(ndtr(high)))
