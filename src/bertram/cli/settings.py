"""Configuration fields as command-line options."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bertram import options, recipes
from bertram.config import Config
from bertram.errors import ConfigError
from bertram.minbert import catalogue


def resolved(
    recipe: str | None, file: Path | None, given: Sequence[str], top: Iterable[tuple[str, object]] = ()
) -> Config:
    """The configuration that a command line asks for.

    Args:
        recipe: what to start from; default: what the file names, or the usual recipe for the data.
        file: a TOML file laid over it.
        given: further words of the command line, ``--dotted.name value``.
        top: fields that are options of their own; None is not given.

    Raises:
        ConfigError: all faults together.
    """
    values = options.read(file) if file is not None else {}
    changes = options.merge(options.nest(pairs(given)), {name: value for name, value in top if value is not None})
    data = str(changes.get("data") or values.get("data") or "sample")
    name = recipe or values.get("recipe") or recipes.usual(data, own_tasks="tasks" in values)
    return options.overlay(catalogue.recipe(str(name)), values, changes)


def pairs(given: Sequence[str]) -> list[tuple[str, str]]:
    """Names and values from ``--name value``, ``--name=value``, and ``--name`` for true.

    Raises:
        ConfigError: a word that belongs to no option.
    """
    found: list[tuple[str, str]] = []
    words = list(given)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise ConfigError([f"{word}: belongs to no option; options are --name value"])
        name, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            value = words.pop(0) if words and not words[0].startswith("--") else "true"
        found.append((name, value))
    return found


def recipe_help() -> str:
    """Every recipe with its purpose."""
    lines = [f"  {name}\n      {(recipe.__doc__ or '').splitlines()[0]}" for name, recipe in catalogue.RECIPES.items()]
    return "\n".join(["Recipes:", "", *lines, "", ""])


def field_help() -> str:
    """Every field of the configuration with its type, default and meaning."""
    return "\n".join(["Fields of the configuration (also in a TOML file given by --config):", "", *_lines()])


def _lines() -> Iterator[str]:
    for name, kind, default, text in options.fields():
        if name == "tasks.NAME.name":
            continue  # it is NAME, whatever is given
        yield f"  --{name}  {kind}  [{default}]"
        if text:
            yield f"      {text}"
