"""95 % intervals of scores over examples, that hold for few examples too and never have width zero.

Each takes a score, its standard error over examples (the jackknife's, with examples that share a text left out
together) and the number of examples.
"""

from math import atanh, exp, sqrt, tanh

from scipy.special import ndtri, stdtrit

from bertram.evaluation.intervals import Interval

Z = float(ndtri(0.975))
LARGEST_R = 1 - 1e-9
WIDEST = 50.0  # natural logarithms; a wider half of an interval says nothing more


def proportion(value: float, error: float, n: int) -> Interval:
    """Wilson's interval (1927) of a score on [0, 1], for as many examples as its standard error tells.

    An accuracy p has the standard error √(p(1 - p)/n); other scores, and examples that share texts, have another, and
    the number of examples is taken that would give it. Where it is 0 it tells nothing, and n counts.
    """
    count = value * (1 - value) / error**2 if error > 0 and 0 < value < 1 else float(n)
    centre = (value + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * sqrt(value * (1 - value) / count + Z**2 / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def correlation(value: float, error: float, n: int) -> Interval:
    """Fisher's z with a standard error that holds for other than normal data too."""
    r = max(-LARGEST_R, min(LARGEST_R, value))
    if n < 4:
        return -1.0, 1.0
    spread = error / (1 - r**2) if error > 0 and abs(value) < LARGEST_R else 1 / sqrt(n - 3)
    half = spread * float(stdtrit(n - 2, 0.975))
    return tanh(atanh(r) - half), tanh(atanh(r) + half)


def positive(value: float, error: float, n: int) -> Interval:
    """The interval of a mean error or loss, on the logarithmic scale.

    Where all examples have the same, it reaches up to what a share of examples that the sample may have missed would
    add, with an error of 1.
    """
    if error <= 0 or value <= 0 or n < 2:
        return value, value + float(1 - 0.025 ** (1 / n))
    half = min(WIDEST, float(stdtrit(n - 1, 0.975)) * error / value)
    return value * exp(-half), value * exp(half)
