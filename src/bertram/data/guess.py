"""A first task file for tables that nobody has described: every guess comes with its reason.

What is a text, a label, a score, an id or a pair is guessed from the names and the contents of columns; which file is
train, dev or test from the names of the files. The result is a TOML text that trains as it stands.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bertram.data.checks import label_cautions, listed
from bertram.data.rows import MOST_REJECTS
from bertram.data.tables import open_table
from bertram.errors import DataError, Fault
from bertram.label_sets import LabelSets
from bertram.label_spaces import NO, YES, as_text, in_order, is_missing, read_number, whole
from bertram.options.toml import inline
from bertram.standard_streams import is_dash
from bertram.task_files import Files
from bertram.tasks import Task, is_task_name

ROWS_READ = 20_000
MOST_LABELS = 30  # different values; more are a score if they are numbers, and else no labels
ROWS_OF_A_LABEL = 2  # a column of labels has so many rows for each of them, on the average
SCORE_VALUES = 12  # different numbers from which on a column is a score, where not all are whole
LONGEST_LABEL = 40  # characters
PAIR_NAMES = (
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("question", "answer"),
    ("query", "document"),
    ("query", "passage"),
    ("left", "right"),
    ("a", "b"),
)
ID_NAME = re.compile(r"(?:.*[_\W])?(?:id|uid|uuid|key|nr|no|index|idx)$|^(?:.*id)$", re.IGNORECASE)
TEXT_NAMES = ("text", "sentence", "body", "review", "comment", "message", "content", "title", "question", "tweet")
SCORE_NAME = re.compile(r"score|similarity|rating|stars|relatedness|grade|points", re.IGNORECASE)
PARTS = tuple(  # as a word of its own, also in camel case: no part of devices, latest or constraints
    (part, re.compile(rf"(?:(?<![^\W\d_])(?i:{words})|(?<=[a-z])(?:{words.title()}))(?![a-z])"))
    for part, words in (
        ("train", "train|training|trainset"),
        ("dev", "dev|devel|development|devset|val|valid|validation"),
        ("test", "test|testing|testset"),
    )
)
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")  # 1,500: or one and a half
GROUP_NAME = re.compile(
    r"(?:^|[\W_])(?:author|user|speaker|writer|source|document)(?:[\W_]?(?:id|name))?$", re.IGNORECASE
)


@dataclass
class Column:
    """A column of a table.

    Attributes:
        name: name of the column.
        values: different values that are there, with their number of rows.
        missing: words that are taken for a missing value, such as NA, with their number of rows.
        rows: rows of the table.
    """

    name: str
    values: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    @property
    def filled(self) -> int:
        """Number of rows with a value."""
        return self.values.total()

    @property
    def labels(self) -> Counter[str]:
        """Different labels with their number of rows; of numbers, 3 and 3.0 are one."""
        if len(in_order(self.values)) == len(self.values):
            return self.values
        counts: Counter[str] = Counter()
        for value, count in self.values.items():
            counts[whole(value)] += count
        return counts

    @property
    def words(self) -> float:
        """Mean number of words."""
        return sum(len(value.split()) * count for value, count in self.values.items()) / max(1, self.filled)

    @property
    def comma(self) -> bool:
        """Whether some values can only be numbers with a decimal comma, unlike 1,500."""
        return any(DECIMAL_COMMA.fullmatch(value) and not THOUSANDS.fullmatch(value) for value in self.values)

    def numbers(self) -> list[float] | None:
        """The different values as numbers; None if one is none."""
        comma = self.comma
        try:
            numbers = {read_number(value.replace(",", ".") if comma else value) for value in self.values}
        except ValueError:
            return None
        return sorted(numbers) if numbers and all(map(math.isfinite, numbers)) else None


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
    fields: dict[str, tuple[object, str]]


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
    ids = _id_column(columns)
    rest = [column for column in columns if ids is None or column.name != ids[0]]
    texts, why_texts = _text_columns(rest)
    if not texts:
        return [], [f"{path.name}: no column of texts ({', '.join(column.name for column in columns)})"]
    candidates = [column for column in rest if column.name not in texts]
    groups = [column for column in candidates if _is_group(column)]
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
        fields = _label_fields(column)
        if fields is None:
            remarks.append(f"{path.name}: column {column.name!r} is not used: {_why_not(column)}")
            continue
        name = _task_name(column.name, path, names)
        fields |= shared
        if column.filled < column.rows:
            words = listed([f"{word} {count:,}" for word, count in column.missing.most_common()])
            why = f"{column.rows - column.filled:,} of {column.rows:,} rows have no label"
            fields["label"] = (column.name, f"{why} ({words})" if words else why)
        tasks.append(GuessedTask(name, column.name, fields))
    return tasks, remarks


def _id_column(columns: Sequence[Column]) -> tuple[str, str] | None:
    """The column of row ids, and the reason; None if there is none."""
    unique = [column for column in columns if column.filled == len(column.values) == column.rows and column.words == 1]
    for column in unique:
        if ID_NAME.match(column.name):
            return column.name, "its name, and each row has another value"
    if unique and unique[0] is columns[0] and all(any(map(str.isdigit, value)) for value in unique[0].values):
        return unique[0].name, "the first column, and each row has another value with a digit"
    return None


def _text_columns(columns: Sequence[Column]) -> tuple[list[str], str]:
    by_name = {column.name.casefold(): column for column in columns}
    for first, second in PAIR_NAMES:
        if first in by_name and second in by_name:
            pair = [by_name[first], by_name[second]]
            if min(column.words for column in pair) > 1.5:
                return [column.name for column in pair], "a pair, by the names"
    texts = [column for column in columns if column.words > 1.5 and len(column.values) > column.filled / 4]
    if not texts:
        texts = [column for column in columns if column.name.casefold() in TEXT_NAMES and column.numbers() is None]
    if not texts:
        return [], ""
    usual = [column for column in texts if column.name.casefold() in TEXT_NAMES]
    best = max(usual or texts, key=lambda column: column.words)
    why = f"{best.words:.0f} words on the average"
    further = [column.name for column in texts if column is not best]
    if further:
        why += f"; also texts: {', '.join(further)} (for a pair, name two)"
    return [best.name], why


def _label_fields(column: Column) -> dict[str, tuple[object, str]] | None:
    """Kind, labels or range of a column; None if it can be neither labels nor scores."""
    if column.filled < 2 or len(column.labels) < 2 or _unclear_numbers(column):
        return None
    numbers = column.numbers()
    if (numbers is None or _lists_numbers(column)) and (sets := _set_fields(column)) is not None:
        return sets
    if numbers is not None:
        whole = all(number.is_integer() for number in numbers)
        different = len(numbers)
        is_continuous = different > MOST_LABELS or (not whole and different >= min(SCORE_VALUES, column.filled / 2))
        if is_continuous or (not whole and (SCORE_NAME.search(column.name) or column.comma)):
            return _score_fields(column, numbers)
    return _class_fields(column, in_words="in the order of numbers" if numbers is not None else "in alphabetical order")


def _unclear_numbers(column: Column) -> str:
    """The reason why the numbers of a column can be read in two ways; empty if they cannot."""
    try:
        for value in column.values:
            read_number(value.replace(",", ""))
    except ValueError:
        return ""
    example = next(filter(THOUSANDS.fullmatch, column.values), None)
    if example is not None and not column.comma:
        return f"the comma in {example!r} separates thousands or decimals; write its numbers without it"
    if column.comma and any("." in value for value in column.values):
        return "its numbers have decimal commas and decimal points; write all of them with one mark"
    return ""


def _lists_numbers(column: Column) -> bool:
    """Whether the commas between whole numbers separate labels, as in 1,3, and are no decimal commas.

    The labels are consecutive numbers, they rise in each cell, and the first of a cell also stands alone.
    """
    cells = [value.split(",") for value in column.values]
    parts = {part for cell in cells for part in cell}
    if SCORE_NAME.search(column.name) or not all(part.isdecimal() and part == str(int(part)) for part in parts):
        return False
    codes = [[int(part) for part in cell] for cell in cells]
    items = {code for cell in codes for code in cell}
    alone = {cell[0] for cell in codes if len(cell) == 1}
    starts, ends = ({cell[place] for cell in codes if len(cell) > 1} for place in (0, -1))
    consecutive = max(items) - min(items) < len(items)
    rising = all(cell == sorted(set(cell)) for cell in codes)
    return consecutive and rising and min(len(starts), len(ends)) > 1 and starts <= alone


def _class_fields(column: Column, in_words: str) -> dict[str, tuple[object, str]] | None:
    """Fields of a column with one label in a cell; None if its values are no labels."""
    counted = column.labels
    different = len(counted)
    if different > MOST_LABELS or column.filled < ROWS_OF_A_LABEL * different:
        return None
    if max(map(len, counted)) > LONGEST_LABEL:
        return None
    labels = list(in_order(counted))
    counts = listed([f"{label} {count:,}" for label, count in counted.most_common()])
    if {label.casefold() for label in labels} in ({NO[i], YES[i]} for i in range(len(NO))):
        labels.sort(key=lambda label: label.casefold() in YES)
        return {"kind": ("binary", f"two values, no and yes: {counts}"), "labels": (labels, "the first means no")}
    cautions = "; ".join(label_cautions(counted))
    return {
        "kind": ("class", f"{different} different values: {counts}"),
        "labels": (labels, f"{in_words}{'; ' + cautions if cautions else ''}"),
    }


def _set_fields(column: Column) -> dict[str, tuple[object, str]] | None:
    """Fields of a column with several labels in a cell; None if it has none such."""
    items: Counter[str] = Counter()
    try:
        cells = {value: LabelSets().items(value) for value in column.values}
    except Fault:
        return None
    for value, cell in cells.items():
        items.update(dict.fromkeys(cell, column.values[value]))
    several = [value for value, cell in cells.items() if len(cell) > 1]
    lists = all(value.startswith("[") and value.endswith("]") for value in cells)
    filler = {"0"} if lists and len({len(cell) for cell in cells.values()}) == 1 else set()
    labels = list(in_order(set(items) - filler))
    if not several or not 2 <= len(labels) <= MOST_LABELS or (len(labels) > len(cells) and not lists):
        return None
    if items.total() < ROWS_OF_A_LABEL * len(items) or max(map(len, labels)) > LONGEST_LABEL:
        return None
    counts = listed([f"{label} {items[label]:,}" for label in sorted(labels, key=lambda label: -items[label])])
    fields: dict[str, tuple[object, str]] = {
        "kind": ("multi-label", f"several labels in a cell, such as {several[0]}: {counts}"),
        "labels": (labels, "in the order of numbers or of the alphabet"),
    }
    if filler & set(items):
        fields["absent_labels"] = (sorted(filler), "fills all lists up to one length")
    return fields


def _score_fields(column: Column, numbers: Sequence[float]) -> dict[str, tuple[object, str]]:
    low, high = min(numbers), max(numbers)
    wide = [float(math.floor(low)), float(math.ceil(high))]
    fields: dict[str, tuple[object, str]] = {
        "kind": ("score", f"{len(numbers):,} different numbers"),
        "range": (wide, f"found {low:g} to {high:g}, widened to whole numbers"),
    }
    if column.comma:
        fields["decimal"] = (",", "numbers such as " + next(v for v in column.values if DECIMAL_COMMA.fullmatch(v)))
    return fields


def _why_not(column: Column) -> str:
    if not column.values:
        return "it is empty"
    if unclear := _unclear_numbers(column):
        return unclear
    if len(column.labels) == 1:
        return f"all its values are {next(iter(column.labels))!r}"
    return f"{len(column.values):,} different values in {column.filled:,} rows are neither labels nor scores"


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
    group = next((column for column in columns if _is_group(column) and column.name != task.label), None)
    if group is not None:
        yield f"# group = {inline(group.name)}  # would keep the rows of one {group.name} on one side of the split"


def _is_group(column: Column) -> bool:
    repeated = 1 < len(column.values) < column.filled
    return repeated and GROUP_NAME.search(column.name) is not None


def _check(name: str, values: Mapping[str, object]) -> None:
    """The guess must be a task; an assertion error is a fault of this module."""
    Task.model_validate({**values, "name": name, "files": Files(texts=("text",))})


def _line(name: str, value: object, why: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in why)
    return f"{name} = {inline(value)}  # {printable}"
