"""A run is a directory: everything that is shown anywhere is read from it.

config.toml               the resolved configuration
record.json               versions, host, data hashes, timing, scores; written when the run is finished
metrics.jsonl             a line a logged step or evaluation
model/                    the weights the run ends with, enough to predict
checkpoint/               what resuming needs; removed when the run is finished
predictions/<split>/      id and output of each example, no text and no gold label
"""

import gzip
import hashlib
import json
import math
import os
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from bertram import options
from bertram.config import Config
from bertram.errors import BertramError, RunError
from bertram.runs.files import WRITING, disk_errors, write_json_lines_gz, write_text
from bertram.runs.hashes import check_hashes, sha256_of
from bertram.runs.lock import LOCK
from bertram.runs.record import RECORD, Record, read_record
from bertram.runs.typed_json import JsonObject, one_line

CONFIG = "config.toml"
MEMBERS = "ensemble.json"  # in the model directory of an ensemble


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes:
        path: path of the directory.
    """

    path: Path

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / RECORD).is_file()

    @cached_property
    def record(self) -> Record:
        """Record of the run: scores, data, steps, time, versions.

        Raises:
            RunError: the run is not finished, or the record is damaged or of an unknown format version.
        """
        return read_record(self.path)

    @cached_property
    def config(self) -> Config:
        """The resolved configuration."""
        return read_config(self.path)

    @property
    def model(self) -> Path:
        """Directory of the model."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoints."""
        return self.path / "checkpoint"

    @property
    def metrics(self) -> Path:
        """File of the metrics."""
        return self.path / "metrics.jsonl"

    def check_model(self) -> dict[str, str]:
        """SHA-256 of the model's files, which are what the record says; nothing of an unfinished run.

        Raises:
            RunError: the model is not, file by file, what the record of a finished run says.
        """
        recorded = self.record.files if self.finished else {}
        prefix = f"{self.model.name}/"
        files = {name.removeprefix(prefix): sha256 for name, sha256 in recorded.items() if name.startswith(prefix)}
        if files and not self.model.is_dir():
            advice = "train it anew in another --out, or run the study with --keep-models"
            raise RunError(f"{self.path}: its model was not kept; {advice}")
        if files:
            check_hashes(self.model, files)
        return files

    def is_as_recorded(self, path: Path) -> bool:
        """Whether a file is the one that the record of a finished run knows; True where there is no hash of it."""
        if not self.finished:
            return True
        recorded = self.record.files.get(path.relative_to(self.path).as_posix())
        return recorded is None or recorded == sha256_of(path)

    def predictions(self, task: str, split: str = "dev") -> Path:
        """File of a task's predictions."""
        return self.path / "predictions" / split / f"{task}.jsonl.gz"


def refuse_existing(path: Path, *, resumable: bool = True) -> None:
    """Raise RunError if there is something already where a run shall be made.

    What a kill has left of an attempt to write the first file does not count.

    Args:
        path: path of the run to make.
        resumable: True if an existing run can be continued.
    """
    if path.exists() and (not path.is_dir() or any(not _is_remnant(file) for file in path.iterdir())):
        has_config = resumable and (path / "config.toml").exists()
        hint = "continue it with --resume, or choose another --out" if has_config else "choose another --out"
        raise RunError(f"{path}: exists already; {hint}")


def _is_remnant(path: Path) -> bool:
    """Whether a file is what a kill leaves before a run has begun."""
    return path.name == LOCK or path.name.endswith(WRITING)


