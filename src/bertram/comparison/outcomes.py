"""Outcomes of runs: every score that is compared, with each example's influence on it."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bertram.comparison.contrast import shared_variance
from bertram.evaluation.groups import text_groups, within
from bertram.evaluation.influence import by_group, influence, standard_error
from bertram.evaluation.intervals import Floats
from bertram.evaluation.losses import LOSSES, losses_of
from bertram.evaluation.metrics import is_error, metrics_of, on_unit_scale
from bertram.label_spaces import LabelSpace
from bertram.tasks import Task

OVERALL = "overall"
SQUARED_ERROR = "mse"
Scored = tuple[float, Floats, bytes]  # value, influence [n], what was predicted


@dataclass(frozen=True)
class TaskPredictions:
    """Predictions of several runs for one task.

    Attributes:
        space: label space of the task.
        gold: id -> label; labels that no run has predicted are left out.
        predicted: run -> id -> prediction in the form of the labels.
        metric: main score, if it is not the usual one of its label space.
        probabilities: run -> id -> probability of each class; runs without them are left out.
        groups: id -> anything that examples which are not independent have in common, such as a text, here and in other
            tasks.
    """

    space: LabelSpace
    gold: Mapping[str, float]
    predicted: Mapping[str, Mapping[str, float]]
    metric: str | None = None
    probabilities: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    groups: Mapping[str, Hashable] = field(default_factory=dict)

    @classmethod
    def from_rows(
        cls,
        task: Task,
        ids: Sequence[str],
        labels: NDArray[Any],
        predicted: Mapping[str, NDArray[Any]],
        groups: NDArray[np.intp] | None,
    ) -> Self:
        """Predictions that stand in the order of the rows.

        Args:
            task: the task.
            ids: id of each row.
            labels: gold labels, [n].
            predicted: run -> predictions, [n].
            groups: number of each row's group over all tasks, [n]; None where every row stands alone.
        """

        def by_id(values: NDArray[Any]) -> dict[str, Any]:
            return dict(zip(ids, values.tolist(), strict=True))

        return cls(
            task.label_space,
            by_id(labels),
            {run: by_id(values) for run, values in predicted.items()},
            task.scored_by,
            groups={} if groups is None else by_id(groups),
        )

    @property
    def main_metric(self) -> str:
        """Name of the task's main score."""
        return self.metric or self.space.main_metrics[0]

    @cached_property
    def ids(self) -> list[str]:
        """The ids that the runs have predicted, in one order."""
        return list(next(iter(self.predicted.values())))

    def labels(self) -> Floats:
        """Gold labels in the order of the ids, [n]."""
        return column(self.gold, self.ids)

    def predictions(self, run: str) -> Floats:
        """A run's predictions in the order of the ids, [n]."""
        return column(self.predicted[run], self.ids)

    def group_numbers(self) -> NDArray[np.intp] | None:
        """Number of each example's group, [n]; None where every example stands alone."""
        return within(joint_numbers([self])[0])


def joint_numbers(tasks: Iterable[TaskPredictions]) -> list[NDArray[np.intp] | None]:
    """Number of each example's group over all tasks, each [n]; None where every example of a task stands alone."""
    numbers: dict[Hashable, int] = {}
    return [
        np.array([numbers.setdefault(task.groups[id_], len(numbers)) for id_ in task.ids], dtype=np.intp)
        if task.groups
        else None
        for task in tasks
    ]


@dataclass(frozen=True)
class RunScore:
    """One run's score on an outcome.

    Attributes:
        value: the score.
        units: part of the outcome -> summed influence of each independent unit of examples [units]; parts share none.
        answers: hash of the predictions, by which equal ones are known.
    """

    value: float
    units: Mapping[str, Floats]
    answers: int


