"""What ``precision = "auto"`` means for a run: found by a measurement once, and kept.

A run keeps it beside its checkpoints, so that it goes on in the same precision when it is resumed. A study keeps it in
its results folder, for all its runs.
"""

from dataclasses import dataclass
from pathlib import Path

from bertram.model.linear import Precision
from bertram.runs.files import write_json
from bertram.runs.typed_json import read_object, typed

PRECISION = "precision.json"


@dataclass(frozen=True)
class _Kept:
    """The content of precision.json."""

    precision: Precision


def kept_precision(directory: Path) -> Precision | None:
    """The precision that is kept in a directory; None if there is none.

    Raises:
        RunError: the file is damaged.
    """
    path = directory / PRECISION
    try:
        values = read_object(path)
    except FileNotFoundError:
        return None
    return typed(values, _Kept, path).precision


def keep_precision(directory: Path, precision: Precision) -> None:
    """Write the precision into a directory, unless one is kept there.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    path = directory / PRECISION
    if not path.is_file():
        write_json(path, {"precision": precision})
