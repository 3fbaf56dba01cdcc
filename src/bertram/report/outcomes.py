"""Input of a report: runs, and their predictions beside texts and gold labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bertram import options
from bertram.config import Config
from bertram.data.rows import Rows, limit_rows, read_further, read_rows
from bertram.data.sources import DataSource, HubUnreachableError, Split
from bertram.data.splits import run_source
from bertram.errors import BertramError, DataError, RunError
from bertram.evaluation.metrics import metrics_of
from bertram.evaluation.set_metrics import digits
from bertram.runs.directory import Run, read_metrics, read_predictions
from bertram.runs.record import Record
from bertram.runs.scores import Baselines, Score, SplitScores
from bertram.runs.typed_json import JsonObject
from bertram.tasks import ROW_FIELDS, Task

Floats = NDArray[np.float64]
OVERALL = "overall"


@dataclass(frozen=True)
class Outcomes:
    """Predictions and gold labels of a run for the dev examples of one task.

    Attributes:
        task: task that is predicted.
        ids: row ids, [n].
        texts: one or two texts per row, [n].
        gold: gold labels, [n]: class indices, 0 or 1, or scores.
        predicted: predictions, [n], in the same form.
        probabilities: probabilities, [n, classes]; None for scores.
        unknown: number of predictions whose id is not in the data.
    """

    task: Task
    ids: Sequence[str]
    texts: Sequence[tuple[str, ...]]
    gold: Floats
    predicted: Floats
    probabilities: Floats | None
    unknown: int = 0

    def score(self, chosen: NDArray[np.bool_] | None = None) -> float | None:
        """The main score of all or of some examples; None where it is undefined."""
        keep = np.ones(len(self.gold), bool) if chosen is None else chosen
        gold, predicted = self.gold[keep], self.predicted[keep]
        metric = metrics_of(self.task.label_space)[self.task.scored_by]
        return None if metric.why_undefined(gold, predicted) else metric.value(gold, predicted)

    @property
    def confidence(self) -> Floats | None:
        """[n] probability of what was predicted, of several labels the least sure one; None for scores."""
        if self.probabilities is None:
            return None
        if self.task.label_space.is_set:
            present = digits(self.predicted, self.task.classes)
            least: Floats = np.where(present == 1, self.probabilities, 1 - self.probabilities).min(axis=1)
            return least
        chosen: Floats = np.take_along_axis(self.probabilities, self.predicted.astype(int)[:, None], axis=1)[:, 0]
        return chosen


@dataclass(frozen=True)
class RunView:
    """A run that is shown: finished or not, with or without its configuration file."""

    run: Run

    @property
    def name(self) -> str:
        """Name of the run directory."""
        return self.run.path.resolve().name

    @cached_property
    def record(self) -> Record | None:
        """The record; None while the run is not finished."""
        return self.run.record if self.run.finished else None

    @cached_property
    def config(self) -> Config:
        """The resolved configuration, from the record where there is one."""
        return self.run.config if self.record is None else options.make(self.record.config)

    @cached_property
    def lines(self) -> list[JsonObject]:
        """Lines of metrics.jsonl; empty if only the record was kept."""
        lines: list[JsonObject] = []
        try:
            lines.extend(read_metrics(self.run.metrics))
        except RunError as error:
            lines.append({"log_fault": f"is shown up to its fault: {error}"})
        if self.run.metrics.is_file() and not self.run.is_as_recorded(self.run.metrics):
            lines.append({"log_fault": "is not the one that the run wrote: its SHA-256 is not the recorded one"})
        return lines

    @property
    def merged(self) -> bool:
        """Whether the run is a soup or an ensemble."""
        return self.record is not None and self.record.merged is not None

    @property
    def scores(self) -> SplitScores | None:
        """Dev scores; None while the run is not finished."""
        return None if self.record is None else self.record.scores.dev

    @property
    def train_scores(self) -> SplitScores | None:
        """Scores on a sample of the training rows; None where there are none."""
        return None if self.record is None else self.record.scores.train

    def baselines(self, task: str) -> Baselines:
        """Trivial answer -> metric -> score on a task's dev examples."""
        return {} if self.record is None else self.record.baselines.get(task, {})

    def main(self, outcome: str) -> Score | None:
        """The main dev score of a task, or ``overall``; None where there is none."""
        if self.scores is None:
            return None
        if outcome == OVERALL:
            return self.scores.overall
        task = self.config.tasks.get(outcome)
        return None if task is None else self.scores.score(outcome, task.scored_by)


