"""Checkpoints: everything a killed run needs to go on as if nothing had happened.

A state is a nest of dictionaries and lists that holds tensors and plain values. Its tensors go to
`state.safetensors`, everything else to `state.json` together with the tensors' SHA-256, by which damage is found.
"""

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertram.errors import RunError
from bertram.runs.files import guarded

FORMAT = 1
PREFIX = "step-"
TENSOR = "$tensor"


class DamagedCheckpointWarning(UserWarning):
    """A checkpoint could not be read; the one before is used."""


def save(directory: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write a checkpoint atomically, then remove all but the newest `keep`.

    Raises:
        RunError: the disk is full; the checkpoints before are left as they are.
    """
    path = directory / f"{PREFIX}{step:09d}"
    temporary = directory / f".{path.name}.writing"

    def write() -> None:
        directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        tensors: dict[str, Tensor] = {}
        plain = _take_out(state, "", tensors)
        save_file(tensors, str(temporary / "state.safetensors"))
        digest = _sha256(temporary / "state.safetensors")
        text = json.dumps({"format": FORMAT, "step": step, "sha256": digest, "state": plain})
        (temporary / "state.json").write_text(text, encoding="utf-8")
        for file in temporary.iterdir():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)

    guarded(write, temporary)
    for old in _all(directory)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def newest(directory: Path) -> tuple[int, dict[str, Any]] | None:
    """The step and state of the newest sound checkpoint; None without one.

    Warns:
        DamagedCheckpointWarning: for each damaged one that is passed over.

    Raises:
        RunError: the newest checkpoint is of an unknown format version.
    """
    for path in reversed(_all(directory)):
        try:
            return _load(path)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            if isinstance(error, RunError):
                raise
            warnings.warn(
                f"{path} is damaged ({error}); the checkpoint before it is used", DamagedCheckpointWarning, stacklevel=2
            )
    return None


def _all(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob(f"{PREFIX}*") if path.is_dir())


def _load(path: Path) -> tuple[int, dict[str, Any]]:
    head = json.loads((path / "state.json").read_text(encoding="utf-8"))
    if head["format"] != FORMAT:
        raise RunError(f"{path}: checkpoint format version {head['format']!r} is unknown; this BERTram reads {FORMAT}")
    if _sha256(path / "state.safetensors") != head["sha256"]:
        raise ValueError("its tensors are not those that were written")
    return int(head["step"]), _put_back(head["state"], load_file(str(path / "state.safetensors")))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
