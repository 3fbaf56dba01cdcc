"""Options of the command line, ``--name value``, as tables of values."""

import tomllib
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from bertram.errors import ConfigError
from bertram.options import old_names
from bertram.options.raw_values import RawValues
from bertram.options.schema import annotation_of, is_list, literal_words


def pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Name and value of each option: ``--name value``, ``--name=value``, or ``--name`` for true.

    Raises:
        ConfigError: a word belongs to no option.
    """
    options: list[tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise ConfigError([f"unexpected argument {word!r}; options are written --name value"])
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        options.append((name, value))
    return options


def nest(options: Iterable[tuple[str, str]]) -> RawValues:
    """Tables from dotted names: ``[("smart.weight", "3")]`` gives ``{"smart": {"weight": 3}}``.

    A word that the field takes is read as it is, any other value as TOML where it is TOML (numbers, true, lists), as
    text otherwise. ``a,b`` is a list if the field is a list; ``none`` unsets an optional field and empties a list.

    Raises:
        ConfigError: a table is given a value and fields.
    """
    tables: RawValues = {}
    for name, text in options:
        *path, last = _field_path(name)
        table = tables
        for key in path:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError([f"{'.'.join(path)} is given a value and fields; set only one of them"])
        table[last] = _value([*path, last], text)
    return tables


def _field_path(option: str) -> list[str]:
    """The present names of a field and its tables, from the dotted name on the command line."""
    parts = option.split(".")
    literal = 2 if parts[0] == "tasks" else 0  # a task's name may contain a hyphen
    written = ".".join([*parts[:literal], *(part.replace("-", "_") for part in parts[literal:])])
    present = old_names.present_name(written)
    if present != written:
        old_names.warn([(written, present)])
    return present.split(".")


def _value(path: list[str], text: str) -> Any:
    annotation = annotation_of(path)
    if text.lower() == "none" and type(None) in get_args(annotation):
        return None
    if text in literal_words(annotation):
        return text
    if is_list(annotation) and not text.startswith("["):
        return [] if text.lower() == "none" else [part.strip() for part in text.split(",") if part.strip()]
    if annotation is str or set(get_args(annotation)) == {str, type(None)}:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
