"""A first task file for tables that nobody has described: every guess comes with its reason.

What a column is, is guessed from its name and contents; which file is train, dev or test from the names of the files.
The result is a TOML text that trains as it stands.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertram.data.checks import listed
from bertram.data.guessed_columns import Column, Guesses, id_column, is_group, label_fields, text_columns, why_not
from bertram.data.rows import MOST_REJECTS
from bertram.data.tables import open_table
from bertram.errors import DataError
from bertram.label_spaces import as_text, is_missing
from bertram.options.toml import inline
from bertram.standard_streams import is_dash
from bertram.task_files import Files
from bertram.tasks import Task, is_task_name

ROWS_READ = 20_000
PARTS = tuple(  # as a word of its own, also in camel case: no part of devices, latest or constraints
    (part, re.compile(rf"(?:(?<![^\W\d_])(?i:{words})|(?<=[a-z])(?:{words.title()}))(?![a-z])"))
    for part, words in (
        ("train", "train|training|trainset"),
        ("dev", "dev|devel|development|devset|val|valid|validation"),
        ("test", "test|testing|testset"),
    )
)


@dataclass
class GuessedTask:
    """A task with the reasons for its parts.

    Attributes:
        name: name of the task.
        label: column of labels.
        fields: fields of the task table, each as value and reason.
    """

    name: str
    label: str
    fields: Guesses


def guess(paths: Sequence[Path], beside: Path | None = None, encoding: str | None = None) -> str:
    """The TOML text of a task file for some tables.

    Args:
        paths: files with tables.
        beside: directory of the task file, from which the data directory is written; default: the working directory.
        encoding: text encoding of the files; default: UTF-8, or what a byte order mark says.

    Raises:
        DataError: a file, or more than 1 % of its rows, cannot be read, or there is nothing to learn in any of them.
    """
    tables: dict[Path, list[Column]] = {}
    problems: list[str] = []
    remarks: list[str] = []
    for path in paths:
        try:
            tables[path], seen = _columns(path, encoding)
            remarks += seen
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    directory = _directory(paths)
    lines = [
        f"# Guessed from {', '.join(path.name for path in paths)}. Each line says why; change what is wrong.",
        "# Check it:    bertram data check DIR --config THIS_FILE",
        "# Train on it: bertram train --config THIS_FILE --out runs/first",
        "",
        f"data = {inline(_relative(directory, beside))}",
    ]
    names: set[str] = set()
    for parts in _grouped(paths, tables):
        train, columns = parts["train"], tables[parts["train"]]
        tasks, left_out = _tasks(train, columns, names)
        remarks += left_out
        for task in tasks:
            lines += ["", *_written(task, parts, directory, columns, encoding)]
    if len(lines) == 5:
        raise DataError("\n".join(["no column that could be learned", *remarks]))
    return "\n".join([*lines, *(["", *(f"# {remark}" for remark in remarks)] if remarks else [])]) + "\n"


def _columns(path: Path, encoding: str | None) -> tuple[list[Column], list[str]]:
    """The columns with a name, and remarks on the rows; a row without any value is no row."""
    faults, remarks = [], []
    with open_table(path, encoding) as table:
        names = [name for name in table.columns if name.strip()]
        double = [name for name, count in Counter(names).items() if count > 1]
        if double:
            raise DataError(f"{path}: the header names the column {double[0]!r} more than once")
        columns = {name: Column(name) for name in names}
        rows = 0
        for number, record in enumerate(table.read(names)):
            if number == ROWS_READ:
                remarks.append(f"{path.name}: only the first {ROWS_READ:,} rows were read; check labels and ranges")
                break
            texts = {name: as_text(record.values.get(name)) for name in names}
            if record.fault:
                faults.append(f"line {record.line}: {record.fault}")
            elif any(texts.values()):
                rows += 1
                for name, column in columns.items():
                    column.rows += 1
                    if texts[name]:
                        (column.missing if is_missing(texts[name]) else column.values)[texts[name]] += 1
    total = rows + len(faults)
    if len(faults) > MOST_REJECTS * total:
        raise DataError(f"{path}: {len(faults):,} of {total:,} rows cannot be read, more than 1 %; {faults[0]}")
    if faults:
        remarks.append(f"{path.name}: {len(faults):,} rows cannot be read; the first: {faults[0]}")
    return list(columns.values()), remarks


def _directory(paths: Sequence[Path]) -> Path:
    folders = {path.parent for path in paths}
    if len(folders) > 1:
        raise DataError(f"the files are in different directories ({', '.join(map(str, folders))}); put them into one")
    return folders.pop()


def _relative(directory: Path, beside: Path | None) -> str:
    if beside is None or directory.is_absolute():
        return str(directory)
    return os.path.relpath(directory, beside)


def _grouped(paths: Sequence[Path], tables: Mapping[Path, list[Column]]) -> Iterator[dict[str, Path]]:
    """The parts of each set of files that belong together: their names differ in train, dev and test alone."""
    groups: dict[str, dict[str, Path]] = {}
    for path in paths:
        part, pattern = next(((part, p) for part, p in PARTS if p.search(path.stem)), ("train", None))
        stem = path.name if pattern is None else pattern.sub("*", path.name)
        columns = {column.name for column in tables[path]}
        key = path.name if part in groups.get(stem, {}) else stem
        groups.setdefault(key, {})[part] = path
        if part != "train" and not columns:
            raise DataError(f"{path}: it has no columns")
    for parts in groups.values():
        if "train" not in parts:
            first = next(iter(parts))
            parts["train"] = parts.pop(first)
        yield parts


def _tasks(path: Path, columns: Sequence[Column], names: set[str]) -> tuple[list[GuessedTask], list[str]]:
    """The tasks of a table, and what was seen and left out."""
    ids = id_column(columns)
    rest = [column for column in columns if ids is None or column.name != ids[0]]
    texts, why_texts = text_columns(rest)
    if not texts:
        return [], [f"{path.name}: no column of texts ({', '.join(column.name for column in columns)})"]
    candidates = [column for column in rest if column.name not in texts]
    groups = [column for column in candidates if is_group(column)]
    shared = {"texts": (texts, why_texts)} | ({} if ids is None else {"id": ids})
    tasks, remarks = _column_tasks(path, [column for column in candidates if column not in groups], names, shared)
    if not tasks:
        tasks, further_remarks = _column_tasks(path, groups, names, shared)
        return tasks, [*remarks, *further_remarks]
    whose = "says by its name whose a row is; no labels"
    return tasks, [*remarks, *(f"{path.name}: column {column.name!r} {whose}" for column in groups)]


def _column_tasks(
    path: Path, columns: Sequence[Column], names: set[str], shared: Mapping[str, tuple[object, str]]
) -> tuple[list[GuessedTask], list[str]]:
    """A task for each column of labels or scores, and remarks on the other columns.

    Args:
        path: file of the table.
        columns: columns that may hold labels.
        names: names that are taken, in lower case; those of the tasks are added.
        shared: fields of all tasks.
    """
    tasks, remarks = [], []
    for column in columns:
        fields = label_fields(column)
        if fields is None:
            remarks.append(f"{path.name}: column {column.name!r} is not used: {why_not(column)}")
            continue
        name = _task_name(column.name, path, names)
        fields |= shared
        if column.filled < column.rows:
            words = listed([f"{word} {count:,}" for word, count in column.missing.most_common()])
            why = f"{column.rows - column.filled:,} of {column.rows:,} rows have no label"
            fields["label"] = (column.name, f"{why} ({words})" if words else why)
        tasks.append(GuessedTask(name, column.name, fields))
    return tasks, remarks


def _task_name(column: str, path: Path, names: set[str]) -> str:
    """A name from the column, or from the file where the column's name says little."""
    words = path.stem.split(".")[0] if column.casefold() in ("label", "labels", "y", "target", "class") else column
    for _, part in PARTS:
        words = part.sub("", words)
    name = re.sub(r"[^\w-]+|[_-]{2,}", "_", words).strip("_-")
    if not is_task_name(name) or name.casefold() in ("overall", "overall_plain"):
        name = "task"
    unique, number = name, 2
    while unique.casefold() in names:
        unique, number = f"{name}_{number}", number + 1
    names.add(unique.casefold())
    return unique


