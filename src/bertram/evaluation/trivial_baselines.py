"""Trivial baselines: scores of answers that do not depend on the texts."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertram.evaluation import set_metrics
from bertram.evaluation.intervals import Floats
from bertram.evaluation.scoring import score_task
from bertram.label_spaces import LabelSpace
from bertram.runs.scores import Score


def trivial_baselines(
    space: LabelSpace,
    train_labels: ArrayLike | None,
    dev_labels: ArrayLike,
    groups: NDArray[np.intp] | None = None,
    *,
    seed: int = 0,
) -> dict[str, dict[str, Score]]:
    """Score answers that do not depend on the texts, on the dev labels.

    Args:
        space: label space of the task.
        train_labels: labels [train rows]; the majority class and the mean score are theirs. None if they are not known:
            then they come from the dev labels, and the names of these baselines say so.
        dev_labels: labels [n].
        groups: number of each example's group of shared texts [n]; None: every example stands alone.
        seed: random seed of the random scores.

    Returns:
        Baseline -> metric -> score: `majority`, for yes or no also `always_no` and `always_yes`; for scores
        `mean` (of train: a constant, which has no correlation) and `random` (drawn from the train labels).
    """
    dev = np.asarray(dev_labels, dtype=np.float64)
    train = dev if train_labels is None else np.asarray(train_labels, dtype=np.float64)
    generator = np.random.default_rng(seed)
    guesses = {name: BASELINES[name](train, len(dev), generator) for name in space.baselines}
    scores = {name: score_task(space, dev, guess, groups=groups) for name, guess in guesses.items()}
    if train_labels is not None:
        return scores
    return {f"{name}_of_scored_rows" if name in FITTED_BASELINES else name: score for name, score in scores.items()}


def _majority(train: Floats, count: int, _: np.random.Generator) -> Floats:
    values, counts = np.unique(train, return_counts=True)
    return np.full(count, values[counts.argmax()])


FITTED_BASELINES = (
    "majority",
    "mean",
    "random",
    "frequent_labels",
    "every_label",
)  # whose answers depend on the training labels
BASELINES: dict[str, Callable[[Floats, int, np.random.Generator], Floats]] = {
    "majority": _majority,
    "always_no": lambda _, count, __: np.full(count, 0.0),
    "always_yes": lambda _, count, __: np.full(count, 1.0),
    "frequent_labels": lambda train, count, _: np.full(count, set_metrics.frequent_labels(train)),
    "every_label": lambda train, count, _: np.full(count, set_metrics.every_label(train)),
    "mean": lambda train, count, _: np.full(count, train.mean()),
    "random": lambda train, count, generator: generator.choice(train, count),
}
