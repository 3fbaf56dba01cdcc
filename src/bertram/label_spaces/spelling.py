"""Spellings of labels in files: text, numbers, missing labels, and their order."""

import math
import re
from collections.abc import Iterable

MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "<na>"})  # a missing label, in lower case
_ZERO_FRACTION = re.compile(r"([-+]?\d+)\.0+")


def as_text(label: object) -> str:
    """A label in a file as text without surrounding space; empty if it is missing."""
    return "" if label is None else str(label).strip()


def is_missing(text: str) -> bool:
    """Whether a text stands for a label that is not there: an empty cell, NaN, NA, N/A, #N/A, null or <NA>."""
    return text.casefold() in MISSING


def whole(text: str) -> str:
    """A label without the fraction of a whole number, 3 for 3.0; any other label as it is, such as 1.10 and 007."""
    match = _ZERO_FRACTION.fullmatch(text)
    return text if match is None else match[1]


def read_number(text: str) -> float:
    """The number that a text is; Python's underscores between digits, 1_000, are none in a file.

    Raises:
        ValueError: it is no number.
    """
    if "_" in text:
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def in_order(spellings: Iterable[str]) -> tuple[str, ...]:
    """Different labels, in the order of their numbers if all are numbers (3.0 is 3), else of their characters."""
    texts = sorted(set(spellings))
    try:
        numbers = {text: read_number(text) for text in map(whole, texts)}
    except ValueError:
        return tuple(texts)
    return tuple(sorted(numbers, key=lambda text: (numbers[text], text))) if _finite(numbers.values()) else tuple(texts)


def _finite(numbers: Iterable[float]) -> bool:
    return all(map(math.isfinite, numbers))


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
