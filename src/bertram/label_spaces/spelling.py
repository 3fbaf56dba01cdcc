"""Spellings of labels in files: text, numbers, missing labels, and their order."""

import math
import re
from collections.abc import Iterable

MISSING = ("", "nan")  # how tables write a label that is not there
_ZERO_FRACTION = re.compile(r"\.0+$")


def as_text(label: object) -> str:
    """A label in a file as text without surrounding space; empty if it is missing."""
    return "" if label is None else str(label).strip()


def read_number(text: str) -> float:
    """The number that a text is; Python's underscores between digits, 1_000, are none in a file.

    Raises:
        ValueError: it is no number.
    """
    if "_" in text:
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def in_order(spellings: Iterable[str]) -> tuple[str, ...]:
    """Different labels, in the order of their numbers if all are numbers (1.0 is 1), else of their characters."""
    texts = sorted(set(spellings), key=lambda text: (-len(text), text))
    try:
        numbers = {read_number(text): _ZERO_FRACTION.sub("", text) for text in texts}  # the shortest spelling stays
    except ValueError:
        return tuple(sorted(texts))
    return (
        tuple(numbers[value] for value in sorted(numbers)) if all(map(math.isfinite, numbers)) else tuple(sorted(texts))
    )


def as_number(text: str) -> float | None:
    """The number a label is; true and false, as some formats write yes and no, are 1 and 0."""
    try:
        value = read_number({"true": "1", "false": "0"}.get(text.casefold(), text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def finite(value: object) -> float:
    """The finite number that a cell or a field of JSON has written.

    Raises:
        ValueError: it is none.
    """
    try:
        written = read_number(str(value))
    except ValueError:
        written = math.nan
    if not math.isfinite(written):
        raise ValueError(f"{value!r} is not a finite number")
    return written


def quoted(text: str) -> str:
    """A text in quotes for an error, shortened to 40 characters."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
