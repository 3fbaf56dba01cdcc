"""Recipes: functions that return a complete configuration."""

import difflib
from collections.abc import Callable

from bertram import options
from bertram.config import Config
from bertram.errors import ConfigError
from bertram.study.catalogue import EXPERIMENTS
from bertram.study.experiments import tasks


def baseline() -> Config:
    """The course's: each text encoded alone, pairs compared by their cosine, a step of one task after the other."""
    return options.make(
        {
            "recipe": "baseline",
            "tasks": tasks(encoding="bi", head="cosine"),
            "model": {"pooling": "cls"},
            "optimizer": {"encoder_rate": 2e-5},
            "sampling": {"order": "round-robin", "epochs": 1},
            "evaluation": {"limit": 2000},
        }
    )


def cross() -> Config:
    """Pairs encoded together, one batch of each task in each step, losses added up."""
    return options.make(
        {
            "recipe": "cross",
            "tasks": tasks(encoding="cross"),
            "model": {"pooling": "mean", "dropout": 0.1},
            "optimizer": {"encoder_rate": 1e-4, "warmup": 0.06, "decay": "linear", "clip_norm": 1.0},
            "sampling": {"order": "joint", "epochs": 2, "epoch_of": "sst"},
            "average": {"method": "tail", "start": 0.5},
            "evaluation": {"limit": 2000},
        }
    )


USUAL = "cross"  # for those who name none
RECIPES: dict[str, Callable[[], Config]] = {recipe.__name__: recipe for recipe in (baseline, cross)}
RECIPES |= {one.name: one.config for one in EXPERIMENTS.values() if not one.constant}


def named(name: str) -> Config:
    """The configuration of a recipe.

    Raises:
        ConfigError: there is no recipe of that name.
    """
    if name in EXPERIMENTS and EXPERIMENTS[name].constant:
        raise ConfigError([f"recipe: {name} trains nothing; it is scored by bertram reproduce --experiments {name}"])
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RECIPES)}"
        raise ConfigError([f"recipe: there is no {name!r}; {hint}"])
    return RECIPES[name]()
