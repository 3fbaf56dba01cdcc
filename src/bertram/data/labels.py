"""What the label of a row means: a class, yes or no, or a score."""

import math
from collections.abc import Callable

from bertram.tasks import Task

NO_LABEL = "no label"
NO = ("0", "no", "false")
YES = ("1", "yes", "true")


class Fault(ValueError):  # noqa: N818 - not an error of the program: the row becomes a reject
    """Why a row is rejected."""


def label_reader(task: Task) -> Callable[[object], float]:
    """A function from a label as it stands in a file to a class index, 0 or 1, or a score in label units.

    It raises `Fault` for a label that is missing, unknown, not a finite number or outside the range.
    """
    if task.kind == "score":
        return lambda value: _score(value, *task.range)
    return _class_reader(task)


def _score(value: object, lowest: float, highest: float) -> float:
    text = _written(value)
    if not text:
        raise Fault(NO_LABEL)
    try:
        score = float(text)
    except ValueError:
        raise Fault(f"the score {_short(text)} is not a number") from None
    if not math.isfinite(score):
        raise Fault(f"the score {text} is not finite")
    if not lowest <= score <= highest:
        raise Fault(f"the score {_short(text)} is outside {lowest:g} to {highest:g}")
    return score


def _class_reader(task: Task) -> Callable[[object], float]:
    """A label matches as it is written, else by its number (1.0 is 1), else by name without regard to case."""
    spellings: list[tuple[str, ...]] = [(label,) for label in task.labels] or [NO, YES]
    exact = {label: index for index, labels in enumerate(spellings) for label in labels}
    numbers = {_number(label): index for label, index in exact.items() if _number(label) is not None}
    folded = {label.casefold(): index for label, index in exact.items()}
    for index, name in enumerate(task.class_names):
        folded.setdefault(name.casefold(), index)
    known = dict(exact)  # grows by the other ways in which this file writes its labels

    def read(value: object) -> int:
        text = _written(value)
        index = known.get(text)
        if index is None:
            index = numbers.get(_number(text))
            index = folded.get(text.casefold()) if index is None else index
            if index is None:
                missing = text.casefold() in ("", "nan")
                raise Fault(NO_LABEL if missing else f"the label {_short(text)} is none of {', '.join(exact)}")
            known[text] = index
        return index

    return read


def _written(value: object) -> str:
    return "" if value is None else str(value).strip()


def _number(text: str) -> float | None:
    """The number a label is; true and false, as some formats write yes and no, are 1 and 0."""
    try:
        number = float({"true": "1", "false": "0"}.get(text.casefold(), text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
