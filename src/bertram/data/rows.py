"""Rows of a task from its files: texts, labels, and the list of rejected rows."""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bertram.data.memory import MemoryTable, named_class
from bertram.data.sources import DataSource, HeldOut, Split, as_source, files_of, locate_further, table_of
from bertram.data.tables import Digest, Record, Table, open_table
from bertram.data.texts import parse, target_columns
from bertram.errors import DataError, Fault, NoLabel
from bertram.label_spaces import as_number, as_text, is_missing
from bertram.runs.record_parts import DataFile, FileUse
from bertram.task_files import Extra, Quoting
from bertram.tasks import Task

Part = Literal["train", "extra", "unlabelled", "dev", "test"]
MOST_REJECTS = 0.01  # of a file's rows
REJECTS_SHOWN = DOUBLES_SHOWN = 5
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")


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
        ids: ids as in the file; without them, numbers of the rows from 1.
        texts: one or two texts each, in the task's text style.
        labels: [rows] class indices or 0 and 1 (int64), or scores in label units (float64); None if not asked for.
        lines: [rows] physical line in which each row begins; in a Parquet file the number of the row.
        rejects: the rows that cannot be used.
        file: path of the data file.
        name: name of the data file in the configuration, with its Hub repository.
        sha256: SHA-256 of the data file.
        part: use of the file.
        excluded: number of rows that the task's definition leaves out.
        unlabelled: number of rows without a label for this task.
        groups: [rows] values of the column that keeps rows together, empty where one is missing; None without it.
        held_out: sentence on the choice of these dev rows among the training rows; empty for a file of its own.
    """

    ids: list[str]
    texts: list[tuple[str, ...]]
    labels: NDArray[np.int64] | NDArray[np.float64] | None
    lines: NDArray[np.int64]
    rejects: list[Reject]
    file: Path
    name: str
    sha256: str
    part: Part
    excluded: int = 0
    unlabelled: int = 0
    groups: list[str] | None = None
    held_out: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: NDArray[np.int64]) -> "Rows":
        """The rows at these places, in this order; rejects and file stay."""
        return replace(
            self,
            ids=[self.ids[i] for i in chosen],
            texts=[self.texts[i] for i in chosen],
            labels=None if self.labels is None else self.labels[chosen],
            lines=self.lines[chosen],
            groups=None if self.groups is None else [self.groups[i] for i in chosen],
        )


@dataclass(frozen=True)
class _Layout:
    """Columns of a row, and how a file is read."""

    part: Part
    texts: tuple[str, ...]
    label: str | None
    label_columns: tuple[str, ...]  # in place of one column of labels
    id: str | None
    exclude: Mapping[str, str]
    encoding: str | None
    quoting: Quoting
    decimal: str = "."
    group: str | None = None
    targets: tuple[str, ...] | None = None

    @property
    def columns(self) -> list[str]:
        names = (self.id, self.group)
        return [
            *self.texts,
            *(self.targets or ()),
            *self.labels,
            *(name for name in names if name is not None),
            *self.exclude,
        ]

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of labels; none where labels are not asked for."""
        if self.label is None:
            return ()
        return self.label_columns or (self.label,)

    def label_of(self, record: Record) -> object:
        """The cell of a row's label, or a tuple of the cells of its label columns."""
        if self.label_columns:
            return tuple(record.values.get(name) for name in self.label_columns)
        return record.values.get(str(self.label))

    def open(self, where: Path | MemoryTable, digest: Digest) -> AbstractContextManager[Table]:
        if isinstance(where, MemoryTable):
            return where.open(digest)
        return open_table(where, self.encoding, self.quoting, digest)


def file_facts(read: Iterable[tuple[str, Rows]]) -> dict[str, DataFile]:
    """File -> its SHA-256 and its rows for each task and part, for a record.

    `rows` and `rejected` of the file itself are those of the use that has most rows.

    Args:
        read: name of the task, and its rows of a file.
    """
    uses: dict[str, list[FileUse]] = {}
    hashes: dict[str, str] = {}
    for task, rows in read:
        use = FileUse(task, rows.part, len(rows), len(rows.rejects), rows.unlabelled)
        uses.setdefault(rows.name, []).append(use)
        hashes.setdefault(rows.name, rows.sha256)
    largest = {name: max(file_uses, key=lambda use: use.rows) for name, file_uses in uses.items()}
    return {name: DataFile(hashes[name], use.rows, use.rejected, uses[name]) for name, use in largest.items()}


