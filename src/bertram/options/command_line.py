"""Options of the command line, ``--name value``, as tables of values."""

import tomllib
from collections.abc import Iterable, Sequence
from typing import Any, get_args, get_origin

from bertram.errors import ConfigError
from bertram.options import old_names
from bertram.options.raw_values import RawValues
from bertram.options.schema import annotation_of, is_list, literal_words, model_in

IN_BRACKETS = {
    "[": """a list in brackets needs quotes around its texts, and quotes for the shell: '["a", "b"]'; or write a,b""",
    "{": """a table in braces needs quotes around its texts, and quotes for the shell: '{name = "a", other = ["b"]}'""",
}
CLOSING = {"[": "]", "{": "}"}


def pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Name and value of each option: ``--name value``, ``--name=value``, or ``--name`` for true.

    Raises:
        ConfigError: a word belongs to no option; with how to write the list or table whose part it may be.
    """
    options: list[tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            remedy = IN_BRACKETS.get(options[-1][1][:1] if options else "", "options are written --name value")
            raise ConfigError([f"unexpected argument {word!r}; {remedy}"])
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
        ConfigError: a table is given a value and fields, or a list or table in brackets is not TOML.
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
    takes_table = model_in(annotation) is not None or get_origin(annotation) is dict
    if text.lower() == "none" and type(None) in get_args(annotation):
        return None
    if text in literal_words(annotation):
        return text
    if is_list(annotation) and not (text.startswith("[") or (takes_table and text.startswith("{"))):
        return [] if text.lower() == "none" else [part.strip() for part in text.split(",") if part.strip()]
    if annotation is str or set(get_args(annotation)) == {str, type(None)}:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if (takes_table or is_list(annotation)) and text.endswith(CLOSING.get(text[:1], "\n")):
            raise ConfigError([f"{'.'.join(path)} = {text}: {IN_BRACKETS[text[:1]]}"]) from None
        return text