def create(path: Path, config: Config) -> Run:
    """Make a new run directory.

    Raises:
        RunError: there is something already.
    """
    refuse_existing(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be made: {error.strerror}") from None
    write_text(path / "config.toml", options.to_toml(config))
    return Run(path)


def open_run(path: Path) -> Run:
    """A run that exists.

    Raises:
        RunError: there is no run.
    """
    if not path.is_dir():
        raise RunError(f"{path}: there is no such run directory")
    if not (path / "config.toml").is_file() and not (path / RECORD).is_file():
        raise RunError(f"{path}: not a run: it has neither config.toml nor record.json")
    return Run(path)


def open_runs(paths: Sequence[Path], least: int = 2) -> list[Run]:
    """Several finished runs.

    Raises:
        RunError: too few, one of them twice, or the faults of all of them together.
    """
    if len(paths) < least:
        raise RunError(f"name at least {least} runs; there is only {', '.join(map(str, paths)) or 'none'}")
    faults: list[str] = []
    runs: dict[Path, Run] = {}
    for path in paths:
        if path.resolve() in runs:
            faults.append(f"{path}: is named twice")
            continue
        try:
            run = runs[path.resolve()] = open_run(path)
            _ = run.record, run.config
        except BertramError as error:
            faults.append(str(error))
    if faults:
        raise RunError("\n".join(faults))
    return list(runs.values())


def read_config(path: Path) -> Config:
    """The configuration in a run directory.

    Raises:
        RunError: missing or damaged.
    """
    file = path / CONFIG
    try:
        return options.make(tomllib.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunError(f"{file}: missing") from None
    except (OSError, ValueError) as error:  # not TOML, not text, or not a configuration
        raise RunError(f"{file}: damaged: {error}") from None


def write_predictions(
    path: Path, ids: Sequence[str], values: Sequence[Any], probabilities: Sequence[Any] | None
) -> None:
    """Write id and output of each example: no text, no gold label."""
    lines: list[JsonObject] = [{"id": example, "value": value} for example, value in zip(ids, values, strict=True)]
    if probabilities is not None:
        for line, vector in zip(lines, probabilities, strict=True):
            line["probabilities"] = [round(value, 4) for value in vector]
    write_json_lines_gz(path, lines)


def read_predictions(path: Path) -> list[JsonObject]:
    """The lines of a prediction file.

    Raises:
        RunError: missing or damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    except FileNotFoundError:
        raise RunError(f"{path}: missing; write it with: bertram evaluate") from None
    except PermissionError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (OSError, EOFError, ValueError, zlib.error, RecursionError) as error:
        raise RunError(f"{path}: damaged: {one_line(error)}") from None
    if not lines:
        raise RunError(f"{path}: damaged: it has no predictions")
    for number, line in enumerate(lines, 1):
        if not (isinstance(line, dict) and isinstance(line.get("id"), str) and _is_value(line.get("value"))):
            raise RunError(f"{path}, line {number}: damaged: not a prediction")
    return lines


def _is_value(value: object) -> bool:
    """Whether a value is a finite number, or the indices of several labels."""
    if isinstance(value, list):
        return all(isinstance(index, int) and index >= 0 for index in value)
    return isinstance(value, int | float) and math.isfinite(value)


class MetricsLog:
    """metrics.jsonl, cut back on resuming so that no line stands twice.

    Args:
        path: path of the log.
        position: bytes that are kept of a file that exists.

    Raises:
        RunError: the disk is full or cannot be written; so do all methods.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        self._place = path.parent
        with disk_errors(self._place):
            self._file = path.open("ab", buffering=0)  # no buffer, which a full disk would leave full
            position = min(position, self._file.tell())
            with path.open("rb") as file:  # a torn last line would be glued to the next
                content = file.read(position)
            position = content.rfind(b"\n") + 1
            if self._file.tell() > position:
                self._file.truncate(position)
                self._file.seek(position)

    def write(self, values: Mapping[str, object]) -> None:
        """Append a line, with null for numbers that are not finite."""
        line = json.dumps(_without_nan(values), allow_nan=False).encode() + b"\n"
        with disk_errors(self._place):
            while line:
                line = line[self._file.write(line) :]

    def position(self) -> int:
        """Length of the file in bytes, after it is safely on disk."""
        with disk_errors(self._place):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _without_nan(value: Any) -> Any:
    """The value with null for numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def log_hash(path: Path, size: int) -> str:
    """SHA-256 of the first bytes of a log."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(size)).hexdigest()


def log_fault(path: Path, size: int, sha256: str | None) -> str | None:
    """Fault of a log, found by the length and hash that a checkpoint has; None if there is none.

    Args:
        path: the log.
        size: number of bytes at the checkpoint.
        sha256: their SHA-256; None in checkpoints that do not have it.
    """
    length = path.stat().st_size if path.is_file() else 0
    if length < size:
        return f"has {length} bytes, but had {size} at the checkpoint: lines are lost"
    if sha256 is not None and log_hash(path, size) != sha256:
        return "is not what was written before the checkpoint"
    return None


def read_metrics(path: Path) -> Iterator[JsonObject]:
    """The lines of metrics.jsonl, but for a last one that is not yet whole.

    Raises:
        RunError: a line is damaged.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                try:
                    values = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise RunError(f"{path}, line {number}: damaged: {one_line(error)}") from None
                if not isinstance(values, dict):
                    raise RunError(f"{path}, line {number}: damaged: not a JSON object")
                yield values