def read_rows(
    task: Task,
    data: str | DataSource,
    split: Split,
    *,
    labelled: bool = True,
    allow_rejects: bool = False,
    allow_double_ids: bool = False,
) -> Rows:
    """The rows of one split of a task; of train and dev only their side, where dev rows are held out of train.

    Args:
        task: task whose file is read.
        data: a directory, ``hub`` or ``sample``, or a source with tables in memory or dev rows that are held out.
        split: part of the task's data.
        labelled: True if a row needs a label.
        allow_rejects: accept a file of which more than 1 % of the rows cannot be used.
        allow_double_ids: accept a dev or test file in which an id occurs twice; training rows are not known by id.

    Raises:
        DataError: a fault of the file, too many rejects, fewer than 2 usable rows, or ids that occur twice.
    """
    source = as_source(data)
    dev_rows = None if split == "test" else source.held_out.get(task.name)
    located = table_of(task, source, split if dev_rows is None else "train")
    if located is None:
        table = "hub" if source.place == "hub" else "files"
        field = (
            f"tasks.{task.name}.{table}.{split}: names no file" if source.tables is None else f"{task.name}: no table"
        )
        raise DataError(f"{field}, and it is needed{'' if source.tables is None else f' for {split}'}")
    where, name = located
    files = files_of(task, source.place)
    label = files.label if labelled else None
    group = files.group if split == "train" else None
    layout = _Layout(
        split,
        files.texts,
        label,
        files.label_columns,
        files.id,
        {},
        files.encoding,
        files.quoting,
        files.decimal,
        group,
        target_columns(task, files.targets),
    )
    rows = _read(where, name, layout, task, allow_rejects)
    if dev_rows is not None:
        rows = divided(rows, dev_rows, split)
    if split != "train" and not allow_double_ids:
        refuse_double_ids(rows.file, rows.ids, rows.lines.tolist())
    return rows


def read_further(task: Task, place: str, data: str | DataSource, *, allow_rejects: bool = False) -> Rows:
    """Further training rows of a task, as `read_rows` reads its files.

    Args:
        task: definition of the task.
        place: place of the file in `Task.further`.
        data: a directory, ``hub`` or ``sample``.
        allow_rejects: accept a file of which more than 1 % of the rows cannot be used.

    Raises:
        DataError: as of `read_rows`.
    """
    further = task.further[place]
    part: Part = "extra" if isinstance(further, Extra) else "unlabelled"
    label, columns = (further.label, further.label_columns) if isinstance(further, Extra) else (None, ())
    decimal = further.decimal if isinstance(further, Extra) else "."
    layout = _Layout(
        part,
        further.texts,
        label,
        columns,
        None,
        further.exclude,
        further.encoding,
        further.quoting,
        decimal,
        targets=target_columns(task, None),
    )
    return _read(locate_further(task, place, as_source(data).place), further.file, layout, task, allow_rejects)


def divided(rows: Rows, dev_rows: HeldOut, split: Split) -> Rows:
    """One side of a training file: the rows that are held out of it as dev rows, or the others.

    Raises:
        DataError: the file is not the one that the rows were chosen from.
    """
    if rows.sha256 != dev_rows.sha256:
        raise DataError(
            f"{rows.file}: has changed since the dev rows were chosen among its rows; restore it, start a new run, or "
            "name a dev file"
        )
    chosen = np.isin(rows.lines, np.array(dev_rows.lines, dtype=np.int64))
    if split == "train":
        return rows.take(np.flatnonzero(~chosen))
    dev = rows.take(np.flatnonzero(chosen))
    return replace(dev, part="dev", held_out=dev_rows.how, rejects=[], excluded=0, unlabelled=0)  # counted in train


