"""A file of predictions that grows line by line, and that an interrupted prediction continues.

A file beside it, with the ending ``.source``, says what the predictions belong to: task, hash of the model, and after
every few rows the hash of all texts so far. What is there is kept only if all of them agree.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from bertram.errors import DataError
from bertram.runs.typed_json import JsonObject
from bertram.tasks import Task

Row = tuple[str, tuple[str, ...]]  # id and texts
BLOCK = 1 << 20
ROWS_PER_HASH = 256  # so many predictions at most are computed again after a kill
CHOOSE = "choose another --out"


class Output:
    """A file of predictions, one JSON line each; existing lines are kept, except an incomplete last line.

    Args:
        path: path of the file; created if it is missing.
        task: task that is predicted.
        model: hash of the model; see `bertram.prediction.load.model_hash`.

    Attributes:
        existing: number of existing predictions that stay.
        added: number of predictions written.

    Raises:
        DataError: the file holds something else than predictions of this task and model, or cannot be written.
    """

    def __init__(self, path: Path, task: Task, model: str) -> None:
        self.path, self.task, self.source = path, task, path.with_name(f"{path.name}.source")
        self.existing = self.added = 0
        self._hash = ""  # of the texts of all predictions so far
        self._hashes: deque[str] = deque()  # of the texts up to each row that is not yet written
        self._header = json.dumps({"task": task.name, "model": model})
        try:
            self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
            first = self._file.readline(BLOCK)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}") from None
        try:
            hashes = self._recorded(first) if first else {}
            self.existing = max((count for count in hashes if count <= _count_lines(self._file)), default=0)
            self._expected_hash = hashes.get(self.existing, "")
            self._file.truncate(_end_of_lines(self._file, self.existing))
            self._file.seek(0, 2)
            self._log = self.source.open("a" if first else "w", encoding="ascii")
        except (DataError, OSError) as error:
            self._file.close()
            if isinstance(error, OSError):
                raise DataError(f"{self.source}: cannot be written: {error.strerror}") from None
            raise
        self._log.write("\n" if first else f"{self._header}\n")  # ends a line that a kill has torn
        self._log.flush()  # before the first prediction

    def remaining(self, rows: Iterator[Row], step: Callable[[], None] = lambda: None) -> Iterator[Row]:
        """The rows without a prediction; those before them are checked against the predictions that are there.

        Args:
            rows: all rows, in order.
            step: called for each row that has a prediction.

        Raises:
            DataError: the predictions belong to another input.
        """
        texts_hash = ""
        with self.path.open("rb") as lines:
            for number in range(1, self.existing + 1):
                predicted = self._id(number, lines.readline())
                row = next(rows, None)
                if row is None:
                    has = f"the input has only {number - 1} usable rows"
                    raise DataError(f"{self.path}: has prediction {number}, but {has}; {CHOOSE}")
                if row[0] != predicted:
                    raise DataError(
                        f"{self.path}: prediction {number} has id {predicted!r}, but row {number} of the input has "
                        f"{row[0]!r}: it belongs to another input; {CHOOSE}"
                    )
                texts_hash = _chained(texts_hash, row)
                step()
        if self.existing and texts_hash != self._expected_hash:
            raise DataError(f"{self.path}: belongs to another input, whose ids are the same; {CHOOSE}")
        self._hash = texts_hash
        for row in rows:
            texts_hash = _chained(texts_hash, row)
            self._hashes.append(texts_hash)
            yield row

    def write(self, line: JsonObject) -> None:
        """Append the prediction of the next of the remaining rows."""
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._hash = self._hashes.popleft()
        self.added += 1
        if self.added % ROWS_PER_HASH == 0:
            self._record()

    def _record(self) -> None:
        self._file.flush()  # before the hash: a hash without its predictions is passed over
        self._log.write(f"{self.existing + self.added} {self._hash}\n")
        self._log.flush()

    def _recorded(self, first: bytes) -> dict[int, str]:
        """Number of predictions -> hash of their texts, from the file beside them; `first` is the first line here."""
        try:
            header, *lines = self.source.read_text(encoding="ascii", errors="replace").split("\n")
        except FileNotFoundError:
            self._id(1, first)
            reason = f"{self.source.name} is missing, so that nothing says which run and input it belongs to"
            raise DataError(f"{self.path}: {reason}; {CHOOSE}") from None
        if header != self._header:
            raise DataError(f"{self.path}: belongs to another run or task; {CHOOSE}")
        pairs = (line.split(" ") for line in lines)
        return {
            int(pair[0]): pair[1] for pair in pairs if len(pair) == 2 and pair[0].isdecimal() and len(pair[1]) == 64
        }

    def _id(self, number: int, line: bytes) -> str:
        try:
            entry = json.loads(line)
            example_id, _, names = entry["id"], entry["value"], tuple(entry.get("probabilities", ()))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise DataError(f"{self.path}:{number}: not a prediction; {CHOOSE}") from None
        if names != self.task.label_space.names:
            raise DataError(f"{self.path}:{number}: a prediction of another task; {CHOOSE}")
        return str(example_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.added % ROWS_PER_HASH:
            self._record()
        self._file.close()
        self._log.close()


def count_lines(path: Path) -> int:
    """Number of lines of a file, which is read in blocks."""
    with path.open("rb") as file:
        return _count_lines(file)


def _count_lines(file: BinaryIO) -> int:
    file.seek(0)
    return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK), b""))


def _end_of_lines(file: BinaryIO, count: int) -> int:
    """Position in the file at which a line ends; lines are counted from 1."""
    file.seek(0)
    return sum(len(file.readline()) for _ in range(count))


def _chained(before: str, row: Row) -> str:
    """The hash of all rows so far, from that of the rows before."""
    return hashlib.sha256(json.dumps([before, *row]).encode()).hexdigest()
