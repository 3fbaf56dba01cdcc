"""From files to rows: texts and labels of a task, and a list of the rows that had to be rejected."""

import hashlib
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertram.data.sources import HubUnreachableError, Split, files_of, locate, locate_extra
from bertram.data.tables import Record, Table, open_table
from bertram.errors import DataError, Fault
from bertram.label_spaces import NO_LABEL
from bertram.tasks import Quoting, Task

Style = Literal["plain", "course"]
Part = Literal["train", "dev", "extra"]  # of the files that a training needs
MOST_REJECTS = 0.01  # of a file's rows
REJECTS_SHOWN = 5
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Reject:
    """A row that cannot be used."""

    file: Path
    line: int  # physical line from 1, in which the row begins; in a Parquet file the number of the row
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Rows:
    """The usable rows of one file, in its order.

    Attributes:
        ids: as in the file, else the number of the row, from 1.
        texts: one or two texts each, in the task's text style.
        labels: [rows] class indices or 0 and 1 (int64), or scores in label units (float64); None if not asked for.
        lines: [rows] physical line in which each row begins; in a Parquet file the number of the row.
        rejects: the rows that cannot be used.
        file: where they come from.
        name: that file as the configuration names it, with its Hub repository.
        sha256: of that file.
        excluded: how many rows were left out because the task's definition says so.
    """

    ids: list[str]
    texts: list[tuple[str, ...]]
    labels: NDArray[np.int64] | NDArray[np.float64] | None
    lines: NDArray[np.int64]
    rejects: list[Reject]
    file: Path
    name: str
    sha256: str
    excluded: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def facts(self) -> dict[str, object]:
        """What a record says of the file."""
        return {"sha256": self.sha256, "rows": len(self), "rejected": len(self.rejects)}

    def take(self, chosen: NDArray[np.int64]) -> "Rows":
        """The rows at these places, in this order; rejects and file stay."""
        return Rows(
            [self.ids[i] for i in chosen],
            [self.texts[i] for i in chosen],
            None if self.labels is None else self.labels[chosen],
            self.lines[chosen],
            self.rejects,
            self.file,
            self.name,
            self.sha256,
            self.excluded,
        )


@dataclass(frozen=True)
class _Layout:
    """Which columns make a row."""

    texts: tuple[str, ...]
    label: str | None
    id: str | None
    exclude: Mapping[str, str]
    encoding: str | None
    quoting: Quoting

    @property
    def columns(self) -> list[str]:
        return [*self.texts, *(name for name in (self.label, self.id) if name is not None), *self.exclude]


def read_rows(task: Task, data: str, split: Split, *, labelled: bool = True, allow_rejects: bool = False) -> Rows:
    """The rows of one split of a task.

    Args:
        task: what to read.
        data: a directory, ``hub`` or ``sample``.
        split: which of the task's files.
        labelled: whether a row needs a label.
        allow_rejects: accept a file of which more than 1 % of the rows cannot be used.

    Raises:
        DataError: a fault of the file, too many rejects, or fewer than 2 usable rows.
    """
    path = locate(task, data, split)
    if path is None:
        table = "hub" if data == "hub" else "files"
        raise DataError(f"tasks.{task.name}.{table}.{split}: names no file, and it is needed")
    files = files_of(task, data)
    layout = _Layout(files.texts, files.label if labelled else None, files.id, {}, files.encoding, files.quoting)
    name = str(getattr(files, split))
    return _read(path, f"{files.repo}/{name}" if data == "hub" else name, layout, task, allow_rejects)


def read_extra(task: Task, data: str, *, allow_rejects: bool = False) -> Rows:
    """The further training rows of a task that has them, as `read` reads its files."""
    assert task.extra is not None
    extra = task.extra
    layout = _Layout(extra.texts, extra.label, None, extra.exclude, extra.encoding, extra.quoting)
    return _read(locate_extra(task, data), extra.file, layout, task, allow_rejects)


def _read(path: Path, name: str, layout: _Layout, task: Task, allow_rejects: bool) -> Rows:
    ids: list[str] = []
    texts: list[tuple[str, ...]] = []
    labels: list[float] = []
    lines: list[int] = []
    rejects: list[Reject] = []
    excluded = 0
    value_of = task.label_space.reader()
    digest = hashlib.sha256()
    with open_table(path, layout.encoding, layout.quoting, digest) as table:
        _require(table, layout)
        for number, record in enumerate(table.read(layout.columns), start=1):
            if layout.exclude and _is_excluded(record, layout.exclude):
                excluded += 1
                continue
            try:
                row_id, row_texts = parse(record, number, layout.texts, layout.id, task.text_normalization)
                if layout.label is not None:
                    labels.append(value_of(record.values.get(layout.label)))
            except Fault as fault:
                rejects.append(Reject(path, record.line, str(fault)))
                continue
            ids.append(row_id)
            texts.append(row_texts)
            lines.append(record.line)
    _judge(path, len(ids), rejects, allow_rejects, layout.label)
    values: NDArray[np.int64] | NDArray[np.float64] | None = None
    if layout.label is not None:
        values = np.array(labels, dtype=task.label_space.dtype)
    return Rows(ids, texts, values, np.array(lines, dtype=np.int64), rejects, path, name, digest.hexdigest(), excluded)


def _require(table: Table, layout: _Layout) -> None:
    try:
        table.require(layout.columns)
    except DataError as error:
        if layout.label is None or layout.label in table.columns or set(layout.texts) - set(table.columns):
            raise
        raise DataError(f"{error}\nWithout labels it can only be predicted, not trained or scored on.") from None


def _is_excluded(record: Record, exclude: Mapping[str, str]) -> bool:
    return any(str(record.values.get(column, "")).strip() == value for column, value in exclude.items())


