"""Files of predictions in any form, read and matched to gold labels."""

import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bertram.data.delimited import read_header, split_rows
from bertram.data.lines import Line, read_lines, split_at_cr
from bertram.errors import DataError
from bertram.evaluation.intervals import Floats
from bertram.label_spaces import LabelSpace, finite
from bertram.standard_streams import open_bytes

_PREDICTION_NAMES = ("output", "value", "prediction", "index")
PROBABILITY = "probability of "  # begins the names of columns, as `bertram predict` writes them
CARRIED_PROBABILITY = f"predicted {PROBABILITY}"  # in a table that had such columns before
ABSTAINED = "abstained"  # column or field of a prediction that is withheld
SUM_TOLERANCE = 0.01  # of the probabilities of classes, which are rounded
_MAX_LISTED = 5  # of each kind of problem


class Columns(NamedTuple):
    """Names that a task's own files have for two columns, beside the usual ones; None for no such column."""

    id: str | None = None
    label: str | None = None


def read_predictions(path: Path) -> dict[str, float]:
    """Read a file of predicted numbers, in any form it may have.

    Leaderboard files, CSV and TSV with a header, and JSON lines, each also gzipped, with an `id` and one value. If
    there are further columns, the value is called `output`, `value`, `prediction`, `index`, `predicted...` or `label`.

    Args:
        path: the file.

    Returns:
        Id -> value, in the order of the file.

    Raises:
        DataError: the file or a line of it cannot be read, or an id occurs twice; with line numbers.
    """
    rows = _rows(path, Columns())
    values, faults = _read_all(rows, finite)
    if faults:
        raise DataError(f"{path}: lines that cannot be read: {counted(faults)}")
    if double := _doubles(rows):
        raise DataError(f"{path}: double ids: {counted(double)}")
    return {row.id: value for row, value in zip(rows, values, strict=True)}


class Matched(NamedTuple):
    """Predictions beside gold labels.

    Attributes:
        gold: labels [n], in the order of the gold file.
        predicted: predicted values [n].
        missing: number of gold rows without a prediction, which are left out.
        ids: ids of the rows [n].
        probabilities: probability of each class [n, classes]; None where the file has none that can be used.
        probability_fault: first fault of the probabilities; None where there is none.
        withheld: number of gold rows whose prediction is withheld, which are left out.
    """

    gold: Floats
    predicted: Floats
    missing: int
    ids: Sequence[str]
    probabilities: Floats | None = None
    probability_fault: str | None = None
    withheld: int = 0


def match_predictions(
    path: Path,
    gold: Mapping[str, float],
    space: LabelSpace,
    *,
    columns: Columns = Columns(),  # noqa: B008 - a tuple
    ignore: Collection[str] = (),
    partial: bool = False,
    encoding: str | None = None,
    other_files: Mapping[str, Collection[str]] | None = None,
) -> Matched:
    """Read a file of predictions and pair it with the gold labels, id by id.

    A prediction of a class is its label as in the data files, its display name, or its index. A column `value` beside
    `probabilities`, as `bertram predict` writes it, and a column `index` hold indices; `label` and the task's own label
    column hold labels. Any other column holds what all of its values can be.

    A row that says ``abstained`` has no prediction, as `bertram predict --abstain-below` withholds it; it is left out.

    Args:
        path: the file, in any form that `read_predictions` takes.
        gold: id -> label.
        space: label space of the task.
        columns: names of the task's own columns.
        ignore: ids that need no prediction but may have one, such as rows whose label was rejected.
        partial: leave out gold rows without a prediction.
        encoding: text encoding of the file; default: UTF-8, or what a byte order mark says.
        other_files: description of other files of the task -> their ids, to recognize a file of another split.

    Raises:
        DataError: all ids that are missing, unknown or double, and all values that the task does not have; or values
            that may be labels as well as indices; or a file in which all predictions are withheld.
    """
    all_rows = _rows(path, columns, encoding)
    rows = [row for row in all_rows if not row.abstained]
    withheld = {row.id for row in all_rows if row.abstained}
    values, faults = _values(path, rows, space, columns)
    predicted = {row.id: value for row, value in zip(rows, values, strict=True)}
    missing = [id_ for id_ in gold if id_ not in predicted and id_ not in withheld]
    unlabelled = [id_ for id_ in (*predicted, *withheld) if id_ not in gold and id_ not in ignore]
    elsewhere = [name for name, ids in (other_files or {}).items() if unlabelled and set(unlabelled) <= set(ids)]
    kinds = {
        "ids without a prediction": [] if partial and len(missing) < len(gold) else [repr(id_) for id_ in missing],
        "ids without a gold label": [repr(id_) for id_ in unlabelled],
        "double ids": _doubles(all_rows),
        "values that the task does not have": faults,
    }
    problems = [f"{kind}: {counted(items)}" for kind, items in kinds.items() if items]
    problems += [f"all of these ids are in {name}; is that the file to compare with?" for name in elsewhere]
    if problems:
        raise DataError(listed(f"{path}: does not fit the gold labels", problems))
    labelled = {id_: label for id_, label in gold.items() if id_ in predicted}
    withheld_count = len(withheld & gold.keys())
    if not labelled:
        raise DataError(f"{path}: all predictions are withheld, so there is nothing to score")
    labels = np.array(list(labelled.values()), dtype=np.float64)
    values_in_order = np.array([predicted[id_] for id_ in labelled])
    missing_count = len(gold) - len(labelled) - withheld_count
    try:
        probabilities = _probabilities(rows, space)
    except ValueError as fault:
        return Matched(labels, values_in_order, missing_count, list(labelled), None, str(fault), withheld_count)
    in_order = None if probabilities is None else np.array([probabilities[id_] for id_ in labelled])
    return Matched(labels, values_in_order, missing_count, list(labelled), in_order, withheld=withheld_count)


