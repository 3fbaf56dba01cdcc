"""Writing files so that a reader, or a run that was killed, never finds half of one."""

import errno
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bertram.errors import RunError


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    temporary = path.with_name(f".{path.name}.writing")

    def write() -> None:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    guarded(write, temporary)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file as a whole."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_lines_gz(path: Path, values: Iterable[Any]) -> None:
    """Replace a compressed JSONL file; the same values give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.writing")

    def write() -> None:
        lines = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
        temporary.write_bytes(gzip.compress(lines.encode(), mtime=0))
        temporary.replace(path)

    guarded(write, temporary)


def replace_directory(path: Path, fill: Callable[[Path], None]) -> None:
    """Replace a directory as a whole by one that `fill` has written."""
    temporary = path.with_name(f".{path.name}.writing")
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


def mended(path: Path) -> Path:
    """The directory, put back where a kill hit `replace_directory` between its two renames."""
    old = path.with_name(f".{path.name}.old")
    if not path.exists() and old.exists():
        old.rename(path)
    return path


def guarded(write: Callable[[], None], temporary: Path) -> None:
    """Write, and on a full disk remove what was begun and say so.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    try:
        write()
    except Exception as error:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) or "No space left" in str(error):
            full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
            reason = "the disk is full; make room and go on with --resume" if full else str(error)
            raise RunError(f"{temporary.parent}: cannot be written: {reason}") from None
        raise