def parse(
    record: Record, number: int, columns: Sequence[str], id_column: str | None, style: Style
) -> tuple[str, tuple[str, ...]]:
    """The id and the texts of a record, or a `Fault`."""
    if record.fault:
        raise Fault(record.fault)
    row_id = str(number) if id_column is None else text_of(record.values.get(id_column), id_column)
    texts = tuple([styled(text_of(record.values.get(name), name), style, len(columns) == 2) for name in columns])
    return row_id, texts


def text_of(value: object, column: str) -> str:
    """A field as text without spaces at its ends; raises `Fault` for one that is empty or cannot be a text."""
    if not isinstance(value, str):
        value = _number_as_text(value, column)
    text = value.strip()
    if not text:
        raise Fault(f"{column} is empty")
    if "\0" in text:
        raise Fault(f"{column} holds a NUL byte")
    if not text.isascii() and _SURROGATE.search(text):
        raise Fault(f"{column} holds half a character (a lone surrogate)")
    return text


def _number_as_text(value: object, column: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Fault(f"{column} is not a text but a {type(value).__name__}")


def styled(text: str, style: Style, pair: bool) -> str:
    """A text as its task wants it.

    ``plain`` strips it; ``course`` also lowers its case and, in a pair, sets the marks ``. ? , '`` apart by a space.
    """
    if style == "plain":
        return text.strip()
    lower = text.lower()
    if pair:
        lower = lower.replace(".", " .").replace("?", " ?").replace(",", " ,").replace("'", " '")
    return lower.strip()


def _judge(path: Path, usable: int, rejects: list[Reject], allow_rejects: bool, label: str | None) -> None:
    total = usable + len(rejects)
    if label is not None and rejects and not usable and all(reject.reason == NO_LABEL for reject in rejects):
        raise DataError(f"{path}: no row has a label in column {label!r}; training and scoring need labels")
    too_many = len(rejects) > MOST_REJECTS * total
    if usable >= 2 and (allow_rejects or not too_many):
        return
    shown = "".join(f"\n  {reject}" for reject in rejects[:REJECTS_SHOWN])
    more = f"\n  and {len(rejects) - REJECTS_SHOWN} more" if len(rejects) > REJECTS_SHOWN else ""
    if usable < 2:
        raise DataError(f"{path}: {usable} of {total} rows can be used, and 2 are needed{shown}{more}")
    raise DataError(
        f"{path}: {len(rejects)} of {total} rows cannot be used, more than 1 %; "
        f"mend them, or go on without them by --allow-rejects{shown}{more}"
    )


def limit_rows(rows: Rows, *, limit: int | None = None, fraction: float = 1.0, seed: int, name: str) -> Rows:
    """Some of the rows, drawn by the seed; fewer rows are always a part of more.

    Args:
        rows: all rows.
        limit: how many at most; None for no limit.
        fraction: which share of them at most; at least 2 rows stay.
        seed: of the run.
        name: of the task, so that two tasks are drawn independently.

    Raises:
        DataError: the limit is above the number of rows.
    """
    if limit is not None and limit > len(rows):
        raise DataError(_above(rows, limit, name))
    if limit is None and fraction >= 1:
        return rows
    kept = min(limit if limit is not None else len(rows), max(2, round(fraction * len(rows))))
    order = np.random.default_rng([seed, zlib.crc32(name.encode())]).permutation(len(rows))
    return rows.take(order[:kept])


def _above(rows: Rows, limit: int, name: str) -> str:
    return f"tasks.{name}.max_train_samples = {limit} is above the {len(rows)} usable rows of {rows.file}"


def check_files(tasks: Mapping[str, Task], data: str, *, allow_rejects: bool = False) -> list[str]:
    """Everything for which a training would refuse the data, over all files of all tasks: a message each."""
    _, problems = read_files(tasks, data, allow_rejects=allow_rejects)
    return problems


def read_files(
    tasks: Mapping[str, Task], data: str, *, allow_rejects: bool = False
) -> tuple[dict[tuple[str, Part], Rows], list[str]]:
    """The rows of every file that a training needs, each file read once.

    Args:
        tasks: tasks by name; a task that is not trained needs its dev file only.
        data: a directory, ``hub`` or ``sample``.
        allow_rejects: accept files of which more than 1 % of the rows cannot be used.

    Returns:
        The rows by task and part, and everything for which a training would refuse the data, a message each.
    """
    rows: dict[tuple[str, Part], Rows] = {}
    problems: list[str] = []
    for name, task in tasks.items():
        parts: tuple[Part, ...] = ("train", "dev", "extra") if task.trained else ("dev",)
        for part in parts:
            try:
                if part != "extra":
                    rows[name, part] = read_rows(task, data, part, allow_rejects=allow_rejects)
                elif task.extra is not None:
                    rows[name, part] = read_extra(task, data, allow_rejects=allow_rejects)
            except HubUnreachableError as error:  # it would say the same of every further file
                return rows, [*dict.fromkeys([*problems, str(error)])]
            except DataError as error:
                problems.append(str(error))
            else:
                limit = task.max_train_samples
                if part == "train" and limit is not None and limit > len(rows[name, part]):
                    problems.append(_above(rows[name, part], limit, name))
    return rows, list(dict.fromkeys(problems))


def rejected_rows(tasks: Mapping[str, Task], data: str) -> list[Reject]:
    """The rejected rows of the training and dev files of all tasks."""
    found: list[Reject] = []
    for task in tasks.values():
        splits: tuple[Split, ...] = ("train", "dev") if task.trained else ("dev",)
        for split in splits:
            found += read_rows(task, data, split, allow_rejects=True).rejects
        if task.trained and task.extra is not None:
            found += read_extra(task, data, allow_rejects=True).rejects
    return found
