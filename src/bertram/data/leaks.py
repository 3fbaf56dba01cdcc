"""Rows of the further training files that occur in dev or test, and how their labels differ from the own rows'."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bertram.data.checks import FileRows
from bertram.data.describe import words_of
from bertram.data.rows import Rows, read_rows
from bertram.data.sources import files_of
from bertram.errors import DataError
from bertram.task_files import Extra
from bertram.tasks import Task

NOTABLE = 0.05  # difference of a label's frequency that is worth a line


def leaks(tasks: Mapping[str, Task], data: str, rows: FileRows) -> list[str]:
    """The rows of each further training file that occur in dev and in test, a line for each file.

    Two rows count as the same if they have the same words; case, punctuation and the order of a pair do not count.

    Args:
        tasks: tasks by name.
        data: a directory, ``hub`` or ``sample``.
        rows: rows of their files, as `read_files` gives them.
    """
    return [line for task in tasks.values() if task.further for line in _leaks(task, data, rows)]


def _leaks(task: Task, data: str, rows: FileRows) -> Iterator[str]:
    held_out = {"dev": rows.get((task.name, "dev")), "test": _test_rows(task, data)}
    forms = {part: set(map(words_of, read.texts)) for part, read in held_out.items() if read is not None}
    for place in task.further:
        further = rows.get((task.name, place))
        if further is None:
            continue
        counts = {part: sum(words_of(texts) in words for texts in further.texts) for part, words in forms.items()}
        listed = " and ".join(f"{count:,} in {part}" for part, count in counts.items())
        yield f"{task.name}: rows of {further.name} with the words of a row of dev or test: {listed or 'not compared'}"


def _test_rows(task: Task, data: str) -> Rows | None:
    """The texts of the test file, which is read for this comparison only; None where there is none."""
    try:
        if files_of(task, data).test is None:
            return None
        return read_rows(task, data, "test", labelled=False, allow_rejects=True, allow_double_ids=True)
    except DataError:
        return None


def label_shifts(tasks: Mapping[str, Task], rows: FileRows) -> list[str]:
    """The label whose frequency differs shifted from the own training rows', a line for each further file."""
    lines = []
    for name, task in tasks.items():
        train = rows.get((name, "train"))
        if not task.class_names or task.label_space.is_set:
            continue
        for place, file in task.further.items():
            further = rows.get((name, place))
            if train is None or further is None or not isinstance(file, Extra):
                continue
            shares = _label_shares(task, further) - _label_shares(task, train)
            shifted = int(np.abs(shares).argmax())
            if abs(shares[shifted]) < NOTABLE:
                continue
            share, own_share = (_label_shares(task, file_rows)[shifted] for file_rows in (further, train))
            remedy = "so it is drawn" if file.match_labels else "with match_labels = true it would be drawn"
            label = task.label_space.display(shifted)
            frequencies = f"{share:.0%} of {further.name} have the label {label}, {own_share:.0%} of the training rows"
            lines.append(f"{name}: {frequencies}; {remedy} as often as there")
    return lines


def _label_shares(task: Task, rows: Rows) -> NDArray[np.float64]:
    """Share of the rows with each label, [labels]."""
    assert rows.labels is not None
    counts = np.bincount(rows.labels.astype(np.int64), minlength=task.classes)
    return counts.astype(np.float64) / len(rows)