def _read(where: Path | MemoryTable, name: str, layout: _Layout, task: Task, allow_rejects: bool) -> Rows:
    path = where if isinstance(where, Path) else Path(where.name)
    groups: list[str] = []
    ids: list[str] = []
    texts: list[tuple[str, ...]] = []
    labels: list[float] = []
    lines: list[int] = []
    rejects: list[Reject] = []
    excluded = unlabelled = 0
    if layout.label is not None and task.label_space.labels_from_data and not task.class_names:
        raise DataError(f"tasks.{task.name}.labels: none are given; name them in order")
    value_of = reader_of(task, layout.decimal)
    if isinstance(where, MemoryTable) and layout.label is not None:
        value_of = _of_classes(value_of, task, where.class_names.get(layout.label, ()))
    digest = hashlib.sha256()
    with layout.open(where, digest) as table:
        _require(table, layout)
        for number, record in enumerate(table.read(layout.columns), start=1):
            if layout.exclude and _is_excluded(record, layout.exclude):
                excluded += 1
                continue
            try:
                if record.fault:
                    raise Fault(record.fault)
                value = None if layout.label is None else _label_value(value_of, record, layout)
                row_id, row_texts = parse(
                    record, number, layout.texts, layout.id, task.text_normalization, layout.targets
                )
            except NoLabel:
                unlabelled += 1
                continue
            except Fault as fault:
                rejects.append(Reject(path, record.line, str(fault)))
                continue
            if value is not None:
                labels.append(value)
            ids.append(row_id)
            texts.append(row_texts)
            lines.append(record.line)
            if layout.group is not None:
                group = as_text(record.values.get(layout.group))
                groups.append("" if is_missing(group) else group)
    if unlabelled and not ids and not rejects:
        raise DataError(
            f"{path}: no row has a label in column {_quoted(layout.labels)}; training and scoring need labels"
        )
    _judge(path, len(ids), rejects, unlabelled, allow_rejects)
    return Rows(
        ids=ids,
        texts=texts,
        labels=None if layout.label is None else np.array(labels, dtype=task.label_space.dtype),
        lines=np.array(lines, dtype=np.int64),
        rejects=rejects,
        file=path,
        name=name,
        sha256=digest.hexdigest(),
        part=layout.part,
        excluded=excluded,
        unlabelled=unlabelled,
        groups=None if layout.group is None else groups,
    )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def reader_of(task: Task, decimal: str) -> Callable[[object], float]:
    """A function from a label in a file to its value, for one file.

    Args:
        task: definition of the task.
        decimal: decimal mark of scores that are written as text; the other mark is a fault.
    """
    read = task.label_space.reader()
    if not task.label_space.numeric:
        return read

    def read_score(label: object) -> float:
        if isinstance(label, str) and decimal == ",":
            if "." in label:
                raise Fault(f"the score {label.strip()!r} has a point, but the decimal mark of the file is a comma")
            text = label.replace(",", ".")
            try:
                return read(text)
            except NoLabel:
                raise
            except Fault as fault:
                raise Fault(str(fault).replace(text, label)) from None  # as it stands in the file
        try:
            return read(label)
        except Fault as fault:
            if decimal == "." and isinstance(label, str) and _DECIMAL_COMMA.fullmatch(label.strip()):
                raise Fault(f'{fault}; if it has a decimal comma, set decimal = "," for the file') from None
            raise

    return read_score


def _label_value(read: Callable[[object], float], record: Record, layout: _Layout) -> float:
    """The value of a row's label; a fault of it names the column."""
    try:
        return read(layout.label_of(record))
    except NoLabel:
        raise
    except Fault as fault:
        raise Fault(str(fault) if layout.label_columns else f"column {layout.label}: {fault}") from None


def _of_classes(read: Callable[[object], float], task: Task, class_names: Sequence[str]) -> Callable[[object], float]:
    """A reader of labels that takes numbers of classes for their names, if these are what the task's labels mean."""
    if task.label_space.numeric:
        by_name = all(as_number(name) is not None for name in class_names)
    else:
        by_name = set(task.labels) <= set(class_names)
    return (lambda label: read(named_class(label, class_names))) if class_names and by_name else read


