"""Gold labels by id, and the predictions of a run or of any file for them."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bertram.comparison.prediction_files import Columns, counted_ids, match_predictions
from bertram.data.checks import left_out
from bertram.data.rows import Rows, read_rows
from bertram.data.sources import Split
from bertram.data.tables import open_table
from bertram.errors import BertramError, DataError
from bertram.evaluation.groups import text_groups
from bertram.evaluation.scoring import score_task
from bertram.evaluation.trivial_baselines import trivial_baselines
from bertram.runs.directory import Run, read_predictions
from bertram.runs.scores import Baselines, TaskScores
from bertram.standard_streams import is_dash
from bertram.task_files import Files
from bertram.tasks import Task


@dataclass(frozen=True)
class FileScore:
    """Scores of a file of predictions, as `bertram score` shows them.

    Attributes:
        scores: metric -> score.
        baselines: trivial answer -> metric -> score.
        notes: rows of the gold file that do not count, a line each, and their number.
    """

    scores: TaskScores
    baselines: Baselines
    notes: list[str]


def run_predictions(run: Run, task: str, split: Split) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Id -> value of what a run has predicted for a split, and id -> probabilities of the classes where it has them.

    Raises:
        RunError: there are no predictions, or they are damaged.
        DataError: an id occurs twice.
    """
    path = run.predictions(task, split)
    lines = read_predictions(path)
    refuse_duplicates(path, (line["id"] for line in lines))
    space = run.config.tasks[task].label_space
    probabilities = {line["id"]: line["probabilities"] for line in lines if "probabilities" in line}
    return {line["id"]: space.internal(line["value"]) for line in lines}, probabilities


def task_named(tasks: Mapping[str, Task], name: str) -> Task:
    """The task of this name; a BertramError lists the tasks if there is none."""
    if name not in tasks:
        near = difflib.get_close_matches(name, tasks, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(tasks)}, or define others by --config"
        raise BertramError(f"unknown task {name!r}; {hint}")
    return tasks[name]


def score_file(
    predictions: Path,
    gold: Path,
    task: Task,
    *,
    allow_rejects: bool = False,
    partial: bool = False,
    encoding: str | None = None,
) -> FileScore:
    """Score a file of predictions against a file of gold labels.

    Args:
        predictions: predictions in any form that `match_predictions` takes.
        gold: a data file with the columns that the task's files have, or its files on the Hub; or - for standard input.
        task: task that says what the labels mean; constants of the baselines come from its training file, if that is
            beside `gold`.
        allow_rejects: accept a gold file of which more than 1 % of the rows cannot be used.
        partial: score only the rows that have a prediction.
        encoding: text encoding of the predictions; default: UTF-8, or what a byte order mark says.

    Raises:
        DataError: a fault of either file, and all ids that are missing, unknown or duplicate.
    """
    task = _with_columns_of(task, gold)
    directory = str(gold.parent.resolve())
    rows = read_rows(task, directory, "dev", allow_rejects=allow_rejects)
    matched = match_predictions(
        predictions,
        labels_by_id(rows),
        task.label_space,
        columns=Columns(task.files.id, task.files.label),
        # A prediction for a row that does not count, for example because it has no label, is no fault.
        ignore=_all_ids(gold, task.files),
        partial=partial,
        encoding=encoding,
        other_files=_ids_of_others(task, gold),
    )
    notes = left_out(task.name, rows)
    if matched.probability_fault is not None:
        notes.append(f"{predictions}: nll and brier are left out: {matched.probability_fault}")
    texts = dict(zip(rows.ids, rows.texts, strict=True))
    groups = text_groups([texts[id_] for id_ in matched.ids])
    if matched.withheld:
        answered = len(matched.gold)
        total = answered + matched.withheld
        notes.append(
            f"{predictions}: coverage {answered / total:.4f}: {answered:,} of {total:,} rows are answered, and the "
            f"scores are of these; {matched.withheld:,} predictions are withheld"
        )
    if matched.missing:
        notes.append(f"{predictions}: {len(matched.gold):,} of {len(rows):,} gold rows have a prediction and count")
    return FileScore(
        score_task(task.label_space, matched.gold, matched.predicted, matched.probabilities, groups),
        trivial_baselines(task.label_space, _train_labels(task, directory, gold), matched.gold, groups),
        notes,
    )


def _train_labels(task: Task, directory: str, gold: Path) -> NDArray[np.int64] | NDArray[np.float64] | None:
    """The labels of the training file beside a gold file; None where there is none, or none that can be read."""
    if task.files.train in (None, gold.name):
        return None
    try:
        return read_rows(task, directory, "train", allow_rejects=True).labels
    except DataError:
        return None


def _ids_of_others(task: Task, gold: Path) -> dict[str, set[str]]:
    """The ids of the task's other files beside a gold file, by split and name."""
    ids: dict[str, set[str]] = {}
    for split in ("train", "test"):
        name = getattr(task.files, split)
        path = gold.parent / str(name)
        if task.files.id is not None and name not in (None, gold.name) and path.is_file():
            with suppress(DataError):
                ids[f"{name} ({split})"] = _all_ids(path, task.files)
    return ids


def _with_columns_of(task: Task, path: Path) -> Task:
    """The task with a file as its dev file, under the column names of its own files or else of those on the Hub."""
    layouts = [files for files in (task.files, task.hub) if files is not None]
    if is_dash(path) or path.is_file():
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


def refuse_duplicates(path: Path, ids: Iterable[str]) -> None:
    """Raise DataError if an id of a file occurs twice."""
    duplicates = [id_ for id_, count in Counter(ids).items() if count > 1]
    if duplicates:
        raise DataError(f"{path}: ids that occur more than once: {counted_ids(duplicates)}; ids must tell rows apart")