@dataclass(frozen=True)
class Outcome:
    """A score of all runs.

    Attributes:
        name: the task for its main score, the task and the metric for others, or overall.
        task: the task; overall for all of them.
        metric: name of the score.
        runs: run -> its score; runs without one are left out.
        undefined: run -> reason why it has none.
        n: number of examples; 0 where only scores are known.
    """

    name: str
    task: str
    metric: str
    runs: Mapping[str, RunScore]
    undefined: Mapping[str, str]
    n: int

    @property
    def sign(self) -> int:
        """-1 where lower is better."""
        return -1 if is_error(self.metric) else 1

    def units(self, weights: Mapping[str, float]) -> dict[str, Floats]:
        """Summed influence on a weighted sum of runs, by part."""
        used = {run: weight for run, weight in weights.items() if weight}
        parts = self.runs[next(iter(used))].units
        return {part: np.sum([w * self.runs[run].units[part] for run, w in used.items()], axis=0) for part in parts}

    def example_error(self, weights: Mapping[str, float]) -> float:
        """Standard error over examples of a weighted sum of these very runs."""
        return sqrt(sum(standard_error(units) ** 2 for units in self.units(weights).values()))

    def shared_error(self, by_seed: Iterable[Mapping[str, float]]) -> float:
        """Standard error over examples of what a weighted sum of runs has in common for all seeds."""
        influences = [self.units(weights) for weights in by_seed]
        variances = (shared_variance(np.stack([units[part] for units in influences])) for part in influences[0])
        return sqrt(max(0.0, sum(variances)))  # parts share no examples

    def same_answers(self, weights: Mapping[str, float]) -> bool:
        """Whether both sides of a weighted sum of runs have the same predictions."""
        sides = [
            sorted((abs(w), self.runs[run].answers) for run, w in weights.items() if w * sign > 0) for sign in (1, -1)
        ]
        return sides[0] == sides[1]


def outcomes(tasks: Mapping[str, TaskPredictions], *, losses: bool = True) -> list[Outcome]:
    """The outcomes of tasks: main scores, overall where there are several tasks, and losses.

    Args:
        tasks: task -> predictions of all runs on the same examples.
        losses: negative log-likelihood and Brier score of classes, squared error of scores.
    """
    main = [_scored(name, name, task, task.main_metric) for name, task in tasks.items()]
    further = [outcome for name, task in tasks.items() for outcome in _losses(name, task)] if losses else []
    return [*main, *([_overall(main, tasks)] if len(main) > 1 else []), *further]


def outcome_names(tasks: Mapping[str, Task]) -> list[str]:
    """The names of the outcomes of tasks, as `outcomes` gives them where all runs have probabilities."""
    losses = [
        f"{name} {loss}"
        for name, task in tasks.items()
        for loss in ([SQUARED_ERROR] if task.label_space.numeric else LOSSES)
    ]
    return [*tasks, *([OVERALL] if len(tasks) > 1 else []), *losses]


def _losses(name: str, task: TaskPredictions) -> list[Outcome]:
    if task.space.numeric:
        return [_scored(f"{name} {SQUARED_ERROR}", name, task, SQUARED_ERROR)]
    if not task.probabilities:
        return []
    return [_loss(name, task, loss) for loss in LOSSES]


def _loss(name: str, task: TaskPredictions, loss: str) -> Outcome:
    """A loss of the class probabilities."""

    def score(run: str) -> Scored | str:
        if run not in task.probabilities:
            return "no probabilities are kept"
        probabilities = np.array([task.probabilities[run][id_] for id_ in task.ids], dtype=np.float64)
        losses = losses_of(task.space)[loss](task.labels(), probabilities)
        return float(losses.mean()), losses - losses.mean(), probabilities.tobytes()

    return _outcome(f"{name} {loss}", name, loss, task, score)


def _scored(outcome: str, name: str, task: TaskPredictions, metric: str) -> Outcome:
    """A metric of the predictions."""
    scorer, gold = metrics_of(task.space)[metric], task.labels()

    def score(run: str) -> Scored | str:
        predicted = task.predictions(run)
        why = scorer.why_undefined(gold, predicted)
        if why is not None:
            return why
        return scorer.value(gold, predicted), influence(scorer.compute, gold, predicted), predicted.tobytes()

    return _outcome(outcome, name, metric, task, score)