class Library:
    """The data files, each read once for all runs that are shown.

    Args:
        data: data source for all runs; None: the data source of each run.
    """

    def __init__(self, data: str | None = None) -> None:
        self.data = data
        self.problems: dict[str, str] = {}  # data source, or file of predictions -> why it cannot be read
        self._read: dict[tuple[str, str, tuple[int, ...], str], Rows] = {}

    def rows(self, view: RunView, name: str, part: str) -> Rows | None:
        """The rows of a task's file; None where it cannot be read, which `problems` then explains.

        Raises:
            DataError: the files cannot be read although `data` says where they are.
        """
        task, data = view.config.tasks[name], self.data or view.config.data
        source = run_source(view.run, data)
        dev_rows = source.held_out.get(name)
        key = (
            task.model_dump_json(include={*ROW_FIELDS, "extra", "unlabelled"}),
            data,
            () if dev_rows is None else tuple(dev_rows.lines),
        )
        if data in self.problems:
            return None
        if (*key, part) not in self._read:
            try:
                self._read[*key, part] = _rows(task, source, part)
            except DataError as error:
                if self.data is not None and not isinstance(error, HubUnreachableError):
                    raise
                self.problems[data] = f"{error}{_looked_for(data)}"
                return None
        return self._read[*key, part]

    def trained(self, view: RunView, name: str) -> list[Rows]:
        """The rows that a run was trained on for a task: those that its limit, fraction and seed have left."""
        config = view.config
        task = config.tasks[name]
        rows = self.rows(view, name, "train") if task.trained else None
        if rows is None:
            return []
        limit = None if task.max_train_samples is None else min(task.max_train_samples, len(rows))
        rows = limit_rows(rows, limit=limit, fraction=config.sampling.fraction, seed=config.seed, name=name)
        further = [self.rows(view, name, place) for place in task.further]
        return [rows, *(file_rows for file_rows in further if file_rows is not None)]

    def outcomes(self, view: RunView, name: str) -> Outcomes | None:
        """A run's predictions for a task beside texts and labels; None where either cannot be read."""
        rows = self.rows(view, name, "dev")
        path = view.run.predictions(name)
        if rows is None or rows.labels is None or not path.is_file():
            return None
        try:
            lines = read_predictions(path)
        except BertramError as error:
            self.problems[str(path)] = str(error)
            return None
        place = {row_id: number for number, row_id in enumerate(rows.ids)}
        usable = [line for line in lines if line["id"] in place]
        if not usable:
            return None
        places = [place[line["id"]] for line in usable]
        probabilities = [line.get("probabilities") for line in usable]
        space = view.config.tasks[name].label_space
        return Outcomes(
            task=view.config.tasks[name],
            ids=[line["id"] for line in usable],
            texts=[rows.texts[number] for number in places],
            gold=rows.labels[places].astype(np.float64),
            predicted=np.array([space.internal(line["value"]) for line in usable], dtype=np.float64),
            probabilities=None if None in probabilities else np.array(probabilities, dtype=np.float64),
            unknown=len(lines) - len(usable),
        )


def _looked_for(data: str) -> str:
    """Places where a relative data directory was looked for; it is relative to where the training started."""
    if data in ("hub", "sample") or Path(data).expanduser().is_absolute():
        return ""
    return f" (looked for at {Path(data).absolute()}; --data says where the data are)"


def _rows(task: Task, data: DataSource, part: str) -> Rows:
    """Rejected rows were accepted or refused when the run was trained."""
    if part in task.further:
        return read_further(task, part, data, allow_rejects=True)
    return read_rows(task, data, cast(Split, part), allow_rejects=True)
