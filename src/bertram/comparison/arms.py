"""Arms: runs of one configuration that differ by their seed. The one rule for "the same configuration"."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bertram import options
from bertram.config import Config
from bertram.runs.record import Record

UNLIKE = {"seed": 0, "data": "", "threads": None, "device": "auto"}  # fields that make no other configuration


@dataclass(frozen=True)
class Arm:
    """The runs of one configuration.

    Attributes:
        name: common part of the names of its runs.
        runs: seed -> name of the run.
        merged: True for a soup or an ensemble, which has no seed of its own.
    """

    name: str
    runs: Mapping[int, str]
    merged: bool = False


class Recorded(Protocol):
    """A run with its configuration and its record."""

    @property
    def config(self) -> Config:
        """The resolved configuration."""
        ...

    @property
    def record(self) -> Record | None:
        """The record; None while the run is not finished."""
        ...


def configuration_key(name: str, run: Recorded) -> str:
    """Key that runs of the same configuration share.

    Everything in the configuration counts but the seed, the recipe's name, the place of the data, threads, device,
    logging and checkpoints; so does what the data files hold. A soup or an ensemble is like no other run.
    """
    config = options.digest(run.config.model_copy(update=UNLIKE))
    if run.record is None:
        return config
    files = sorted({file.sha256 for file in run.record.data.values()})
    return " ".join([config, *files, *([] if run.record.merged is None else [name])])


def by_configuration(runs: Mapping[str, Recorded]) -> list[dict[int, str]]:
    """Runs of the same configuration, seed -> name; a second run with one seed is in a group of its own.

    Args:
        runs: name -> finished run.
    """
    groups: list[tuple[str, dict[int, str]]] = []
    for name, run in runs.items():
        key = configuration_key(name, run)
        group = next((group for group_key, group in groups if group_key == key and run.config.seed not in group), None)
        if group is None:
            group = {}
            groups.append((key, group))
        group[run.config.seed] = name
    return [group for _, group in groups]


def arms(runs: Mapping[str, Recorded]) -> list[Arm]:
    """The arms of some runs, each named by what its runs' names have in common."""
    groups = by_configuration(runs)
    stems = [_stem(list(group.values())) for group in groups]
    unclear = len(set(stems)) < len(stems)
    return [
        Arm(next(iter(group.values())) if unclear else stem, group, _is_merged(runs[next(iter(group.values()))]))
        for stem, group in zip(stems, groups, strict=True)
    ]


def _is_merged(run: Recorded) -> bool:
    return run.record is not None and run.record.merged is not None


def _stem(names: list[str]) -> str:
    """Common part of the names of runs, without the seed: cross for cross-seed0 and cross-seed1."""
    if len(names) == 1:
        return names[0]
    common = os.path.commonprefix(names)  # noqa: RUF071 - names, whose characters are compared
    return re.sub(r"[-_./ ]+(seed|s)?[-_./ ]*\d*$", "", common) or names[0]
