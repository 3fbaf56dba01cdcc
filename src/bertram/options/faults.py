"""Messages about faulty configurations: all faults at once, an unknown field with the most similar known one."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bertram.config import Config
from bertram.options.raw_values import RawValues
from bertram.options.schema import annotation_of, fields

Place = tuple[int | str, ...]
_TYPE = re.compile(r"(constrained-)?(str|int|float|bool)|(literal|tuple|list|dict)\[.*\]")
WHOLE_TABLE = ("value_error", "missing")  # faults of a table rather than of one of its fields
OTHER_LENGTH = ("missing", "too_long", "tuple_type")  # faults of a field that takes a fixed number of values


def all_faults(values: Mapping[str, Any], error: ValidationError) -> list[str]:
    """One line per fault: faults of fields first, then of whole tasks, then between tables.

    Pydantic checks a table only when its fields are valid. To find the later faults as well, the check is repeated
    without the faulty fields and with a valid task in the place of each faulty one.

    Args:
        values: the values that were refused.
        error: pydantic's refusal.
    """
    lines = [line for fault in error.errors() for line in _explain(fault)]
    for _ in range(2):
        values = _without_faults(values, error.errors())
        try:
            Config.model_validate(values)
            break
        except ValidationError as next_error:
            error = next_error
        lines += [line for fault in error.errors() if fault["type"] == "value_error" for line in _explain(fault)]
    return list(dict.fromkeys(lines))


def _without_faults(values: Mapping[str, Any], faults: list[ErrorDetails]) -> RawValues:
    of_tables = [fault for fault in faults if fault["type"] in WHOLE_TABLE and not _is_value(fault)]
    remaining = _without(values, [fault["loc"] for fault in faults if fault not in of_tables])
    places = [fault["loc"] for fault in of_tables]
    for name in {place[1] for place in places if len(place) > 1 and place[0] == "tasks"}:
        task = remaining["tasks"][name]
        if isinstance(task, Mapping):
            valid = {"kind": "binary", "files": {"texts": ["text"]}, "trained": task.get("trained", True)}
            remaining["tasks"] = {**remaining["tasks"], name: valid}
    return remaining


def _without(values: Mapping[str, Any], places: Iterable[Place]) -> RawValues:
    """The values without the fields at these places."""
    dropped = {place[0] for place in places if len(place) == 1}
    below: dict[int | str, list[Place]] = {}
    for place in places:
        if len(place) > 1:
            below.setdefault(place[0], []).append(place[1:])
    remaining: RawValues = {}
    for key, value in values.items():
        if key in dropped or (key in below and not isinstance(value, Mapping)):
            continue
        remaining[key] = _without(value, below[key]) if key in below else value
    return remaining


def _explain(fault: ErrorDetails) -> Iterator[str]:
    """A line for each fault in one place."""
    path = [str(part) for place, part in enumerate(fault["loc"]) if not (place > 1 and _is_type(part))]
    name = ".".join(path)
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] in OTHER_LENGTH and (needed := _fixed_number(fault["loc"])):
        yield needed
    elif fault["type"] == "extra_forbidden":
        yield f"{name}: unknown field{_suggestion(path)}"
    elif fault["type"] == "missing":
        yield f"{name}: required field, not set"
    elif fault["type"] == "value_error":
        yield from (f"{name}: {line}" if name else line for line in message.split("\n"))
    else:
        yield f"{name} = {fault['input']!r}: {message[0].lower()}{message[1:]}"


def _is_value(fault: ErrorDetails) -> bool:
    """Whether a fault is that of one value of a list."""
    return bool(fault["loc"]) and isinstance(fault["loc"][-1], int)


def _fixed_number(place: Place) -> str:
    """The message that a field takes a fixed number of values, for the place of the field or of a value; else empty."""
    path = [str(part) for part in place if isinstance(part, str)]
    annotation = annotation_of(path)
    if get_origin(annotation) is not tuple or get_args(annotation)[-1] is Ellipsis:
        return ""
    general = ".".join(["tasks", "NAME", *path[2:]] if path[0] == "tasks" else path)
    option = next(option for option in fields() if option.name == general)
    return f"{'.'.join(path)}: takes {option.type} ({option.description})"


def _is_type(part: int | str) -> bool:
    """Whether a part of a place is one of several types of a field, which pydantic names behind the field."""
    return isinstance(part, str) and _TYPE.fullmatch(part) is not None


def _suggestion(path: list[str]) -> str:
    """The most similar field or table: of the same table, or else of any."""
    of_task = path[0] == "tasks" and len(path) > 2
    names = [option.name.split(".") for option in fields()]
    names = [["tasks", path[1], *name[2:]] if of_task and name[0] == "tasks" else name for name in names]
    places = [*names, *(name[:depth] for name in names for depth in range(1, len(name)))]
    same_table = {place[-1]: place for place in places if place[:-1] == path[:-1]}
    any_table = {place[-1]: place for place in reversed(places) if of_task or place[0] != "tasks"}
    for candidates in (same_table, any_table):
        if similar := difflib.get_close_matches(path[-1], candidates, 1):
            return f"; did you mean {'.'.join(candidates[similar[0]])}?"
    return ""
