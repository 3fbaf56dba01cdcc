"""Scores of a model on labelled examples of its tasks."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bertram.data.examples import Examples
from bertram.evaluation.groups import joint_groups, text_groups
from bertram.evaluation.metrics import metrics_of
from bertram.evaluation.scoring import TaskOutputs, score_run, selection_score
from bertram.model.outputs import output_of
from bertram.prediction.model import Predictor
from bertram.runs.scores import SplitScores


@dataclass(frozen=True)
class Evaluation:
    """Outputs of a model for the examples of its tasks.

    Attributes:
        examples: task -> examples.
        outputs: task -> outputs, [n, K] or [n]; see `Predictor.outputs`.
    """

    examples: Mapping[str, Examples]
    outputs: Mapping[str, Tensor]

    def values(self, task: str) -> npt.NDArray[Any]:
        """[n] class index, 0 or 1, or score."""
        return output_of(self.examples[task].task).decide(self.outputs[task]).numpy()

    def probabilities(self, task: str) -> list[list[float]] | None:
        """Probabilities of each example's classes, [n, K]; None for scores."""
        probabilities = output_of(self.examples[task].task).probabilities(self.outputs[task])
        return None if probabilities is None else probabilities.tolist()

    def scores(self) -> SplitScores:
        """Scores of each task and over all tasks, with intervals."""
        groups = joint_groups_of(self.examples)
        return score_run(
            {
                name: replace(
                    task_outputs(examples, self.values(name)),
                    probabilities=self.probabilities(name),
                    groups=groups[name],
                )
                for name, examples in self.examples.items()
            }
        )

    def main_scores(self) -> dict[str, float | None]:
        """Each task's main score, without an interval; None where it is undefined."""
        return {name: _main_score(task_outputs(e, self.values(name))) for name, e in self.examples.items()}

    def selection(self) -> float:
        """The overall score by which checkpoints are chosen, an undefined score counting as 0."""
        main = self.main_scores()
        return selection_score({name: (e.task.scored_by, main[name]) for name, e in self.examples.items()})


def _main_score(outputs: TaskOutputs) -> float | None:
    gold, predicted = (np.asarray(column, dtype=np.float64) for column in (outputs.gold, outputs.predicted))
    value = metrics_of(outputs.space)[outputs.main_metric].value(gold, predicted)
    return value if math.isfinite(value) else None


def evaluate(
    model: Predictor,
    examples: Mapping[str, Examples],
    batch_size: int = 64,
    track: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> Evaluation:
    """Predict the examples of each task.

    Args:
        model: a model or an ensemble.
        examples: task -> examples.
        batch_size: examples per batch.
        track: wraps the iteration over the task names, to show progress.
    """
    outputs = {name: model.outputs(examples[name], batch_size) for name in track(list(examples))}
    return Evaluation(examples, outputs)


def task_outputs(examples: Examples, predicted: npt.NDArray[Any]) -> TaskOutputs:
    """Gold labels and predictions of a task, for scoring."""
    assert examples.labels is not None
    space = examples.task.label_space
    return TaskOutputs(space, examples.labels.numpy().astype(space.dtype), predicted, examples.task.scored_by)


def sample(examples: Examples, count: int, seed: int) -> Examples:
    """At most `count` of the examples, drawn by a seed; all of them where there are no more."""
    if len(examples) <= count:
        return examples
    return examples.at(np.sort(np.random.default_rng(seed).permutation(len(examples))[:count]))


def groups_of(examples: Examples) -> npt.NDArray[np.intp] | None:
    """Number of each example's group of shared texts, [n]; texts with the same tokens are one text."""
    return text_groups(_texts(examples))


def joint_groups_of(tasks: Mapping[str, Examples]) -> dict[str, npt.NDArray[np.intp]]:
    """Number of each example's group of shared texts over all tasks, [n] for each, likewise."""
    return joint_groups({name: _texts(examples) for name, examples in tasks.items()})


def _texts(examples: Examples) -> list[list[tuple[int, ...]]]:
    return [[tuple(text) for text in texts] for texts in examples.pieces]
