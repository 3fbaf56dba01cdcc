"""Files of predictions in any form, read and matched to gold labels."""

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bertram.errors import DataError
from bertram.evaluation.intervals import Floats
from bertram.label_spaces import LabelSpace

_VALUE_NAMES = ("output", "value", "prediction")
_SHOWN = 5  # of each kind of problem


def read_predictions(path: Path) -> dict[str, float]:
    """Read a file of predictions, in any form it may have.

    Leaderboard files, CSV and TSV with a header, and JSON lines, each also gzipped, with an `id` and one value;
    where there are further columns, the value is called `output`, `value`, `prediction` or `predicted...`.

    Args:
        path: the file.

    Returns:
        Id -> value, in the order of the file.

    Raises:
        DataError: the file or a line of it cannot be read, or an id occurs twice; with line numbers.
    """
    rows = _rows(path)
    if double := _doubles(rows):
        raise DataError(f"{path}: double ids: {counted(double)}")
    return {row.id: row.value for row in rows}


def match_predictions(
    path: Path, gold: Mapping[str, float], space: LabelSpace, *, ignore: Collection[str] = ()
) -> tuple[Floats, Floats]:
    """Read a file of predictions and pair it with the gold labels, id by id.

    Args:
        path: the file, in any form that `read_predictions` takes.
        gold: id -> label.
        space: label space of the task.
        ignore: ids that need no prediction but may have one, such as rows whose label was rejected.

    Returns:
        Gold and predicted [n], in the order of `gold`.

    Raises:
        DataError: all ids that are missing, unknown or double, and all values that the task does not have.
    """
    rows = _rows(path)
    predicted = {row.id: row.value for row in rows}
    missing = [id_ for id_ in gold if id_ not in predicted]
    unknown = [id_ for id_ in predicted if id_ not in gold and id_ not in ignore]
    faults = [f"line {row.line}: {fault}" for row in rows if (fault := space.fault(row.value))]
    kinds = {
        "ids without a prediction": [repr(id_) for id_ in missing],
        "ids without a gold label": [repr(id_) for id_ in unknown],
        "double ids": _doubles(rows),
        "values that the task does not have": faults,
    }
    problems = [f"{what}: {counted(found)}" for what, found in kinds.items() if found]
    if problems:
        raise DataError(listed(f"{path}: does not fit the gold labels", problems))
    return np.array(list(gold.values()), dtype=np.float64), np.array([predicted[id_] for id_ in gold])


def counted_ids(ids: Sequence[str]) -> str:
    """Say how many ids there are, and name the first few."""
    return counted([repr(id_) for id_ in ids])


def counted(items: Sequence[str]) -> str:
    """Number of items, with the first few."""
    return f"{len(items)} ({'; '.join(items[:_SHOWN])}{'; …' if len(items) > _SHOWN else ''})"


def listed(what: str, problems: Sequence[str]) -> str:
    """One message of all problems."""
    return f"{what}: {problems[0]}" if len(problems) == 1 else "\n  - ".join([f"{what}:", *problems])


class _Row(NamedTuple):
    line: int
    id: str
    value: float


def _doubles(rows: Iterable[_Row]) -> list[str]:
    lines: dict[str, list[int]] = {}
    for row in rows:
        lines.setdefault(row.id, []).append(row.line)
    return [f"{id_!r} in lines {', '.join(map(str, at))}" for id_, at in lines.items() if len(at) > 1]


def _rows(path: Path) -> list[_Row]:
    """Read every row; all lines that cannot be read are reported together."""
    text = _text(path)
    rows, faults = [], []
    try:
        for line, names, fields in _json_lines(text) if text.startswith("{") else _table_lines(text):
            try:
                rows.append(_row(line, names, fields))
            except ValueError as fault:
                faults.append(f"line {line}: {fault}")
    except csv.Error as fault:
        raise DataError(f"{path}, {fault}") from None
    if faults:
        raise DataError(f"{path}: lines that cannot be read: {counted(faults)}")
    if not rows:
        raise DataError(f"{path}: holds no predictions, only a header")
    return rows


def _row(line: int, names: tuple[str, ...], fields: Sequence[Any]) -> _Row:
    if not names:
        raise ValueError("is no JSON object")
    if len(fields) != len(names):
        raise ValueError(f"fields: {len(fields)}, but the header names {len(names)}")
    id_at, value_at = _columns(names)
    try:
        value = float(fields[value_at])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{fields[value_at]!r} is not a finite number")
    return _Row(line, str(fields[id_at]).strip(), value)


@cache
def _columns(names: tuple[str, ...]) -> tuple[int, int]:
    """Find where the id and the value stand."""
    plain = [name.strip().lower() for name in names]
    if "id" not in plain:
        raise ValueError(f"no 'id' among {', '.join(map(repr, plain))}")
    others = [name for name in plain if name not in ("id", "")]  # a nameless column holds row numbers
    values = [name for name in others if name in _VALUE_NAMES or name.startswith("predicted")]
    if len(others) != 1 and len(values) != 1:
        raise ValueError(f"which of {', '.join(map(repr, plain))} is the value? Call it 'prediction'")
    return plain.index("id"), plain.index(others[0] if len(others) == 1 else values[0])


def _json_lines(text: str) -> Iterator[tuple[int, tuple[str, ...], list[Any]]]:
    for line, raw in enumerate(text.split("\n"), start=1):
        if not raw.strip():
            continue
        try:
            record = json.loads(raw)
        except json.JSONDecodeError:
            record = None
        yield (line, tuple(record), list(record.values())) if isinstance(record, dict) else (line, (), [])


def _table_lines(text: str) -> Iterator[tuple[int, tuple[str, ...], list[str]]]:
    header, _, body = text.partition("\n")
    delimiter = "\t" if "\t" in header else ","
    names = tuple(next(csv.reader([header.rstrip("\r")], delimiter=delimiter), []))
    try:
        _columns(names)
    except ValueError as fault:
        raise csv.Error(f"line 1: {fault}; the first line must name the columns") from None
    if delimiter not in body.lstrip().partition("\n")[0]:
        delimiter = ","  # the leaderboard's form: tabs in the header, commas below
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num + 1, names, fields
    except csv.Error as fault:
        raise csv.Error(f"line {reader.line_num + 1}: {fault}") from None


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise DataError(f"{path}: is a damaged gzip file: {fault}") from None
    except OSError as fault:
        raise DataError(f"{path}: cannot be read: {fault.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise DataError(f"{path}, line {line}: is not UTF-8 text") from None
    if not text.strip():
        raise DataError(f"{path}: is empty")
    return text
