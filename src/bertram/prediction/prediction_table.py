"""Predictions as a table, CSV or TSV, beside the columns of the input."""

import csv
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bertram.errors import DataError
from bertram.runs.files import WRITING, disk_errors
from bertram.runs.typed_json import JsonObject

if TYPE_CHECKING:
    from bertram.tasks import Task

DELIMITERS = {".csv": ",", ".tsv": "\t"}
CARRIED_NAME = "predicted {}"  # for a column of a prediction whose name the input has, too
Carried = deque[Mapping[str, object]]  # all columns of each row of the input that waits for its prediction


class PredictionTable:
    """A table of predictions, a row each.

    The columns are id, index and label of the prediction (value of a score), abstained if predictions may be withheld,
    and a probability of each label. Before them stand the columns of the input where these are carried through; then id
    is left out if the input has ids.

    Args:
        file: open file, or standard output.
        task: task that is predicted.
        delimiter: character between two cells.
        carried: columns of the input, in the order of the predictions; None for none.
        abstaining: whether predictions may be withheld.
        clean: changes each cell before it is written; None for no change.
    """

    def __init__(
        self,
        file: TextIO,
        task: "Task",
        *,
        delimiter: str = ",",
        carried: Carried | None = None,
        abstaining: bool = False,
        clean: Callable[[str], str] | None = None,
    ) -> None:
        self._writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        self._carried, self._clean = carried, clean
        self._id_names = {task.files.id, "id"}
        names = task.label_space.names
        self._fields = ["index", "label"] if names else ["value"]
        self._fields += ["abstained"] if abstaining and names else []
        self._probabilities = tuple(names)
        self._header_written = False
        if carried is None:
            self._write_header({})

    def write(self, line: JsonObject) -> None:
        """Write a prediction, as `predict_file` gives it."""
        row: Mapping[str, object] = {} if self._carried is None else self._carried.popleft()
        if not self._header_written:
            self._write_header(row)
        fields = {"index": line["value"], **line}
        cells = [*row.values(), *([] if self._has_id(row) else [line["id"]]), *(fields[name] for name in self._fields)]
        if self._probabilities:
            cells += line["probabilities"].values()
        texts = [_cell(cell) for cell in cells]
        self._writer.writerow(texts if self._clean is None else [self._clean(str(text)) for text in texts])

    def _has_id(self, row: Mapping[str, object]) -> bool:
        return not self._id_names.isdisjoint(row)

    def _write_header(self, row: Mapping[str, object]) -> None:
        names = [] if self._has_id(row) else ["id"]
        names += [*self._fields, *map("probability of {}".format, self._probabilities)]
        header = list(row)
        for name in names:
            while name in header:
                name = CARRIED_NAME.format(name)  # noqa: PLW2901 - until it is a new one
            header.append(name)
        self._writer.writerow(header)
        self._header_written = True


@contextmanager
def table_file(
    path: Path, task: "Task", carried: Carried | None, *, abstaining: bool = False
) -> Iterator[PredictionTable]:
    """A table of predictions in a file, .csv or .tsv, which is there when it is whole.

    Raises:
        DataError: the file exists already.
        RunError: it cannot be written.
    """
    refuse_existing_table(path)
    temporary = path.with_name(f".{path.name}{WRITING}")
    try:
        with disk_errors(path), temporary.open("w", encoding="utf-8", newline="") as file:
            delimiter = DELIMITERS[path.suffix.lower()]
            yield PredictionTable(file, task, delimiter=delimiter, carried=carried, abstaining=abstaining)
        with disk_errors(path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_existing_table(path: Path) -> None:
    """Raise DataError for a file that is there already."""
    if path.exists():
        raise DataError(f"{path}: exists already, and a table is not continued as JSONL is; choose another --out")


def _cell(value: Any) -> Any:
    """A value of a table; several labels are separated by semicolons, an empty list stays one."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, tuple | list):
        return "" if value is None else value
    return ";".join(map(str, value)) if value else "[]"
