"""Writing files so that a reader, or a run that was killed, never finds half of one."""

import errno
import gzip
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bertram.errors import RunError
from bertram.runs.lock import held_file
from bertram.standard_streams import is_dash

WRITING = ".writing"  # ends the name of what is not yet whole


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    write_bytes(path, text.encode())


def write_output(path: Path, text: str) -> None:
    """Replace a file as a whole, or write to standard output for ``-``."""
    if is_dash(path):
        sys.stdout.write(text)
    else:
        write_text(path, text)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as a whole; its directory is made if it is missing, and another process that writes it waits."""
    temporary = path.with_name(f".{path.name}{WRITING}")

    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with held_file(temporary):
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)

    guarded(write, temporary)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file as a whole."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_lines_gz(path: Path, values: Iterable[Any]) -> None:
    """Replace a compressed JSONL file; the same values give the same bytes."""
    lines = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    write_bytes(path, gzip.compress(lines.encode(), mtime=0))


def replace_directory(path: Path, fill: Callable[[Path], None]) -> None:
    """Replace a directory as a whole by one that `fill` has written."""
    temporary = path.with_name(f".{path.name}{WRITING}")
    old = path.with_name(f".{path.name}.old")

    def write() -> None:
        shutil.rmtree(temporary, ignore_errors=True)
        fill(temporary)
        for file in temporary.rglob("*"):
            if file.is_file():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)

    guarded(write, temporary)


def restore_directory(path: Path) -> None:
    """Put a directory back if a kill hit `replace_directory` between its two renames."""
    old = path.with_name(f".{path.name}.old")
    if not path.exists() and old.exists():
        with suppress(FileNotFoundError):  # another process was quicker
            old.rename(path)


def guarded(write: Callable[[], None], temporary: Path) -> None:
    """Write a file; if that fails, remove the part that was written.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    try:
        with disk_errors(temporary.parent):
            write()
    except Exception:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink()
        raise


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn a disk that is full or cannot be written into an error that says so.

    Raises:
        RunError: that.
    """
    try:
        yield
    except Exception as error:
        text = str(error)
        of_rust = "(os error " in text or "IoError(" in text  # safetensors and tokenizers have exceptions of their own
        if not (isinstance(error, OSError) or of_rust):
            raise
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text
        reason = "the disk is full; free some space and continue with --resume" if full else text
        raise RunError(f"{place}: cannot be written: {reason}") from None
