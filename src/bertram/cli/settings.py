"""Configurations from the command line."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bertram import options, recipes
from bertram.config import Config
from bertram.minbert import catalogue
from bertram.options.command_line import pairs


def resolved(
    recipe: str | None, file: Path | None, words: Sequence[str], top: Iterable[tuple[str, object]] = ()
) -> Config:
    """The configuration that a command line asks for.

    Args:
        recipe: name of the recipe; None: the recipe that the file names, or the default for the data.
        file: a TOML file that is laid over the recipe.
        words: remaining words of the command line, ``--dotted.name value``.
        top: values of fields that are options of the command; None if not given.

    Raises:
        ConfigError: all faults, one line each.
    """
    values = options.read(file) if file is not None else {}
    changes = options.merge(options.nest(pairs(words)), {name: value for name, value in top if value is not None})
    data = str(changes.get("data") or values.get("data") or "sample")
    name = recipe or values.get("recipe") or recipes.default_recipe(data, own_tasks="tasks" in values)
    return options.overlay(catalogue.recipe(str(name)), values, changes)


def with_labels_of_data(config: Config) -> Config:
    """The configuration with the labels of its data in the tasks that name none; they are shown.

    Raises:
        ConfigError: labels cannot be read; with all that is wrong in the data of the other tasks.
    """
    if not any(task.label_space.labels_from_data for task in config.tasks.values()):
        return config
    from bertram.cli.terminal import say  # noqa: PLC0415
    from bertram.data.labels import with_labels  # noqa: PLC0415

    labelled = with_labels(config)
    for note in labelled.notes:
        say(note)
    return labelled.config
