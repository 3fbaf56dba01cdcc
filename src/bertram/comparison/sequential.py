"""Seeds until decided: group-sequential tests after 3, 4, 5, … seeds.

Spending of O'Brien and Fleming's type (Lan & DeMets, 1983) gives each look a nominal level, by the recursion of
Armitage, McPherson & Rowe (1969) for a Brownian motion. The t-tests of the looks use these levels (Jennison & Turnbull,
2000, section 4.4). Each effect has its equal share of 5 %, for "differs" and for "equivalent": of an effect only one of
the two can be false, so a study holds a false verdict in at most 5 %.
"""

from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr

from bertram.comparison.contrast import LEAST_SEEDS, varies
from bertram.evaluation.intervals import Floats

LEVEL = 0.045  # of the 5 %: nominal levels of a normal process are a little too large for t-tests of few seeds
POINTS = 1601  # of the grid of the Brownian motion
WIDE = 8.0  # standard deviations that the grid reaches


def spent(fraction: float, level: float) -> float:
    """Share of a one-sided level that is spent at a fraction of the information, of O'Brien and Fleming's type."""
    return float(2 * ndtr(-ndtri(1 - level / 2) / sqrt(fraction)))


@lru_cache(maxsize=64)
def nominal_levels(max_seeds: int, level: float) -> tuple[float, ...]:
    """The one-sided nominal level of each look, after 3, 4, … seeds up to a maximum.

    Args:
        max_seeds: largest number of seeds.
        level: one-sided level of all looks together.
    """
    grid = np.linspace(-WIDE, WIDE, POINTS)
    step = grid[1] - grid[0]
    levels, density, before, used = [], np.empty(0), 0.0, 0.0
    for seeds in range(LEAST_SEEDS, max_seeds + 1):
        now = seeds / max_seeds
        if before == 0:
            density = np.exp(-(grid**2) / (2 * now)) / sqrt(2 * np.pi * now)
        else:
            distance = grid[:, None] - grid
            kernel = np.exp(-(distance**2) / (2 * (now - before))) / sqrt(2 * np.pi * (now - before))
            density = kernel @ density * step
        above = np.cumsum(density[::-1])[::-1] * step  # chance to lie at or above each point, not having crossed before
        to_spend = spent(now, level) - used
        border = float(np.interp(-to_spend, -above, grid - step / 2))
        levels.append(float(ndtr(-border / sqrt(now))))
        density = np.where(grid < border, density, 0.0)
        before, used = now, spent(now, level)
    return tuple(levels)


def look(
    means: Floats, errors: Floats, seeds: int, *, max_seeds: int, tests: int, smallest: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Decisions of a look: effects that are significant, and effects that are smaller than the smallest of interest.

    Effects that are the same with every seed have no known noise, and stay open.

    Args:
        means: estimated effects.
        errors: their standard errors over seeds.
        seeds: seeds so far.
        max_seeds: largest number of seeds.
        tests: number of effects of the study.
        smallest: smallest effect of interest.
    """
    at = seeds - LEAST_SEEDS
    two_sided = nominal_levels(max_seeds, LEVEL / 2 / tests)[at]
    one_sided = nominal_levels(max_seeds, LEVEL / tests)[at]
    vary = varies(means, errors)
    safe = np.where(vary, errors, 1.0)
    significant = vary & (stdtr(seeds - 1, -np.abs(means) / safe) < two_sided)
    inside = vary & (stdtr(seeds - 1, (np.abs(means) - smallest) / safe) < one_sided)
    return significant, inside
