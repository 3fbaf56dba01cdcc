"""Files that a training writes while it runs; only the first process writes, the others have a null writer."""

from collections.abc import Mapping
from typing import Protocol, Self

from bertram.prediction.load import save_model
from bertram.prediction.model import Model
from bertram.runs import checkpoint
from bertram.runs.directory import MetricsLog, Run, log_hash
from bertram.runs.files import replace_directory


class Writer(Protocol):
    """Writes the log, the models and the checkpoints of a training."""

    def log(self, line: Mapping[str, object]) -> None:
        """Append a line to the metrics log."""

    def save_model(self, model: Model) -> None:
        """Replace the model of the run."""

    def save_checkpoint(self, step: int, state: checkpoint.State) -> None:
        """Add a checkpoint, and remove the oldest ones."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class RunWriter:
    """Writes into a run directory.

    Args:
        run: run directory.
        checkpoints: number of checkpoints to keep.
        log_position: length in bytes of the part of the metrics log that is kept.

    Raises:
        RunError: the directory cannot be written; so do all methods.
    """

    def __init__(self, run: Run, *, checkpoints: int, log_position: int = 0) -> None:
        self._run, self._checkpoints = run, checkpoints
        self._log = MetricsLog(run.metrics, log_position)

    def log(self, line: Mapping[str, object]) -> None:
        """Append a line to the metrics log."""
        self._log.write(line)

    def save_model(self, model: Model) -> None:
        """Replace the model of the run."""
        replace_directory(self._run.model, lambda directory: save_model(model, directory))

    def save_checkpoint(self, step: int, state: checkpoint.State) -> None:
        """Add a checkpoint, and remove the oldest ones."""
        position = self._log.position()
        whole = {**state, "metrics": position, "metrics_sha256": log_hash(self._run.metrics, position)}
        checkpoint.save(self._run.checkpoints, step, whole, self._checkpoints)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()


class NoWriter:
    """Writes nothing."""

    def log(self, line: Mapping[str, object]) -> None:
        """Do nothing."""

    def save_model(self, model: Model) -> None:
        """Do nothing."""

    def save_checkpoint(self, step: int, state: checkpoint.State) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass
