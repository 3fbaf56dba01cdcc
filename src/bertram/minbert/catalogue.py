"""Every recipe by its name: the general ones and the study's rows."""

import difflib
from collections.abc import Callable

from bertram.config import Config
from bertram.errors import ConfigError
from bertram.minbert.published import EXPERIMENTS
from bertram.recipes import RECIPES as GENERAL

RECIPES: dict[str, Callable[[], Config]] = GENERAL | {
    experiment.name: experiment.config for experiment in EXPERIMENTS.values() if not experiment.constant
}


def recipe(name: str) -> Config:
    """The configuration of a recipe.

    Raises:
        ConfigError: unknown recipe.
    """
    if name in EXPERIMENTS and EXPERIMENTS[name].constant:
        raise ConfigError([f"{name} trains nothing; bertram reproduce --experiments {name} scores it"])
    if name not in RECIPES:
        similar = difflib.get_close_matches(name, RECIPES, 1)
        hint = f"did you mean {similar[0]}?" if similar else "`bertram recipes` lists all"
        raise ConfigError([f"unknown recipe {name!r}; {hint}"])
    return RECIPES[name]()
