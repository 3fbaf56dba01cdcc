"""Outcomes whose scores are given, without examples."""

import numpy as np

from bertram.comparison.outcomes import Outcome, RunScore


def outcome_of(scores: dict[str, dict[int, float]]) -> tuple[list[Outcome], dict[str, dict[int, str]]]:
    """An outcome with given scores by arm and seed, and the runs of each arm."""
    arms = {cell: {seed: f"{cell}-{seed}" for seed in each} for cell, each in scores.items()}
    runs = {
        f"{cell}-{seed}": RunScore(value, {"t": np.zeros(2)}, hash((cell, seed)))
        for cell, each in scores.items()
        for seed, value in each.items()
    }
    return [Outcome("overall", "overall", "overall", runs, {}, 2)], arms
