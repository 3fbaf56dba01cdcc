"""From TOML files and command-line options to a configuration, and back to TOML.

All faults of a configuration are reported at once, a misspelt field with its nearest neighbour.
"""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bertram import old_names
from bertram.config import Config
from bertram.errors import ConfigError
from bertram.tasks import Task


def make(values: Mapping[str, Any]) -> Config:
    """Check values and make a configuration of them.

    Raises:
        ConfigError: with one line per fault, a misspelt field answered with its nearest neighbour.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_problems(values, error)) from None


def _problems(values: Mapping[str, Any], error: ValidationError) -> list[str]:
    """All faults: the fields' own first, then those of whole tasks, then those between tables.

    The later ones can be seen only with faulty fields left out and sound tasks in the place of faulty ones.
    """
    found = [line for fault in error.errors() for line in _explain(fault)]
    for _ in range(2):
        values = _tolerated(values, error.errors())
        try:
            Config.model_validate(values)
            break
        except ValidationError as rest:
            error = rest
        found += [line for fault in error.errors() if fault["type"] == "value_error" for line in _explain(fault)]
    return list(dict.fromkeys(found))


def _tolerated(values: Mapping[str, Any], faults: list[ErrorDetails]) -> dict[str, Any]:
    """The values without faulty fields, and with a sound task in the place of one that is faulty as a whole."""
    whole = ("value_error", "missing")
    kept = _without(values, [fault["loc"] for fault in faults if fault["type"] not in whole])
    places = [fault["loc"] for fault in faults if fault["type"] in whole]
    for name in {place[1] for place in places if len(place) > 1 and place[0] == "tasks"}:
        task = kept["tasks"][name]
        if isinstance(task, Mapping):
            sound = {"kind": "binary", "files": {"texts": ["text"]}, "trained": task.get("trained", True)}
            kept["tasks"] = {**kept["tasks"], name: sound}
    return kept


def _without(values: Mapping[str, Any], places: Iterable[tuple[int | str, ...]]) -> dict[str, Any]:
    here = {place[0] for place in places if len(place) == 1}
    below: dict[int | str, list[tuple[int | str, ...]]] = {}
    for place in places:
        if len(place) > 1:
            below.setdefault(place[0], []).append(place[1:])
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if key in here or (key in below and not isinstance(value, Mapping)):
            continue
        kept[key] = _without(value, below[key]) if key in below else value
    return kept


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `change` over `base`, table by table; fields get their present names."""
    return _laid_over(old_names.renamed(base), old_names.renamed(change))


def _laid_over(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = _laid_over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Fields of tables by their dotted names: ``{"smart": {"weight": 3}}`` gives ``("smart.weight", 3)``."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def change(config: Config, **values: Any) -> Config:
    """A copy with some fields changed, tables given as dictionaries: ``change(c, smart={"weight": 3})``."""
    return make(merge(dump(config), values))


def dump(config: BaseModel) -> dict[str, Any]:
    """The configuration as plain values, without those that are None (TOML has no null)."""
    return config.model_dump(mode="json", exclude_none=True)


def read(path: Path) -> dict[str, Any]:
    """The values of a TOML file; a relative data directory counts from the file, or else from where one works.

    The latter is how a run's own config.toml has it.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError([f"{path}: not a TOML file that can be read: {error}"]) from None
    old_names.say(old_names.former_names(values))
    values = old_names.renamed(values)
    data = values.get("data")
    if isinstance(data, str) and data not in ("hub", "sample") and not Path(data).is_absolute():
        beside = path.parent / Path(data).expanduser()
        values["data"] = str(beside) if beside.exists() or not Path(data).exists() else data
    return values


def overlay(recipe: Config, file: Mapping[str, Any], options: Mapping[str, Any]) -> Config:
    """A recipe, with a file's values over it and the command line's over both.

    A file that has task tables trains exactly the tasks it names; an empty table takes the recipe's definition. If
    the recipe's epoch is a pass over a task that the file leaves out, an epoch is what it is without `epoch_of`.
    """
    base = dump(recipe)
    named = file.get("tasks")
    if isinstance(named, Mapping):
        base["tasks"] = {name: task for name, task in base["tasks"].items() if name in named}
        if base["sampling"].get("epoch_of") not in named:
            base["sampling"].pop("epoch_of", None)
    return make(merge(merge(base, file), options))


def nest(options: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Tables from dotted names: ``[("smart.weight", "3")]`` gives ``{"smart": {"weight": 3}}``.

    Values are read as TOML where they are (numbers, true, lists), as text otherwise; ``a,b`` is a list where the
    field is one, and ``none`` unsets a field that may be unset or empties a list.

    Raises:
        ConfigError: an option is given a value of its own beside those of its parts.
    """
    tables: dict[str, Any] = {}
    for name, text in options:
        *path, last = _field_path(name)
        table = tables
        for key in path:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError([f"{'.'.join(path)}: is given a value of its own and fields; leave one out"])
        table[last] = _value([*path, last], text)
    return tables


def to_toml(config: BaseModel) -> str:
    """The configuration as TOML text; fields that are None are "none", so that no recipe's value takes their place."""
    return "\n".join(_tables(_named_none(config.model_dump(mode="json")), ())) + "\n"


def _named_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _named_none(value) if isinstance(value, Mapping) else "none" if value is None else value
        for key, value in values.items()
    }


