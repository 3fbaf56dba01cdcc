"""Name, type, range, default and description of every option, read from the types of the configuration."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bertram.config import Config
from bertram.options.toml import inline
from bertram.task_kinds import OneOf
from bertram.tasks import Task

TYPE_NAMES = {str: "text", int: "integer", float: "number", bool: "true|false"}
LIMITS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


class Option(NamedTuple):
    """One field of the configuration.

    Attributes:
        name: dotted name, ``tasks.NAME.kind`` for a field of a task.
        type: type and range, such as ``number >= 0, < 1``.
        default: default of the schema as text; ``required`` if there is none.
        description: meaning, with its unit.
    """

    name: str
    type: str
    default: str
    description: str


def fields(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[Option]:
    """Every field of a configuration, tables expanded."""
    for name, field in model.model_fields.items():
        table = model_in(field.annotation)
        if table is Task:
            yield from fields(Task, f"{prefix}{name}.NAME.")
        elif table is not None:
            yield from fields(table, f"{prefix}{name}.")
        else:
            default = "required" if field.is_required() else value_text(field.default)
            yield Option(f"{prefix}{name}", _type_of(field), default, field.description or "")


def value_text(value: object) -> str:
    """A value as the command line takes it."""
    if value is None or value in ("", (), [], {}):
        return "none"
    if isinstance(value, list | tuple):
        return ",".join(str(part) for part in value)
    if isinstance(value, dict):
        return inline(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def annotation_of(path: Sequence[str]) -> Any:
    """The type of a field by the parts of its dotted name; None if the field is unknown."""
    model: type[BaseModel] | None = Config
    annotation: Any = None
    parts = iter(path)
    for key in parts:
        if model is None or key not in model.model_fields:
            return None
        annotation = model.model_fields[key].annotation
        model = model_in(annotation)
        if model is Task:
            next(parts, None)  # the name of the task
    return annotation


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The table type that an annotation contains, if any."""
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


@cache
def tables_in(model: type[BaseModel]) -> Mapping[str, type[BaseModel]]:
    """The table type of each field of a model that contains one."""
    found = {name: model_in(field.annotation) for name, field in model.model_fields.items()}
    return {name: table for name, table in found.items() if table is not None}


def is_list(annotation: Any) -> bool:
    """True if a field is a list."""
    return any(get_origin(part) is tuple for part in _parts(annotation))


def literal_words(annotation: Any) -> set[str]:
    """The words that a field takes as they are, such as ``balanced`` beside a list of numbers."""
    literals = [part for part in _parts(annotation) if get_origin(part) is Literal]
    return {value for literal in literals for value in get_args(literal) if isinstance(value, str)}


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _type_of(field: FieldInfo) -> str:
    limits = _limits(field.metadata) if get_origin(field.annotation) is not tuple else ""
    if choices := _choices(field.metadata):
        return choices
    return f"{_type_name(field.annotation)} {limits}".rstrip()


def _type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "|".join(str(value) for value in inner)
    if origin is Annotated and (choices := _choices(inner[1:])):
        return choices
    if origin is Annotated:
        limits = [limit for extra in inner[1:] for limit in getattr(extra, "metadata", [extra])]
        return f"{_type_name(inner[0])} {_limits(limits)}".rstrip()
    if origin in (Union, UnionType):
        return "|".join(_type_name(part) for part in inner if part is not type(None))
    if origin is tuple:
        return "list" if inner[-1] is Ellipsis else f"{len(inner)} values, each a {_type_name(inner[0])}"
    return TYPE_NAMES.get(annotation, "table")


def _choices(metadata: Sequence[Any]) -> str:
    return "|".join(choice for extra in metadata if isinstance(extra, OneOf) for choice in extra.choices)


def _limits(metadata: Sequence[Any]) -> str:
    """Limits such as ``>= 0, < 1``."""
    limits = [
        f"{sign} {getattr(limit, name):g}" if getattr(limit, name) < 2**31 else f"{sign} 2^32"
        for limit in metadata
        for name, sign in LIMITS.items()
        if hasattr(limit, name)
    ]
    return ", ".join(limits)
