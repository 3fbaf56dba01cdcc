"""Standard input and output in the place of a file, by the name ``-``."""

import io
import sys
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TextIO

from bertram.errors import DataError

DASH = "-"


def is_dash(path: Path | str) -> bool:
    """Whether a path stands for standard input or output."""
    return str(path) == DASH


def standard_input() -> BinaryIO:
    """The bytes of standard input, to be read once.

    Raises:
        DataError: it is closed.
    """
    return _stream().buffer


def open_bytes(path: Path) -> BinaryIO:
    """A file, or standard input; its content is kept, so that it can be opened again as a file can.

    Raises:
        DataError: standard input is closed.
        OSError: the file cannot be opened.
    """
    return io.BytesIO(_content(_stream())) if is_dash(path) else path.open("rb")


def _stream() -> TextIO:
    if sys.stdin is None:
        raise DataError("standard input is closed; name a file")
    return sys.stdin


@lru_cache(maxsize=1)
def _content(stream: TextIO) -> bytes:
    return stream.buffer.read()