def _written(
    task: GuessedTask, parts: Mapping[str, Path], directory: Path, columns: Sequence[Column], encoding: str | None
) -> Iterator[str]:
    fields = dict(task.fields)
    own = {name: fields.pop(name) for name in ("kind", "labels", "absent_labels", "range") if name in fields}
    _check(task.name, {name: value for name, (value, _) in own.items()})
    yield f"[tasks.{inline(task.name) if not task.name.isascii() else task.name}]"
    for name, (value, why) in own.items():
        yield _line(name, value, why)
    yield ""
    yield f"[tasks.{inline(task.name) if not task.name.isascii() else task.name}.files]"
    for part in ("train", "dev", "test"):
        if part in parts:
            file_name, why = str(parts[part].relative_to(directory)), "the name of the file"
            if len(parts) == 1:
                why = "the only file"
            if is_dash(file_name):
                file_name, why = "table.csv", "save standard input under this name"
            yield _line(part, file_name, why)
    if "dev" not in parts:
        yield "# no dev file: a fifth of the rows is held out (--dev-share), stratified by label"
    fields.setdefault("label", (task.label, "its values"))
    if encoding is not None:
        fields["encoding"] = (encoding, "as asked for")
    for field_name in ("texts", "label", "id", "decimal", "encoding"):
        if field_name in fields:
            yield _line(field_name, *fields[field_name])
    group = next((column for column in columns if is_group(column) and column.name != task.label), None)
    if group is not None:
        yield f"# group = {inline(group.name)}  # would keep the rows of one {group.name} on one side of the split"


def _check(name: str, values: Mapping[str, object]) -> None:
    """The guess must be a task; an assertion error is a fault of this module."""
    Task.model_validate({**values, "name": name, "files": Files(texts=("text",))})


def _line(name: str, value: object, why: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in why)
    return f"{name} = {inline(value)}  # {printable}"
