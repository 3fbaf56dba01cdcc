"""Checkpoints: everything that a killed run needs to continue bit for bit.

A state is a nest of dictionaries and lists that holds tensors and plain values. Its tensors go to
`state.safetensors`, everything else to `state.json` together with a SHA-256 of both, by which damage is found.
"""

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bertram.errors import RunError
from bertram.runs.files import WRITING, guarded
from bertram.runs.tensors import write_tensors

State: TypeAlias = dict[str, Any]  # a nest of dictionaries and lists with tensors and plain values, as in PyTorch
FORMAT = 2  # 1: parameters of the optimizer by number, of the network by former names
PREFIX = "step-"
TEMPORARY = f".checkpoint{WRITING}"  # always the same, so that what a kill has left of one is written over
TENSOR = "$tensor"


class DamagedCheckpointWarning(UserWarning):
    """A checkpoint could not be read; the one before is used."""


def save(directory: Path, step: int, state: State, keep: int) -> Path:
    """Write a checkpoint atomically, then remove all but the newest `keep`.

    Later steps are removed as well: their checkpoints were passed over as damaged when the run went on from here.

    Raises:
        RunError: the disk is full; the checkpoints before are left as they are.
    """
    path = directory / f"{PREFIX}{step:09d}"
    temporary = directory / TEMPORARY

    def write() -> None:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        tensors: dict[str, Tensor] = {}
        plain = _take_out(state, "", tensors)
        write_tensors(temporary / "state.safetensors", tensors)
        digest = _digest(temporary / "state.safetensors", step, plain)
        text = json.dumps({"format": FORMAT, "step": step, "sha256": digest, "state": plain})
        (temporary / "state.json").write_text(text, encoding="utf-8")
        for file in temporary.iterdir():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)

    guarded(write, temporary)
    checkpoints = _all(directory)
    remaining = [checkpoint for checkpoint in checkpoints if checkpoint.name <= path.name][-keep:]
    for checkpoint in checkpoints:
        if checkpoint not in remaining:
            shutil.rmtree(checkpoint, ignore_errors=True)
    return path


def newest(directory: Path) -> tuple[int, State] | None:
    """The step and state of the newest sound checkpoint; None without one.

    Warns:
        DamagedCheckpointWarning: for each damaged one that is passed over.

    Raises:
        RunError: the newest checkpoint is of an unknown format version.
    """
    for path in reversed(_all(directory)):
        try:
            return _load(path)
        except RunError:
            raise
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            text = f"{path} is damaged ({error!r}); the one before it is used, or the run starts over"
            warnings.warn(text, DamagedCheckpointWarning, stacklevel=2)
    return None


def _all(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob(f"{PREFIX}*") if path.is_dir())


def _load(path: Path) -> tuple[int, State]:
    head = json.loads((path / "state.json").read_text(encoding="utf-8"))
    if head["format"] != FORMAT:
        raise RunError(
            f"{path}: checkpoint format version {head['format']!r} is unknown; this BERTram reads {FORMAT}; continue "
            "with the version that wrote it, or remove this checkpoint"
        )
    tensors = path / "state.safetensors"
    if _digest(tensors, head["step"], head["state"]) != head["sha256"]:
        raise ValueError("it is not what was written")
    return int(head["step"]), _put_back(head["state"], load_file(str(tensors)))


def _digest(tensors: Path, step: int, plain: Any) -> str:
    with tensors.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps([step, plain]).encode())
    return digest.hexdigest()


def _take_out(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """The value with tensors replaced by references, and the tensors by reference."""
    if isinstance(value, Tensor):
        tensors[place] = value.detach().cpu().contiguous().clone()  # a clone: two names may share memory
        return {TENSOR: place}
    if isinstance(value, dict):
        return {str(key): _take_out(part, f"{place}/{key}", tensors) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_take_out(part, f"{place}/{number}", tensors) for number, part in enumerate(value)]
    return value


def _put_back(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {TENSOR}:
            return tensors[value[TENSOR]]
        return {key: _put_back(part, tensors) for key, part in value.items()}
    if isinstance(value, list):
        return [_put_back(part, tensors) for part in value]
    return value