def refuse_double_ids(path: Path, ids: Sequence[str], lines: Sequence[int]) -> None:
    """Raise DataError if an id of a file occurs twice, with the lines."""
    if len(set(ids)) == len(ids):
        return
    lines_of: dict[str, list[int]] = {}
    for row_id, line in zip(ids, lines, strict=True):
        lines_of.setdefault(row_id, []).append(line)
    double = [f"{row_id!r} in lines {_listed(at)}" for row_id, at in lines_of.items() if len(at) > 1]
    tail = "; …" if len(double) > DOUBLES_SHOWN else ""
    raise DataError(
        f"{path}: ids that occur more than once: {len(double)} ({'; '.join(double[:DOUBLES_SHOWN])}{tail}); ids must "
        "tell rows apart: mend the column, or name another one or none (files.id)"
    )


def _listed(numbers: Sequence[int]) -> str:
    tail = ", …" if len(numbers) > DOUBLES_SHOWN else ""
    return ", ".join(map(str, numbers[:DOUBLES_SHOWN])) + tail


def _require(table: Table, layout: _Layout) -> None:
    try:
        table.require(layout.columns)
    except DataError as error:
        if layout.label is None or set(layout.labels) & set(table.columns) or set(layout.texts) - set(table.columns):
            raise
        raise DataError(f"{error}\nWithout labels it can only be predicted, not trained or scored on.") from None


def _is_excluded(record: Record, exclude: Mapping[str, str]) -> bool:
    return any(_holds(record.values.get(column), value) for column, value in exclude.items())


def _holds(cell: object, value: str) -> bool:
    """Whether a cell has a value, as text or as a number (1, 1.0 and true are equal); a missing cell is empty."""
    text, value = as_text(cell), value.strip()
    if text == value:
        return True
    number = as_number(value)
    return is_missing(text) if not value else number is not None and as_number(text) == number


def _judge(path: Path, usable: int, rejects: list[Reject], unlabelled: int, allow_rejects: bool) -> None:
    total = usable + len(rejects)
    too_many = len(rejects) > MOST_REJECTS * total
    if usable >= 2 and (allow_rejects or not too_many):
        return
    excerpt = "".join(f"\n  {reject}" for reject in rejects[:REJECTS_SHOWN])
    remainder = f"\n  and {len(rejects) - REJECTS_SHOWN} more" if len(rejects) > REJECTS_SHOWN else ""
    if usable < 2:
        without = f"; {unlabelled} more have no label" if unlabelled else ""
        raise DataError(f"{path}: {usable} of {total} rows can be used, and 2 are needed{without}{excerpt}{remainder}")
    raise DataError(
        f"{path}: {len(rejects)} of {total} rows cannot be used, more than 1 %; "
        f"fix them, or skip them with --allow-rejects{excerpt}{remainder}"
    )


def limit_rows(rows: Rows, *, limit: int | None = None, fraction: float = 1.0, seed: int, name: str) -> Rows:
    """Some of the rows, drawn by the seed; fewer rows are always a part of more.

    Args:
        rows: all rows.
        limit: largest number of rows; None for no limit.
        fraction: largest share of the rows; at least 2 rows stay.
        seed: random seed of the run.
        name: name of the task, so that two tasks are drawn independently.

    Raises:
        DataError: the limit is above the number of rows.
    """
    if limit is not None and limit > len(rows):
        raise DataError(above(rows, limit, name))
    if limit is None and fraction >= 1:
        return rows
    count = min(limit if limit is not None else len(rows), max(2, round(fraction * len(rows))))
    order = np.random.default_rng([seed, zlib.crc32(name.encode())]).permutation(len(rows))
    return rows.take(order[:count])


def above(rows: Rows, limit: int, name: str) -> str:
    """The reason why a task cannot have so many training rows."""
    return f"tasks.{name}.max_train_samples = {limit} is above the {len(rows)} usable rows of {rows.file}"
