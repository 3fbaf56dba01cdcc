"""Parts of a score's noise: common to a seed, seed × factor, rest, and examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from bertram.comparison.contrast import Scores, common_seeds
from bertram.evaluation.intervals import Floats


@dataclass(frozen=True)
class Components:
    """Standard deviations over seeds of one outcome, in its units.

    Attributes:
        seeds: seeds that all arms have.
        common: standard deviation of what a seed does to all arms alike; contrasts do not have it.
        effects: effect -> its standard deviation over seeds, seed × factor and rest together.
        rest: standard deviation of one run without the means of arm and seed and seed × factor; None where nothing is
            left to tell it by.
    """

    seeds: int
    common: float
    effects: Mapping[str, float]
    rest: float | None


def components(scores: Scores, effects: Mapping[str, Mapping[str, float]]) -> Components | None:
    """Decompose the noise of the scores of some arms over the seeds that all of them have.

    Args:
        scores: arm -> seed -> score.
        effects: name -> weights of the arms.

    Returns:
        None with fewer than two common seeds or fewer than two arms.
    """
    arms = list(scores)
    seeds = common_seeds(scores, dict.fromkeys(arms, 1.0))
    if len(seeds) < 2 or len(arms) < 2:
        return None
    y = np.array([[scores[arm][seed] for seed in seeds] for arm in arms])  # [arms, seeds]
    residual = y - y.mean(1, keepdims=True) - y.mean(0) + y.mean()
    df = (len(arms) - 1) * (len(seeds) - 1)
    weights = {name: np.array([arm_weights.get(arm, 0.0) for arm in arms]) for name, arm_weights in effects.items()}
    rest = _rest(residual, list(weights.values()))
    own = float((residual**2).sum()) / df if rest is None else rest**2
    return Components(
        seeds=len(seeds),
        common=sqrt(max(0.0, float(y.mean(0).var(ddof=1)) - own / len(arms))),
        effects={name: float((arm_weights @ y).std(ddof=1)) for name, arm_weights in weights.items()},
        rest=rest,
    )


def _rest(residual: Floats, weights: Sequence[Floats]) -> float | None:
    """Standard deviation of one run after the contrasts are projected out."""
    arms, seeds = residual.shape
    basis = (
        np.linalg.svd(np.stack([*weights, np.ones(arms)]), full_matrices=False)[2] if weights else np.ones((1, arms))
    )
    rank = int(np.linalg.matrix_rank(np.stack([*weights, np.ones(arms)])))
    left = residual - basis[:rank].T @ (basis[:rank] @ residual)
    df = (arms - rank) * (seeds - 1)
    return sqrt(float((left**2).sum()) / df) if df else None
