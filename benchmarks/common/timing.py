"""Seconds of functions that take turns in one process, so that a drifting machine slows all of them alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")
Quartiles = dict[str, float]  # "median", "low" (lower quartile), "high" (upper quartile)
Turn = Callable[[int], object]  # called with the number of the round


def alternate(
    turns: Mapping[Key, Turn], rounds: int, warm_up: int, clock: Callable[[], float] = time.perf_counter
) -> dict[Key, list[float]]:
    """Seconds of each turn in each round; the order of the turns rotates from round to round.

    Args:
        turns: functions to time; each gets the number of the round, counted from the first warm-up round.
        rounds: number of timed rounds.
        warm_up: number of rounds before them that are not timed.
        clock: clock to read, in seconds.
    """
    seconds: dict[Key, list[float]] = {key: [] for key in turns}
    keys = list(turns)
    for number in range(warm_up + rounds):
        start = number % len(keys)
        for key in keys[start:] + keys[:start]:
            begin = clock()
            turns[key](number)
            if number >= warm_up:
                seconds[key].append(clock() - begin)
    return seconds


def quartiles(values: Sequence[float], digits: int = 5) -> Quartiles:
    """Median and quartiles of some values, rounded."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return {"median": round(median, digits), "low": round(low, digits), "high": round(high, digits)}


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Quartiles:
    """Median and quartiles of the ratio of each round."""
    return quartiles([a / b for a, b in zip(numerators, denominators, strict=True)], digits=3)
