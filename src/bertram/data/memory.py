"""Tables in memory: lists of dictionaries, dictionaries of columns, DataFrames, Arrow tables, Hugging Face data sets.

pandas, PyArrow and datasets are not needed: a table is read by the methods that its library offers.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bertram.data.tables import Digest, Record, Table
from bertram.errors import DataError

MEMORY = "memory"  # the place of such data, in a configuration
PARTS = {"train": "train", "dev": "dev", "validation": "dev", "test": "test"}
KINDS = (
    "a list of dictionaries, a dictionary of columns, a DataFrame of polars or pandas, an Arrow table or a Hugging "
    "Face data set"
)


@dataclass(frozen=True, eq=False)
class MemoryTable:
    """A table in memory.

    Attributes:
        name: name in messages and records.
        columns: names of the columns.
        rows: rows as dictionaries of plain values.
        class_names: column -> names of the classes that its numbers mean, as Hugging Face's `ClassLabel` has them.
    """

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, object]]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @cached_property
    def content(self) -> bytes:
        """The content in one form for all kinds of tables: columns in order of their names, 1.0 as 1, NaN as none."""
        names = sorted(self.columns)
        lines = [json.dumps(names, ensure_ascii=False)]
        lines += [json.dumps([_hashed(row.get(name)) for name in names], ensure_ascii=False) for row in self.rows]
        return "\n".join(lines).encode("utf-8", "surrogatepass")

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()

    @contextmanager
    def open(self, digest: Digest | None) -> Iterator[Table]:
        """The table as a file has it, with a row's number for its line."""
        if digest is not None:
            digest.update(self.content)

        def read(_names: Sequence[str]) -> Iterator[Record]:
            return (Record(number, row, "") for number, row in enumerate(self.rows, start=1))

        yield Table(self.name, self.columns, None, read)


@dataclass(frozen=True)
class Tables:
    """The tables of a run.

    Attributes:
        shared: split -> table for all tasks that have none of their own.
        own: task -> split -> table.
    """

    shared: Mapping[str, MemoryTable]
    own: Mapping[str, Mapping[str, MemoryTable]]

    def of(self, task: str, split: str) -> MemoryTable | None:
        """The table of a task's split."""
        return self.own.get(task, self.shared).get(split)


def tables_of(data: object, tasks: Iterable[str]) -> Tables:
    """The tables in an argument `data`.

    Args:
        data: a table of training rows; or a dictionary with a table for ``train`` and perhaps ``dev`` (or
            ``validation``) and ``test``; or a dictionary with one of these for each task.
        tasks: names of the tasks.

    Raises:
        DataError: it is none of these, or a task has no table.
    """
    names = list(tasks)
    if isinstance(data, Mapping) and data and set(data) <= set(names):
        missing = [name for name in names if name not in data]
        if missing:
            raise DataError(f"data: no table for task {', '.join(missing)}; give one for each task")
        return Tables({}, {name: _splits(data[name], f"{name} ") for name in names})
    return Tables(_splits(data, ""), {})


def _splits(data: object, prefix: str) -> dict[str, MemoryTable]:
    if not (isinstance(data, Mapping) and data and all(_is_part(*entry) for entry in data.items())):
        return {"train": memory_table(data, f"<{prefix}train table>")}
    unknown_parts = [str(name) for name in data if name not in PARTS]
    if unknown_parts:
        raise DataError(
            f"data: unknown part {', '.join(unknown_parts)}; a part is train, dev or test, or the name of a task"
        )
    if {"dev", "validation"} <= set(data):
        raise DataError("data: dev and validation are the same part; give one of them")
    return {PARTS[name]: memory_table(table, f"<{prefix}{PARTS[name]} table>") for name, table in data.items()}


def _is_part(name: object, value: object) -> bool:
    """Whether an entry of a dictionary is a table, or the list of a part that has no rows."""
    return is_table(value) or (name in PARTS and isinstance(value, list | tuple) and not value)


def is_table(value: object) -> bool:
    """Whether a value is a table of one of the kinds that `memory_table` reads, rather than a list of texts."""
    if isinstance(value, Mapping) or _is_lazy(value) or hasattr(value, "columns") or hasattr(value, "column_names"):
        return True
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def _is_lazy(value: object) -> bool:
    """Whether a value is a LazyFrame of polars, whose rows have to be computed first."""
    return hasattr(value, "collect_schema") and hasattr(value, "collect")


