"""Help text of all options, with the values that a configuration gives them."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from bertram.config import Config
from bertram.options.schema import Option, fields, model_in, value_text
from bertram.tasks import Task

HEADING = (
    "Fields of the configuration, as options and in a TOML file (--config). In the name of an option, - and _ are the "
    "same. Brackets show the value in recipe {recipe}."
)
GENERAL = "General"
TASKS = "One task (NAME is its name)"


def option_help(config: Config, width: int = 80) -> str:
    """A paragraph for every option: name, type and range, value in this configuration, description.

    Args:
        config: the configuration whose values are shown.
        width: columns of the terminal.
    """
    lines = [*textwrap.wrap(HEADING.format(recipe=config.recipe), width)]
    heading = ""
    for option in sorted(fields(), key=_position):
        if option.name == "tasks.NAME.name":
            continue  # always the name of the table
        if heading != (heading := _heading(option)):
            lines += ["", *textwrap.wrap(heading, width, subsequent_indent="  "), ""]
        lines += _paragraph(option, config, width)
    return "\n".join(lines)


def values_of(option: Option, config: Config) -> dict[str, str]:
    """The value of an option in a configuration, as the command line takes it.

    Returns:
        The value under "", or for an option of a task, the value under the name of each task that has the option.
    """
    path = option.name.split(".")
    if path[0] != "tasks":
        return {"": value_text(_value(config, path))}
    table = path[2] if len(path) == 4 else None
    return {
        name: value_text(_value(task if table is None else _table(task, table), path[-1:]))
        for name, task in config.tasks.items()
        if table is None or _table(task, table) is not None
    }


def _table(task: Task, field: str) -> object:
    """A table of a task; None where it has none, or several of them."""
    value = getattr(task, field)
    if not isinstance(value, tuple):
        return value
    return value[0] if len(value) == 1 else None


def wrapped(items: Iterable[tuple[str, str]], width: int, indent: int = 2) -> list[str]:
    """Lines with a name and, below and further indented, the text that explains it."""
    lines = []
    for name, text in items:
        lines.append(" " * indent + name)
        lines += _wrap(text, width, indent + 4)
    return lines


def _position(option: Option) -> int:
    """Place in the help: general options, then tables, then the options of a task."""
    return 2 if option.name.startswith("tasks.") else 1 if "." in option.name else 0


def _heading(option: Option) -> str:
    table, _, field = option.name.partition(".")
    if table == "tasks":
        return TASKS
    model = model_in(Config.model_fields[table].annotation) if field else None
    return GENERAL if model is None else f"{table}: {model.__doc__}"


def _paragraph(option: Option, config: Config, width: int) -> Iterator[str]:
    values = values_of(option, config)
    shared = set(values.values())
    value = f"[{shared.pop()}]" if len(shared) == 1 and _is_complete(values, config) else ""
    choices = option.type.replace("|", " | ")
    yield from _wrap(f"--{option.name}  {choices}  {value}".rstrip(), width, 2, 6)
    yield from _wrap(option.description, width, 6)
    if values and not value:
        yield from _wrap("[" + "; ".join(f"{task}: {text}" for task, text in values.items()) + "]", width, 6)


def _is_complete(values: dict[str, str], config: Config) -> bool:
    return "" in values or len(values) == len(config.tasks)


def _value(table: Any, path: list[str]) -> Any:
    for name in path:
        table = getattr(table, name)
    return table


def _wrap(text: str, width: int, indent: int, hanging: int | None = None) -> list[str]:
    margin = " " * indent
    below = margin if hanging is None else " " * hanging
    return textwrap.wrap(
        text, width, initial_indent=margin, subsequent_indent=below, break_on_hyphens=False, break_long_words=False
    )