def _outcome(
    outcome: str,
    name: str,
    metric: str,
    task: TaskPredictions,
    score: Callable[[str], Scored | str],
) -> Outcome:
    groups = task.group_numbers()
    runs, undefined = {}, {}
    for run in task.predicted:
        scored = score(run)
        if isinstance(scored, str):
            undefined[run] = scored
        else:
            runs[run] = RunScore(scored[0], {name: by_group(scored[1], groups)}, hash(scored[2]))
    return Outcome(outcome, name, metric, runs, undefined, len(task.ids))


def _overall(main: Sequence[Outcome], tasks: Mapping[str, TaskPredictions]) -> Outcome:
    """The mean of the main scores on [0, 1]."""
    every = dict.fromkeys(run for outcome in main for run in outcome.runs)
    return weighted_sum(OVERALL, main, tasks, {run: [1 / len(main)] * len(main) for run in every})


def weighted_sum(
    name: str,
    main: Sequence[Outcome],
    tasks: Mapping[str, TaskPredictions],
    weights: Mapping[str, Sequence[float]],
) -> Outcome:
    """A weighted sum of main scores on [0, 1]; only of runs that have them all.

    Args:
        name: name of the outcome.
        main: main scores of several tasks.
        tasks: predictions of these tasks, whose examples may be the same.
        weights: run -> weight of each main score.
    """
    numbers = joint_numbers(tasks[outcome.task] for outcome in main)
    parts = _parts(numbers)

    def score(run: str, factors: Sequence[float]) -> RunScore:
        scores = [outcome.runs[run] for outcome in main]
        units = [
            factor * unit(outcome.metric) * scored.units[outcome.task]
            for factor, outcome, scored in zip(factors, main, scores, strict=True)
        ]
        values = [
            factor * on_unit_scale(outcome.metric, scored.value)
            for factor, outcome, scored in zip(factors, main, scores, strict=True)
        ]
        return RunScore(
            float(sum(values)),
            {
                ", ".join(main[place].task for place in part): _added(
                    [units[place] for place in part], [numbers[place] for place in part]
                )
                for part in parts
            },
            hash(tuple(scored.answers for scored in scores)),
        )

    runs = {
        run: score(run, factors) for run, factors in weights.items() if all(run in outcome.runs for outcome in main)
    }
    undefined = {run: why for outcome in main for run, why in outcome.undefined.items()}
    return Outcome(name, name, OVERALL, runs, undefined, sum(outcome.n for outcome in main))


def _parts(numbers: Sequence[NDArray[np.intp] | None]) -> list[list[int]]:
    """Places of the tasks, in lists that have no group of examples in common."""
    joined = text_groups([[] if groups is None else np.unique(groups).tolist() for groups in numbers])
    parts: dict[int, list[int]] = {}
    for place in range(len(numbers)):
        parts.setdefault(place if joined is None else int(joined[place]), []).append(place)
    return list(parts.values())


def _added(units: Sequence[Floats], numbers: Sequence[NDArray[np.intp] | None]) -> Floats:
    """The influences of the independent units of tasks, summed where tasks share a unit."""
    if len(units) == 1:
        return units[0]
    keys = np.concatenate([list(dict.fromkeys(groups.tolist())) for groups in numbers if groups is not None])
    _, places = np.unique(keys, return_inverse=True)
    return np.bincount(places, weights=np.concatenate(units)).astype(np.float64)


def unit(metric: str) -> float:
    """Size on [0, 1] of one unit of a main score."""
    return on_unit_scale(metric, 1.0) - on_unit_scale(metric, 0.0)


def column(values: Mapping[str, float], ids: Sequence[str]) -> Floats:
    """The values of ids, [n]."""
    return np.array([values[id_] for id_ in ids], dtype=np.float64)
