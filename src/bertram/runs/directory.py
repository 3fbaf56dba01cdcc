"""A run is a directory: everything that is shown anywhere is read from it.

config.toml               the resolved configuration
record.json               versions, host, data hashes, timing, scores; written when the run is finished
metrics.jsonl             a line a logged step or evaluation
model/                    the weights the run ends with, enough to predict
checkpoint/               what resuming needs; removed when the run is finished
predictions/<split>/      id and output of each example, no text and no gold label
"""

import gzip
import json
import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from bertram import options
from bertram.config import Config
from bertram.errors import RunError
from bertram.runs.files import mended, write_json_lines_gz, write_text

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes:
        path: of the directory.
    """

    path: Path

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "record.json").is_file()

    @cached_property
    def record(self) -> dict[str, Any]:
        """What is known of the run; see DESIGN for its form.

        Raises:
            RunError: the run is not finished, or the record is damaged or of an unknown format version.
        """
        path = self.path / "record.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{self.path}: not a finished run: it has no record.json; train on with --resume") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: damaged: {error}") from None
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            found = record.get("format") if isinstance(record, dict) else None
            raise RunError(f"{path}: format version {found!r} is unknown; this BERTram reads {FORMAT}")
        return record

    @cached_property
    def config(self) -> Config:
        """The resolved configuration."""
        return read_config(self.path)

    @property
    def model(self) -> Path:
        """Where the model is."""
        return mended(self.path / "model")

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are."""
        return self.path / "checkpoint"

    @property
    def metrics(self) -> Path:
        """Where the metrics are."""
        return self.path / "metrics.jsonl"

    def predictions(self, task: str, split: str = "dev") -> Path:
        """Where a task's predictions are."""
        return self.path / "predictions" / split / f"{task}.jsonl.gz"


def create(path: Path, config: Config) -> Run:
    """Make a new run directory.

    Raises:
        RunError: there is something already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        hint = (
            "go on with it by --resume, or choose another --out"
            if (path / "config.toml").exists()
            else "choose another --out"
        )
        raise RunError(f"{path}: exists already; {hint}")
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
    if not (path / "config.toml").is_file() and not (path / "record.json").is_file():
        raise RunError(f"{path}: not a run: it has neither config.toml nor record.json")
    return Run(path)


def read_config(path: Path) -> Config:
    """The configuration in a run directory.

    Raises:
        RunError: missing or damaged.
    """
    file = path / "config.toml"
    try:
        return options.make(tomllib.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunError(f"{file}: missing") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{file}: damaged: {error}") from None


def write_predictions(
    path: Path, ids: Sequence[str], values: Sequence[Any], probabilities: Sequence[Any] | None
) -> None:
    """Write id and output of each example: no text, no gold label."""
    lines: list[dict[str, Any]] = [{"id": one, "value": value} for one, value in zip(ids, values, strict=True)]
    if probabilities is not None:
        for line, several in zip(lines, probabilities, strict=True):
            line["probabilities"] = [round(value, 4) for value in several]
    write_json_lines_gz(path, lines)


def read_predictions(path: Path) -> list[dict[str, Any]]:
    """The lines of a prediction file.

    Raises:
        RunError: missing or damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        raise RunError(f"{path}: missing; write it with: bertram evaluate") from None
    except (OSError, EOFError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: damaged: {error}") from None


class MetricsLog:
    """metrics.jsonl, cut back on resuming so that no line stands twice.

    Args:
        path: of the file.
        position: bytes that are kept of a file that exists.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        self._file = path.open("ab")
        self._file.truncate(position)
        self._file.seek(position)

    def write(self, values: dict[str, Any]) -> None:
        """Append a line."""
        self._file.write(json.dumps(values).encode() + b"\n")
        self._file.flush()

    def position(self) -> int:
        """How long the file is, safely on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of metrics.jsonl."""
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
