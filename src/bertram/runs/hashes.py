"""SHA-256 of the files of a run: what was written is what is read."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from bertram.errors import RunError

READ = (".json", ".safetensors", ".txt")  # ends of the names of the files that make a model or an encoder


def sha256_of(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        RunError: the file cannot be read, with the operating system's reason.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise RunError(f"{path}: missing") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None


def hashes_below(directory: Path) -> dict[str, str]:
    """SHA-256 by path, relative to a directory, of the files that make a model or an encoder."""
    return {path.relative_to(directory).as_posix(): sha256_of(path) for path in _read_files(directory)}


def hashes_in(directory: Path) -> dict[str, str]:
    """SHA-256 of the files directly in a directory."""
    return {
        path.name: sha256_of(path) for path in sorted(directory.iterdir()) if path.suffix in READ and path.is_file()
    }


def check_hashes(directory: Path, expected: Mapping[str, str]) -> None:
    """Raise RunError for a file that is missing, was changed, or was added.

    Args:
        directory: directory of the files.
        expected: SHA-256 by path, relative to the directory.
    """
    for name, sha256 in expected.items():
        if sha256_of(directory / name) != sha256:
            raise RunError(f"{directory / name}: damaged: its SHA-256 is not the recorded one")
    present = {path.relative_to(directory).as_posix() for path in _read_files(directory)}
    added = sorted(present - expected.keys())
    if added:
        raise RunError(f"{directory / added[0]}: not a file of this run: the record does not name it; remove it")


def directory_hash(directory: Path, known: Mapping[str, str] | None = None) -> str:
    """SHA-256 of all files of a directory and their names.

    Args:
        directory: directory of the files.
        known: SHA-256 by path, relative to the directory, of files whose content is known.
    """
    whole = hashlib.sha256()
    for path in sorted(file for file in directory.rglob("*") if file.is_file()):
        name = path.relative_to(directory)
        sha256 = (known or {}).get(name.as_posix()) or sha256_of(path)
        whole.update(f"{name} {sha256}\n".encode())
    return whole.hexdigest()


def _read_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix in READ)
