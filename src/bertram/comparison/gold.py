"""Gold labels by id, and what a run or anybody's file predicts for them."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertram.comparison.prediction_files import counted_ids, match_predictions
from bertram.data.checks import left_out
from bertram.data.rows import Rows, read_rows
from bertram.data.sources import Split
from bertram.data.tables import open_table
from bertram.errors import BertramError, DataError
from bertram.evaluation.metrics import score_task, trivial_baselines
from bertram.runs.directory import Run, read_predictions
from bertram.runs.scores import Baselines, TaskScores
from bertram.tasks import Files, Task


@dataclass(frozen=True)
class FileScore:
    """What `bertram score` shows.

    Attributes:
        scores: metric -> score.
        baselines: trivial answer -> metric -> score.
        left_out: rows of the gold file that do not count, a line each.
    """

    scores: TaskScores
    baselines: Baselines
    left_out: list[str]


def gold_labels(task: Task, data: str, split: Split, *, allow_rejects: bool = False) -> dict[str, float]:
    """Id -> label of the usable rows of a split.

    Raises:
        DataError: a fault of the file, or an id that occurs twice.
    """
    return labels_by_id(read_rows(task, data, split, allow_rejects=allow_rejects))


def run_predictions(run: Run, task: str, split: Split) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Id -> value of what a run has predicted for a split, and id -> probabilities of the classes where it has them.

    Raises:
        RunError: there are no predictions, or they are damaged.
        DataError: an id occurs twice.
    """
    path = run.predictions(task, split)
    lines = read_predictions(path)
    refuse_doubles(path, (line["id"] for line in lines))
    probabilities = {line["id"]: line["probabilities"] for line in lines if "probabilities" in line}
    return {line["id"]: float(line["value"]) for line in lines}, probabilities


def text_groups(ids: Sequence[str], texts: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Id -> number of its group: rows that share a text, directly or by way of others, are not independent."""
    parent = list(range(len(ids)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[str, int] = {}
    for row, several in enumerate(texts):
        for text in several:
            parent[root(row)] = root(first.setdefault(text, row))
    return {one: root(row) for row, one in enumerate(ids)}


def task_named(tasks: Mapping[str, Task], name: str) -> Task:
    """One of the tasks, or a BertramError that names the others."""
    if name not in tasks:
        near = difflib.get_close_matches(name, tasks, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(tasks)}; others are defined by --config"
        raise BertramError(f"there is no task {name!r}; {hint}")
    return tasks[name]


def score_file(predictions: Path, gold: Path, task: Task, *, allow_rejects: bool = False) -> FileScore:
    """Score a file of predictions against a file of gold labels.

    Args:
        predictions: in any form that `submission.read_predictions` takes.
        gold: a data file with the columns that the task's files have, or its files on the Hub.
        task: what the labels mean.
        allow_rejects: accept a gold file of which more than 1 % of the rows cannot be used.

    Raises:
        DataError: a fault of either file, and all ids that are missing, unknown or double.
    """
    task = _with_columns_of(task, gold)
    rows = read_rows(task, str(gold.parent.resolve()), "dev", allow_rejects=allow_rejects)
    labels = labels_by_id(rows)
    # A prediction for a row that does not count, because it has no label for example, is no mistake.
    known, predicted = match_predictions(predictions, labels, task.label_space, ignore=_all_ids(gold, task.files))
    baselines = trivial_baselines(task.label_space, known, known)
    return FileScore(score_task(task.label_space, known, predicted), baselines, left_out(task.name, rows))


def _with_columns_of(task: Task, path: Path) -> Task:
    """The task with a file as its dev file, under the column names of its own files or else of those on the Hub."""
    layouts = [files for files in (task.files, task.hub) if files is not None]
    if path.is_file():
        with open_table(path, task.files.encoding, task.files.quoting) as table:
            columns = set(table.columns)
        layouts.sort(key=lambda files: not {*files.texts, files.label} <= columns)  # stable: own files come first
    return task.model_copy(update={"files": layouts[0].model_copy(update={"dev": path.name})})


def _all_ids(path: Path, files: Files) -> set[str]:
    """The ids of all rows of a file, also of those that are rejected."""
    column = files.id
    with open_table(path, files.encoding, files.quoting) as table:
        records = table.read([] if column is None else [column])
        if column is None:
            return {str(number) for number, _ in enumerate(records, start=1)}
        return {str(record.values.get(column, "")).strip() for record in records}


def labels_by_id(rows: Rows) -> dict[str, float]:
    """Id -> label; a DataError if an id occurs twice."""
    assert rows.labels is not None
    return dict(zip(rows.ids, rows.labels.tolist(), strict=True))


def refuse_doubles(path: Path, ids: Iterable[str]) -> None:
    """Raise DataError if an id of a file occurs twice."""
    doubles = [one for one, count in Counter(ids).items() if count > 1]
    if doubles:
        raise DataError(f"{path}: ids that occur more than once: {counted_ids(doubles)}; ids must tell rows apart")