def _probabilities(rows: Sequence["_Row"], space: LabelSpace) -> dict[str, list[float]] | None:
    """Id -> probability of each class, as `bertram predict` and run directories have them; None where there are none.

    Raises:
        ValueError: the first fault.
    """
    if not space.names or all(row.probabilities is None for row in rows):
        return None
    vectors = {}
    for row in rows:
        cells: Any = row.probabilities
        if isinstance(cells, dict):
            cells = [cells.get(name) for name in space.names]
        try:
            vector = [float(cell) for cell in cells or ()]
        except (TypeError, ValueError):
            vector = []
        in_range = len(vector) == len(space.names) and all(0 <= share <= 1 for share in vector)
        if not in_range or not (space.is_set or abs(sum(vector) - 1) <= SUM_TOLERANCE):
            total = "" if space.is_set else " with sum 1"
            raise ValueError(f"line {row.line}: probabilities must be {len(space.names)} numbers from 0 to 1{total}")
        vectors[row.id] = vector
    return vectors


def _values(path: Path, rows: Sequence["_Row"], space: LabelSpace, columns: Columns) -> tuple[list[float], list[str]]:
    """The value of each row, and the faults of those that have none."""

    def index(text: object) -> float:
        value = space.internal(text)
        if fault := space.fault(value):
            raise ValueError(fault)
        return value

    if not space.names:
        return _read_all(rows, index)
    indices, labels = _read_all(rows, index), _read_all(rows, space.reader())
    own_label = (columns.label or "label").strip().lower()
    if all(row.is_index for row in rows):
        return indices
    if all(row.column in ("label", "predicted label", own_label) for row in rows):
        return labels
    if not indices[1] and not labels[1] and indices[0] != labels[0]:
        raise DataError(
            f"{path}: column {rows[0].column!r} may hold labels or indices of labels, which differ for this task; call "
            "it 'label' or 'index'"
        )
    return labels if len(labels[1]) < len(indices[1]) else indices


def _read_all(rows: Iterable["_Row"], read: Callable[[object], float]) -> tuple[list[float], list[str]]:
    values, faults = [], []
    for row in rows:
        try:
            values.append(read(row.value))
        except ValueError as fault:
            values.append(math.nan)
            faults.append(f"line {row.line}: {fault}")
    return values, faults


def counted_ids(ids: Sequence[str]) -> str:
    """Say how many ids there are, and name the first few."""
    return counted([repr(id_) for id_ in ids])


def counted(items: Sequence[str]) -> str:
    """Number of items, with the first few."""
    return f"{len(items)} ({'; '.join(items[:_MAX_LISTED])}{'; …' if len(items) > _MAX_LISTED else ''})"


def listed(heading: str, problems: Sequence[str]) -> str:
    """All problems as one message."""
    return f"{heading}: {problems[0]}" if len(problems) == 1 else "\n  - ".join([f"{heading}:", *problems])


class _Row(NamedTuple):
    line: int
    id: str
    value: object
    column: str
    is_index: bool
    probabilities: Any = None  # list, or name of the class -> probability
    abstained: bool = False


def _doubles(rows: Iterable[_Row]) -> list[str]:
    lines: dict[str, list[int]] = {}
    for row in rows:
        lines.setdefault(row.id, []).append(row.line)
    return [f"{id_!r} in lines {', '.join(map(str, at))}" for id_, at in lines.items() if len(at) > 1]


