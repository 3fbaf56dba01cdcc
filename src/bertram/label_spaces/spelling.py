"""Spellings of labels in files: text, numbers, missing labels, and their order."""

import math
import re
from collections.abc import Iterable

MISSING = ("", "nan")  # how tables write a label that is not there
_ZERO_FRACTION = re.compile(r"\.0+$")


def as_text(label: object) -> str:
    """A label in a file as text without surrounding space; empty if it is missing."""
    return "" if label is None else str(label).strip()


def in_order(spellings: Iterable[str]) -> tuple[str, ...]:
    """Different labels, in the order of their numbers if all are numbers (1.0 is 1), else of their characters."""
    texts = sorted(set(spellings), key=lambda text: (-len(text), text))
    try:
        numbers = {float(text): _ZERO_FRACTION.sub("", text) for text in texts}  # the shortest spelling stays
    except ValueError:
        return tuple(sorted(texts))
    return (
        tuple(numbers[number] for number in sorted(numbers))
        if all(map(math.isfinite, numbers))
        else tuple(sorted(texts))
    )


def as_number(text: str) -> float | None:
    """The number a label is; true and false, as some formats write yes and no, are 1 and 0."""
    try:
        number = float({"true": "1", "false": "0"}.get(text.casefold(), text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def finite(value: object) -> float:
    """The finite number that a cell or a field of JSON has written.

    Raises:
        ValueError: it is none.
    """
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def quoted(text: str) -> str:
    """A text in quotes for an error, shortened to 40 characters."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
