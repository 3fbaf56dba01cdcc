"""Scores of each label of a multi-label task."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bertram.evaluation.intervals import Floats
from bertram.evaluation.scoring import score_task
from bertram.evaluation.set_metrics import digits
from bertram.label_spaces import YesNo
from bertram.runs.scores import Score
from bertram.tasks import Task


@dataclass(frozen=True)
class LabelScore:
    """Scores of one label.

    Attributes:
        name: display name of the label.
        gold: number of examples that have it.
        predicted: number of examples for which it is predicted.
        precision: share of the predicted ones that have it; None if it is never predicted.
        recall: share of the examples with it for which it is predicted; None if no example has it.
        f1: F1, with an interval.
        threshold: probability above which it is predicted.
    """

    name: str
    gold: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: Score
    threshold: float


def label_scores(
    task: Task, gold: Floats, predicted: Floats, groups: NDArray[np.intp] | None = None
) -> Iterator[LabelScore]:
    """The scores of each label of a multi-label task, in order.

    Args:
        task: task of the predictions.
        gold: sets of labels [n].
        predicted: predicted sets of labels [n].
        groups: number of each row's group of shared texts [n]; None: every row stands alone.
    """
    is_gold, is_predicted = digits(gold, task.classes), digits(predicted, task.classes)
    thresholds = task.thresholds or (0.5,)
    for index, name in enumerate(task.class_names):
        present, chosen = is_gold[:, index], is_predicted[:, index]
        hits = float(present @ chosen)
        yield LabelScore(
            name,
            int(present.sum()),
            int(chosen.sum()),
            hits / chosen.sum() if chosen.any() else None,
            hits / present.sum() if present.any() else None,
            score_task(YesNo(), present, chosen, groups=groups)["f1"],
            thresholds[min(index, len(thresholds) - 1)],
        )