def _rows(path: Path, columns: Columns, encoding: str | None = None) -> list[_Row]:
    """Read every row; all lines that cannot be read are reported together."""
    lines = _lines(path, encoding)
    rows, faults = [], []
    try:
        for line, names, fields in _objects(lines) if lines[0].text.startswith("{") else _table(lines, columns):
            try:
                rows.append(_row(line, names, fields, columns))
            except ValueError as fault:
                faults.append(f"line {line}: {fault}")
    except ValueError as fault:
        raise DataError(f"{path}, {fault}") from None
    if faults:
        raise DataError(f"{path}: lines that cannot be read: {counted(faults)}")
    if not rows:
        raise DataError(f"{path}: holds no predictions, only a header")
    return rows


def _row(line: int, names: tuple[str, ...], fields: Sequence[Any] | str, columns: Columns) -> _Row:
    if isinstance(fields, str):
        raise ValueError(fields)  # the line's fault
    id_at, value_at, column, is_index = _columns(names, columns)
    abstained = ABSTAINED in names and str(fields[names.index(ABSTAINED)]).strip().lower() == "true"
    row_id = str(fields[id_at]).strip()
    return _Row(line, row_id, fields[value_at], column, is_index, _shares(names, fields), abstained)


def _shares(names: tuple[str, ...], fields: Sequence[Any]) -> Any:
    """The probabilities of a row as they stand there; None where there are none."""
    if "probabilities" in names:
        return fields[names.index("probabilities")]
    for beginning in (CARRIED_PROBABILITY, PROBABILITY):
        shares = {n.removeprefix(beginning): fields[at] for at, n in enumerate(names) if n.startswith(beginning)}
        if shares:
            return shares
    return None


@cache
def _columns(names: tuple[str, ...], columns: Columns) -> tuple[int, int, str, bool]:
    """Find where the id and the value stand, what the value's column is called, and whether it holds indices."""
    plain = [name.strip().lower() for name in names]
    own_id, own_label = ((name or "").strip().lower() for name in columns)
    ids = [name for name in (own_id, "id") if name and name in plain]
    if not ids:
        raise ValueError(f"no {own_id or 'id'!r} among {', '.join(map(repr, plain))}")
    candidates = [name for name in plain if name not in (ids[0], "id", "")]  # a nameless column holds row numbers
    of_bertram = any(name.startswith(PROBABILITY) for name in plain)  # its `predict` calls a carried index otherwise
    tiers = [
        [name for name in candidates if name == "predicted index"],
        [name for name in candidates if name == "index" and of_bertram],
        [name for name in candidates if name.startswith("predicted") and PROBABILITY not in name],
        [name for name in candidates if name in _PREDICTION_NAMES],
        [name for name in candidates if name == "label"],
        [name for name in candidates if name == own_label],
        candidates,
    ]
    values = next((names for names in tiers if names), [])
    if len(values) != 1:
        raise ValueError(f"which of {', '.join(map(repr, plain))} is the value? Call it 'prediction'")
    is_index = values[0] in ("index", "predicted index") or (values[0] == "value" and "probabilities" in candidates)
    return plain.index(ids[0]), plain.index(values[0]), values[0], is_index


def _objects(lines: Iterable[Line]) -> Iterator[tuple[int, tuple[str, ...], list[Any] | str]]:
    """Number, keys and values of each line, or in their place its fault."""
    for line in lines:
        if not line.text.strip():
            continue
        try:
            record = json.loads(line.text)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            yield line.number, tuple(record), list(record.values())
        else:
            yield line.number, (), "is no JSON object"


def _table(lines: Sequence[Line], columns: Columns) -> Iterator[tuple[int, tuple[str, ...], list[str] | str]]:
    """Number, column names and fields of each row, or in their place its fault.

    Raises:
        ValueError: the header does not name the columns.
    """
    header, rest = read_header(iter(lines), None, "auto")
    try:
        _columns(header.columns, columns)
    except ValueError as fault:
        raise ValueError(f"line 1: {fault}; the first line must name the columns") from None
    below = [line for line in rest if line.text.strip()]
    if below and header.delimiter not in below[0].text:
        header = header._replace(delimiter=",")  # the leaderboard's form: tabs in the header, commas below
    for row in split_rows(iter(below), header, "auto"):
        yield row.line, header.columns, row.fault or row.fields


def _lines(path: Path, encoding: str | None) -> list[Line]:
    try:
        with open_bytes(path) as file:
            data = file.read()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise DataError(f"{path}: is a damaged gzip file: {fault}") from None
    except OSError as fault:
        raise DataError(f"{path}: cannot be read: {fault.strerror}") from None
    lines = list(split_at_cr(read_lines(io.BytesIO(data), encoding)))
    if faulty := next((line for line in lines if line.fault), None):
        raise DataError(f"{path}, line {faulty.number}: {faulty.fault}")
    if not any(line.text.strip() for line in lines):
        raise DataError(f"{path}: is empty")
    return lines
