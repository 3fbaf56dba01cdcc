"""Configurations from the command line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bertram import options, recipes
from bertram.cli.arguments import DataOrSample, EncoderOfRecipe
from bertram.config import Config
from bertram.minbert import catalogue
from bertram.options.command_line import pairs


@dataclass(frozen=True)
class ConfigurationOptions:
    """Options of the commands that train: recipe, file, and the fields of the configuration that most runs change."""

    recipe: Annotated[
        str | None,
        Parameter(
            help="Recipe to start from. Default: best for the course's data, cross for the sample and tasks of your "
            "own."
        ),
    ] = None
    config: Annotated[
        Path | None,
        Parameter(
            help="TOML file whose fields replace those of the recipe. If it has task tables, exactly these tasks are "
            "trained.",
            allow_leading_hyphen=True,
        ),
    ] = None
    data: DataOrSample = None
    encoder: EncoderOfRecipe = None
    seed: Annotated[int | None, Parameter(help="Random seed. Default: 0.")] = None

    @property
    def is_empty(self) -> bool:
        """Whether none of the options is given."""
        return self == ConfigurationOptions()

    def settings(self, words: Sequence[str], more: Mapping[str, object] | None = None) -> Config:
        """The configuration that the options and the remaining words of a command line ask for.

        Args:
            words: ``--dotted.name value`` for further fields of the configuration.
            more: values of further fields by name; None if not given.

        Raises:
            ConfigError: all faults, one line each.
        """
        changes = {"data": self.data, "encoder": self.encoder, "seed": self.seed, **(more or {})}
        return resolved(self.recipe, self.config, words, changes.items())


Configuration = Annotated[ConfigurationOptions, Parameter(name="*")]
RECIPE_DEFAULTS = ConfigurationOptions()


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
