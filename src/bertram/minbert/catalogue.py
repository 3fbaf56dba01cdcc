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
        ConfigError: no recipe has that name.
    """
    if name in EXPERIMENTS and EXPERIMENTS[name].constant:
        raise ConfigError([f"recipe: {name} trains nothing; it is scored by bertram reproduce --experiments {name}"])
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RECIPES)}"
        raise ConfigError([f"recipe: there is no {name!r}; {hint}"])
    return RECIPES[name]()
