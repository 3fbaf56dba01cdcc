"""Tensor files of a run: written with the modes of the umask, and checked against their shapes before they are read."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertram.errors import RunError


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file whose mode is that of any new file, where the library alone would give 0600."""
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), str(path), metadata=None if metadata is None else dict(metadata))
    path.chmod(mode & 0o777)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        RunError: missing, not readable or damaged; the reason is the operating system's.
    """
    _require_readable(path)
    try:
        return load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged, it cannot be read: {error}") from None


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape of the tensors of a safetensors file, from its header alone.

    Raises:
        RunError: missing, not readable or damaged.
    """
    _require_readable(path)
    try:
        with safe_open(str(path), "pt") as file:
            return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged, it cannot be read: {error}") from None


def _require_readable(path: Path) -> None:
    """Raise the true reason why a file cannot be read; safetensors calls each of them "no such file"."""
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise RunError(f"{path}: missing") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
