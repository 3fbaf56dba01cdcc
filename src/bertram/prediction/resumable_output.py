"""An output file of predictions that an interrupted command can continue."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from bertram.errors import DataError
from bertram.tasks import Task

Row = tuple[str, tuple[str, ...]]  # id and texts
BLOCK = 1 << 20


class Output:
    """A file of predictions, one JSON line each; existing lines are kept, except an incomplete last line.

    Args:
        path: path of the file; created if it is missing.
        task: task that is predicted.

    Attributes:
        kept: number of existing predictions that have been read.
        added: number of predictions written.

    Raises:
        DataError: the file holds something else than predictions of this task, or cannot be written.
    """

    def __init__(self, path: Path, task: Task) -> None:
        self.path, self.task = path, task
        self.kept = self.added = 0
        try:
            self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}") from None
        try:
            if first := self._file.readline(BLOCK):  # an empty file is new
                self._id(1, first)
        except DataError:
            self._file.close()
            raise
        self._file.truncate(_end_of_lines(self._file))
        self._file.seek(0, 2)

    def ids(self) -> Iterator[str]:
        """The ids of the existing predictions.

        Raises:
            DataError: a line that is not a prediction of the task.
        """
        with self.path.open("rb") as lines:
            for line in lines:
                self.kept += 1
                yield self._id(self.kept, line)

    def write(self, line: dict[str, Any]) -> None:
        """Append a prediction."""
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self.added += 1

    def _id(self, number: int, line: bytes) -> str:
        try:
            entry = json.loads(line)
            row_id, _, names = entry["id"], entry["value"], tuple(entry.get("probabilities", ()))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise DataError(f"{self.path}:{number}: not a prediction; choose another --out") from None
        if names != self.task.class_names:
            raise DataError(f"{self.path}:{number}: a prediction of another task; choose another --out")
        return str(row_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def remaining(rows: Iterator[Row], done: Iterable[str]) -> Iterator[Row]:
    """The rows that are not predicted yet.

    Args:
        rows: all rows, in order.
        done: ids of the first rows, which are predicted already.

    Raises:
        DataError: the ids differ, so the predictions belong to another input.
    """
    for number, row_id in enumerate(done, start=1):
        row = next(rows, None)
        if row is None:
            raise DataError(f"the output has prediction {number}, but the input only {number - 1} usable rows")
        if row[0] != row_id:
            raise DataError(
                f"prediction {number} of the output has id {row_id!r}, but row {number} of the input has {row[0]!r}: "
                "the output belongs to another input; choose another --out"
            )
    yield from rows


def count_lines(path: Path) -> int:
    """Number of lines of a file."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK), b""))


def _end_of_lines(file: BinaryIO) -> int:
    """Position after the last complete line of a file."""
    end = file.seek(0, 2)
    while end:
        begin = max(0, end - BLOCK)
        file.seek(begin)
        newline = file.read(end - begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0
