"""Power by simulation of the verdict rule itself: its test, its correction, its seeds."""

from collections.abc import Callable
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, stdtr, stdtrit

from bertram.comparison.contrast import LEAST_SEEDS
from bertram.comparison.sequential import look
from bertram.comparison.verdict import LEVEL
from bertram.evaluation.holm import holm_rows
from bertram.evaluation.intervals import Floats

TRIALS = 4000
POWER = 0.8
CONFIDENCE = 0.8  # of the upper bound of a standard deviation
MAX_SEEDS = 512  # seeds that are looked at


def upper_sd(sd: float, df: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper confidence bound of a standard deviation that is estimated with `df` degrees of freedom."""
    return sd * sqrt(df / float(chdtri(df, confidence)))


@lru_cache(maxsize=4096)
def rates(effect: float, seeds: int, tests: int = 1, smallest: float | None = None) -> tuple[float, float]:
    """Share of studies that find an effect significant, and share that find it smaller than the smallest of interest.

    The other tests of its family have no effect; that is the hardest case for Holm's correction.

    Args:
        effect: true effect, in standard deviations of the contrast over seeds.
        seeds: number of seeds.
        tests: number of tests in the family.
        smallest: smallest effect of interest, in the same unit.
    """
    if seeds < LEAST_SEEDS:
        return 0.0, 0.0
    generator = np.random.default_rng(0)
    means = effect * np.eye(1, tests)[0] + generator.normal(size=(TRIALS, tests)) / sqrt(seeds)
    errors = np.sqrt(generator.chisquare(seeds - 1, size=(TRIALS, tests)) / (seeds - 1) / seeds)
    significant, equivalent = decisions(means, errors, seeds, smallest)
    return float(significant[:, 0].mean()), float(equivalent[:, 0].mean())


def decisions(
    means: Floats, errors: Floats, seeds: int, smallest: float | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each effect of each trial is significant, and whether it is equivalent to none, [trials, tests].

    Args:
        means: estimated effects [trials, tests].
        errors: their standard errors over seeds [trials, tests].
        seeds: number of seeds.
        smallest: smallest effect of interest; None: nothing is equivalent.
    """
    p = 2 * stdtr(seeds - 1, -np.abs(means) / errors)
    half = errors * float(stdtrit(seeds - 1, 1 - LEVEL))
    inside = np.zeros(means.shape, dtype=bool) if smallest is None else np.abs(means) + half < smallest
    return holm_rows(p) < LEVEL, inside


@lru_cache(maxsize=256)
def sequential_rates(effect: float, smallest: float, max_seeds: int, tests: int = 1) -> tuple[float, float]:
    """Share of studies in which looks after 3, 4, … seeds decide an effect, and their mean number of seeds.

    Args:
        effect: true effect, in standard deviations of the contrast over seeds.
        smallest: smallest effect of interest, in the same unit.
        max_seeds: largest number of seeds, which counts where nothing is decided.
        tests: number of effects of the study.
    """
    differences = effect + np.random.default_rng(0).normal(size=(TRIALS, max_seeds))
    seeds, waiting = np.full(TRIALS, max_seeds), np.ones(TRIALS, dtype=bool)
    for count in range(LEAST_SEEDS, max_seeds + 1):
        means, errors = differences[:, :count].mean(1), differences[:, :count].std(1, ddof=1) / sqrt(count)
        significant, inside = look(means, errors, count, max_seeds=max_seeds, tests=tests, smallest=smallest)
        now = waiting & (significant | inside)
        seeds[now] = count
        waiting &= ~now
    return float(1 - waiting.mean()), float(seeds.mean())


def seeds_needed(sd: float, effect: float, *, tests: int = 1, least: int = LEAST_SEEDS) -> int | None:
    """The seeds with which an effect is significant in 80 % of the studies; None where 512 are not enough."""
    return _first(lambda seeds: rates(round(effect / sd, 4), seeds, tests)[0], least)


def seeds_for_equivalence(sd: float, smallest: float, *, least: int = LEAST_SEEDS) -> int | None:
    """The seeds with which no effect at all is found equivalent in 80 % of the studies; None where 512 are too few."""
    return _first(lambda seeds: rates(0.0, seeds, 1, round(smallest / sd, 4))[1], least)


def visible_effect(sd: float, seeds: int, *, tests: int = 1) -> float | None:
    """The effect that is significant in 80 % of the studies; None where there are too few seeds for a verdict."""
    if seeds < LEAST_SEEDS:
        return None
    low, high = 0.0, 64.0
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (low, middle) if rates(round(middle, 4), seeds, tests)[0] >= POWER else (middle, high)
    return sd * high


def _first(power: Callable[[int], float], least: int) -> int | None:
    """Fewest seeds with enough power, by doubling and bisection."""
    low = high = least
    while power(high) < POWER:
        if high >= MAX_SEEDS:
            return None
        low, high = high + 1, min(2 * high, MAX_SEEDS)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return high
