"""Scores of a task and of a run, each with its number of examples and an interval.

nan never leaves this room: an undefined score is None, with a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertram.evaluation.groups import meet, within
from bertram.evaluation.influence import correlations, influence
from bertram.evaluation.intervals import Floats, Interval
from bertram.evaluation.losses import losses_of
from bertram.evaluation.mean_interval import mean_interval
from bertram.evaluation.metrics import MEAN_LOSS, Metric, metrics_of, on_unit_scale
from bertram.label_spaces import LabelSpace
from bertram.runs.scores import Score, SplitScores


def score_task(
    space: LabelSpace,
    gold: ArrayLike,
    predicted: ArrayLike,
    probabilities: ArrayLike | None = None,
    groups: NDArray[np.intp] | None = None,
) -> dict[str, Score]:
    """Score one task with every metric of its label space; for classes, `f1` is the macro-F1.

    Args:
        space: label space of the task.
        gold: labels [n]: class indices, 0 or 1, or scores.
        predicted: predictions [n], in the same form.
        probabilities: probability of each class [n, classes], for the proper scores `nll` and `brier`.
        groups: number of each example's group of shared texts [n]; None: every example stands alone.

    Returns:
        Metric -> score.
    """
    y, z = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    assert y.shape == z.shape == (y.size,), f"{y.shape} gold labels, {z.shape} predictions"
    scores = {name: _score(metric, y, z, groups) for name, metric in metrics_of(space).items()}
    if probabilities is None or len(y) == 0:
        return scores
    p = np.asarray(probabilities, dtype=np.float64)
    losses_by_name = {name: loss(y, p) for name, loss in losses_of(space).items()}
    return scores | {name: _score(MEAN_LOSS, y, losses, groups) for name, losses in losses_by_name.items()}


def _score(metric: Metric, gold: Floats, predicted: Floats, groups: NDArray[np.intp] | None) -> Score:
    reason = metric.why_undefined(gold, predicted)
    if reason is not None:
        return Score(None, None, len(gold), reason)
    value = metric.value(gold, predicted)
    return Score(value, metric.ci95(value, gold, predicted, groups), len(gold))


@dataclass(frozen=True)
class TaskOutputs:
    """Predictions of a model for one task, beside the gold labels.

    Attributes:
        space: label space of the task.
        gold: labels [n].
        predicted: predictions [n].
        metric: main score, if it is not the usual one of the label space.
        probabilities: probability of each class [n, classes]; None where there are none.
        groups: number of each example's group of shared texts over all tasks [n]; None: every example stands alone.
    """

    space: LabelSpace
    gold: ArrayLike
    predicted: ArrayLike
    metric: str | None = None
    probabilities: ArrayLike | None = None
    groups: NDArray[np.intp] | None = None

    @property
    def main_metric(self) -> str:
        """Name of the task's main score."""
        return self.metric or self.space.main_metrics[0]


def score_run(tasks: Mapping[str, TaskOutputs]) -> SplitScores:
    """Score every task of a run and the overall.

    Args:
        tasks: task -> predictions.
    """
    scores = {
        name: score_task(task.space, task.gold, task.predicted, task.probabilities, within(task.groups))
        for name, task in tasks.items()
    }
    main = {name: (task.main_metric, scores[name][task.main_metric]) for name, task in tasks.items()}
    values = {name: (metric, score.value) for name, (metric, score) in main.items()}
    undefined = ", ".join(f"{name} has no {metric}" for name, (metric, value) in values.items() if value is None)
    reason = undefined or "there are no tasks"
    plain = [(score.value, score.ci95) for _, score in main.values()]
    on_unit = [
        (
            None if value is None else on_unit_scale(metric, value),
            None if ci95 is None else (on_unit_scale(metric, ci95[0]), on_unit_scale(metric, ci95[1])),
        )
        for (metric, _), (value, ci95) in zip(main.values(), plain, strict=True)
    ]
    together = None if undefined or not meet([task.groups for task in tasks.values()]) else _correlations(tasks)
    return SplitScores.of(scores, _mean_score(on_unit, reason, together), _mean_score(plain, reason, together))


def _correlations(tasks: Mapping[str, TaskOutputs]) -> Floats:
    """Correlations over examples of the main scores, [tasks, tasks]."""
    influences = [
        influence(
            metrics_of(task.space)[task.main_metric].compute,
            np.asarray(task.gold, dtype=np.float64),
            np.asarray(task.predicted, dtype=np.float64),
        )
        for task in tasks.values()
    ]
    return correlations(influences, [task.groups for task in tasks.values()])


def _mean_score(scores: Sequence[tuple[float | None, Interval | None]], reason: str, together: Floats | None) -> Score:
    """The score of all tasks together, with the interval of the mean."""
    values = [value for value, _ in scores if value is not None]
    intervals = [interval for _, interval in scores if interval is not None]
    if not scores or len(values) < len(scores):
        return Score(None, None, undefined=reason)
    return Score(sum(values) / len(values), mean_interval(values, intervals, together))


def overall(main_scores: Mapping[str, tuple[str, float | None]]) -> float | None:
    """Mean over tasks of the main score on [0, 1], the study's leaderboard formula; None if one is undefined.

    Args:
        main_scores: task -> name and value of its main score.
    """
    on_unit = [on_unit_scale(metric, value) for metric, value in main_scores.values() if value is not None]
    return sum(on_unit) / len(on_unit) if on_unit and len(on_unit) == len(main_scores) else None


def selection_score(main_scores: Mapping[str, tuple[str, float | None]]) -> float:
    """The overall score by which checkpoints are chosen: an undefined score counts as 0 on [0, 1]."""
    on_unit = [0.0 if value is None else on_unit_scale(metric, value) for metric, value in main_scores.values()]
    return sum(on_unit) / len(on_unit)


def confusion_matrix(gold: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count examples by gold class (row) and predicted class (column), [classes, classes]."""
    y, z = np.asarray(gold, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    return np.bincount(y * classes + z, minlength=classes**2).reshape(classes, classes).astype(np.int64)