def digest(config: Config) -> str:
    """A short hash of everything that decides the result (not of the recipe's name)."""
    values = old_names.canonical(dump(config))
    for field in ("recipe", "checkpoint", "log"):
        values.pop(field, None)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def fields(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Every field as (dotted name, type, default, description), tables expanded; for help texts."""
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is Task:
            yield from fields(Task, f"{prefix}{name}.NAME.")
        elif inner is not None:
            yield from fields(inner, f"{prefix}{name}.")
        else:
            default = "required" if field.is_required() else _shown(field.default)
            yield f"{prefix}{name}", _type_name(field.annotation), default, field.description or ""


def _field_path(option: str) -> list[str]:
    """The present names of a field and its tables, for a dotted name as the command line has it."""
    parts = option.split(".")
    kept = 2 if parts[0] == "tasks" else 0  # a task's name may hold a hyphen
    written = ".".join([*parts[:kept], *(part.replace("-", "_") for part in parts[kept:])])
    present = old_names.present_name(written)
    if present != written:
        old_names.say([(written, present)])
    return present.split(".")


def _value(path: list[str], text: str) -> Any:
    annotation = _annotation(path)
    if text.lower() == "none" and type(None) in get_args(annotation):
        return None
    if _is_list(annotation) and not text.startswith("["):
        return [] if text.lower() == "none" else [part.strip() for part in text.split(",") if part.strip()]
    if annotation is str or set(get_args(annotation)) == {str, type(None)}:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _annotation(path: list[str]) -> Any:
    """The type of a field by its path, or None for an unknown one."""
    model: type[BaseModel] | None = Config
    annotation: Any = None
    skip = False
    for key in path:
        if skip:  # the key of tasks.NAME
            skip = False
            continue
        if model is None or key not in model.model_fields:
            return None
        annotation = model.model_fields[key].annotation
        model = _model_in(annotation)
        skip = model is Task and key == "tasks"
    return annotation


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _is_list(annotation: Any) -> bool:
    return any(get_origin(part) is tuple for part in _parts(annotation))


def _type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "|".join(str(value) for value in inner)
    if origin is Annotated:
        return _type_name(inner[0])
    if origin in (Union, UnionType):
        return "|".join(_type_name(part) for part in inner if part is not type(None))
    if origin is tuple:
        return "list"
    return {"str": "text", "int": "integer", "float": "number", "bool": "true|false"}.get(
        getattr(annotation, "__name__", ""), "table"
    )


def _shown(default: object) -> str:
    if default is None or default in ("", (), {}):
        return "none"
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default)
    return str(default).lower() if isinstance(default, bool) else str(default)


def _explain(fault: ErrorDetails) -> list[str]:
    """A line for each thing that is wrong in one place."""
    path = [str(part) for part in fault["loc"]]
    name = ".".join(path)
    if fault["type"] == "extra_forbidden":
        return [f"{name}: there is no such field{_nearest(path)}"]
    if fault["type"] == "missing":
        return [f"{name}: this field is needed"]
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return [f"{name}: {line}" if name else line for line in message.split("\n")]
    return [f"{name} = {fault['input']!r}: {message[0].lower()}{message[1:]}"]


def _nearest(path: list[str]) -> str:
    """A field or table that may be meant: of the same table, or else of any."""
    of_task = path[0] == "tasks" and len(path) > 2
    names = [name.split(".") for name, *_ in fields()]
    names = [["tasks", path[1], *name[2:]] if of_task and name[0] == "tasks" else name for name in names]
    everywhere = [*names, *(name[:depth] for name in names for depth in range(1, len(name)))]
    here = {known[-1]: known for known in everywhere if known[:-1] == path[:-1]}
    anywhere = {known[-1]: known for known in reversed(everywhere) if of_task or known[0] != "tasks"}
    for options in (here, anywhere):
        if close := difflib.get_close_matches(path[-1], options, 1):
            return f"; did you mean {'.'.join(options[close[0]])}?"
    return ""


def _tables(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    if path and (plain or not values):
        yield f"\n[{'.'.join(_key(part) for part in path)}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_json(value)}"
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _tables(value, (*path, key))


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else _json(key)


def _json(value: object) -> str:
    """JSON's texts, numbers, truth values and lists are TOML's, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