def memory_table(table: Any, name: str) -> MemoryTable:
    """A table as dictionaries of plain values.

    Args:
        table: a list of dictionaries, a dictionary of columns, a DataFrame, an Arrow table or a Hugging Face data set.
        name: name for messages and records.

    Raises:
        DataError: it is none of these, has no rows, or its columns differ in length.
    """
    if _is_lazy(table):
        table = table.collect()
    columns, rows = _content(table, name)
    if not rows:
        raise DataError(f"{name}: it has no rows")
    not_text = [column for column in columns if not isinstance(column, str)]
    if not_text:
        raise DataError(f"{name}: the column name {not_text[0]!r} is not a text; rename the columns")
    double = [column for column in columns if columns.count(column) > 1]
    if double:
        raise DataError(f"{name}: it has the column {double[0]!r} more than once")
    plain_rows = [{key: _plain(value) for key, value in row.items()} for row in rows]
    return MemoryTable(name, tuple(columns), plain_rows, _class_names(table))


def named_class(value: object, names: Sequence[str]) -> object:
    """The name of a class for its number, or those of a list of numbers; None for -1, which stands for no label."""
    if isinstance(value, list):
        return [named_class(item, names) for item in value]
    if isinstance(value, bool) or not isinstance(value, int) or value >= len(names):
        return value
    return names[value] if value >= 0 else None


def _class_names(table: Any) -> dict[str, tuple[str, ...]]:
    """Column -> names of its classes, from the features of a Hugging Face data set."""
    features = getattr(table, "features", None)
    if not isinstance(features, Mapping):
        return {}
    names = {column: getattr(_item_feature(feature), "names", None) for column, feature in features.items()}
    return {column: tuple(map(str, listed)) for column, listed in names.items() if isinstance(listed, list | tuple)}


def _item_feature(feature: Any) -> Any:
    """The feature of the items of a list (`Sequence` or `List`, or a list of one feature); else the feature itself."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return getattr(feature, "feature", feature)


def _content(table: Any, name: str) -> tuple[list[Any], list[Mapping[Any, object]]]:
    """Names of the columns, and the rows."""
    columns = getattr(table, "column_names", getattr(table, "columns", None))
    if isinstance(table, Mapping):
        return list(table), _from_columns(table, name)
    if columns is not None and hasattr(table, "iter_rows"):  # polars
        return list(columns), list(table.iter_rows(named=True))
    if columns is not None and hasattr(table, "to_pylist"):  # Arrow
        return list(columns), table.to_pylist()
    if columns is not None and hasattr(table, "to_dict"):  # pandas, or a Hugging Face data set
        return list(columns), _from_columns({column: list(table[column]) for column in dict.fromkeys(columns)}, name)
    rows = _rows(table, name)
    return list(dict.fromkeys(key for row in rows for key in row)), rows


def _rows(table: Any, name: str) -> list[Mapping[Any, object]]:
    """The rows of a table that has no columns of its own."""
    if hasattr(table, "__arrow_c_stream__"):
        import polars  # noqa: PLC0415 - slow to import, and rarely needed

        return list(polars.DataFrame(table).iter_rows(named=True))
    if isinstance(table, str | bytes) or not isinstance(table, Iterable):
        raise DataError(f"{name}: not a table but a {type(table).__name__}; give {KINDS}")
    rows = list(table)
    wrong = next((number for number, row in enumerate(rows, start=1) if not isinstance(row, Mapping)), None)
    if wrong is not None:
        kind = type(rows[wrong - 1]).__name__
        raise DataError(f"{name}: row {wrong} is not a dictionary but a {kind}; give {KINDS}")
    return rows


def _from_columns(columns: Mapping[Any, Any], name: str) -> list[Mapping[Any, object]]:
    values = {}
    for key, column in columns.items():
        if isinstance(column, str | bytes) or not isinstance(column, Iterable):
            raise DataError(f"{name}: column {key!r} is not a list but a {type(column).__name__}")
        values[key] = list(column)
    lengths = {key: len(column) for key, column in values.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{key} {count}" for key, count in lengths.items())
        raise DataError(f"{name}: its columns differ in length ({listed})")
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _plain(value: Any) -> object:
    """A cell as a plain value: numbers of NumPy become Python's, what its library calls missing becomes None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas
        return None
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        return _plain(value.item())
    if hasattr(value, "tolist"):  # an array in a cell
        return _plain(value.tolist())
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _hashed(value: object) -> object:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return value if value is None or isinstance(value, str | bool | int) else str(value)
