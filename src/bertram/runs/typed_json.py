"""JSON files whose form is a type: what is read from them has been checked."""

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bertram.errors import RunError

Form = TypeVar("Form")
JsonObject: TypeAlias = dict[str, Any]  # as json reads it; a type checks it where more than its keys matters
LONGEST = 40  # characters of a wrong value that an error shows
_adapters: dict[Any, TypeAdapter[Any]] = {}  # each is made once, when it is first needed


def _check_scalar(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise ValueError("input should be a number, a text, true, false or null")
    return value


Scalar = Annotated[int | float | str | bool | None, BeforeValidator(_check_scalar)]


def read_object(path: Path) -> JsonObject:
    """Read a JSON object.

    Raises:
        FileNotFoundError: there is no such file.
        RunError: the file is damaged, or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except RecursionError:
        raise RunError(f"{path}: damaged: nested too deeply") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # not JSON, or not UTF-8
        raise RunError(f"{path}: damaged: {one_line(error)}") from None
    if not isinstance(values, dict):
        raise RunError(f"{path}: damaged: not a JSON object")
    return values


def typed(values: Any, form: type[Form], path: Path, renamed: Mapping[str, str] | None = None) -> Form:
    """Make values of a JSON file what their type says; fields that the type does not have are ignored.

    Args:
        values: parsed JSON.
        form: a dataclass, or another type that pydantic checks.
        path: the file, for errors.
        renamed: start of a field's name -> how it starts in the file; for errors.

    Raises:
        RunError: a field is missing or has a wrong type; one line that names file and field.
    """
    try:
        fault = next(_not_json(values), None)
        if fault is None:
            value: Form = _adapter(form).validate_json(json.dumps(values), strict=True)
            return value
        further_faults = 0
    except RecursionError:
        raise RunError(f"{path}: damaged: nested too deeply") from None
    except ValidationError as error:
        fault, further_faults = _explained(error.errors()[0]), error.error_count() - 1
    field, reason = fault
    for new, old in (renamed or {}).items():
        field = field if not field.startswith(new) else old + field.removeprefix(new)
    raise RunError(
        f"{path}: damaged: {one_line(field)}{reason}{f' (and {further_faults} more)' if further_faults else ''}"
    )


def plain(value: Any, form: type[Any]) -> Any:
    """A value in the types of JSON; fields that have their default are left out."""
    return _adapter(form).dump_python(value, mode="json", exclude_defaults=True)


def _adapter(form: Any) -> TypeAdapter[Any]:
    if form not in _adapters:
        _adapters[form] = TypeAdapter(form)
    return _adapters[form]


def _not_json(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Fields with what Python's reader takes and JSON does not have, and the reason of each."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _not_json(name, field or "a name")
            yield from _not_json(part, f"{field}.{name}" if field else name)
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _not_json(part, f"{field}.{number}")
    elif isinstance(value, float) and not isfinite(value):
        yield field, f": {value} is not a finite number"
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        yield field, ": half of a surrogate pair"


def one_line(error: object) -> str:
    """The text of an error on one line, with escape sequences made visible."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in str(error))


def _explained(fault: ErrorDetails) -> tuple[str, str]:
    """Field and reason."""
    field = ".".join(map(str, fault["loc"]))
    if fault["type"] == "missing":
        return field, " is missing"
    value, message = repr(fault["input"]), one_line(fault["msg"].removeprefix("Value error, "))
    excerpt = value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
    return field, f" = {excerpt}: {message[0].lower()}{message[1:]}"
