"""The looks of a study that runs seeds until its effects are decided: what each look decided, kept and never remade.

<folder>/looks.json      one entry for each look, written when it is made
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from bertram.comparison.contrast import LEAST_SEEDS, by_seed
from bertram.comparison.evidence import Contrast
from bertram.comparison.sequential import look
from bertram.comparison.verdict import Decision
from bertram.errors import RunError
from bertram.experiments.study_tables import read_json
from bertram.runs.files import write_json

LOOKS = "looks.json"
FORM = 1


@dataclass(frozen=True)
class Plan:
    """What the looks are about; a study with another plan has other looks.

    Attributes:
        effects: names of the effects that are decided.
        primary: outcome that decides.
        smallest_effect: smallest effect of interest.
        max_seeds: largest number of seeds.
    """

    effects: tuple[str, ...]
    primary: str
    smallest_effect: float
    max_seeds: int


@dataclass(frozen=True)
class Look:
    """One look.

    Attributes:
        seeds: seeds so far.
        effects: effect that was open -> its estimate.
        decisions: effect that this look decided -> decision.
        runs: runs that the open effects were estimated from.
    """

    seeds: int
    effects: Mapping[str, float]
    decisions: Mapping[str, str]
    runs: Sequence[str]


def read_looks(folder: Path, plan: Plan) -> list[Look]:
    """The looks that were made; none in a new folder.

    Raises:
        RunError: they are of another plan, or damaged.
    """
    path = folder / LOOKS
    if not path.is_file():
        return []
    values = read_json(path)
    if values["plan"] != {**asdict(plan), "effects": list(plan.effects)}:
        raise RunError(f"{path}: the looks there are of another study; use another --out, or the same options")
    return [Look(**one) for one in values["looks"]]


def write_looks(folder: Path, plan: Plan, looks: Sequence[Look]) -> None:
    """Keep the looks."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / LOOKS, {"form": FORM, "plan": asdict(plan), "looks": [asdict(look) for look in looks]})


def decided(looks: Sequence[Look]) -> dict[str, Decision]:
    """Effect -> what the looks have decided on it."""
    return {name: Decision(decision) for look in looks for name, decision in look.decisions.items()}


def open_effects(plan: Plan, looks: Sequence[Look]) -> list[str]:
    """The effects that no look has decided."""
    decisions = decided(looks)
    return [name for name in plan.effects if name not in decisions]


def make_look(
    plan: Plan,
    looks: Sequence[Look],
    contrasts: Sequence[Contrast],
    scores: Mapping[str, Mapping[int, float]],
    runs: Mapping[str, Mapping[int, str]],
    seeds: int,
) -> Look:
    """Look at the open effects after some seeds.

    Args:
        plan: plan of the study.
        looks: looks before this one.
        contrasts: the effects, by name.
        scores: arm -> seed -> score of the primary outcome.
        runs: arm -> seed -> name of the run.
        seeds: seeds so far; every open effect needs them all.

    Raises:
        RunError: an open effect lacks a seed.
    """
    waiting = open_effects(plan, looks)
    chosen = [contrast for contrast in contrasts if contrast.name in waiting]
    differences = {contrast.name: by_seed(scores, contrast.weights) for contrast in chosen}
    lacking = [name for name, values in differences.items() if set(values) != set(range(seeds))]
    if lacking:
        raise RunError(f"no look after {seeds} seeds: runs of {', '.join(lacking)} are missing; start again to go on")
    table = np.array([list(values.values()) for values in differences.values()])
    means, errors = table.mean(1), table.std(1, ddof=1) / sqrt(seeds)
    significant, inside = look(
        means, errors, seeds, max_seeds=plan.max_seeds, tests=len(plan.effects), smallest=plan.smallest_effect
    )
    decisions = {}
    for name, mean, differs, small in zip(differences, means, significant, inside, strict=True):
        if differs:
            decisions[name] = str(Decision.BETTER if mean > 0 else Decision.WORSE)
        elif small:
            decisions[name] = str(Decision.EQUIVALENT)
    arms = {arm for contrast in chosen for arm, weight in contrast.weights.items() if weight}
    used = sorted(run for arm in arms for run in runs[arm].values())
    return Look(seeds, dict(zip(differences, means.tolist(), strict=True)), decisions, used)


def needed_arms(contrasts: Sequence[Contrast], effects: Sequence[str]) -> set[str]:
    """The arms that serve an open effect; the others need no further seeds."""
    return {
        arm for contrast in contrasts if contrast.name in effects for arm, weight in contrast.weights.items() if weight
    }


def first_seeds(looks: Sequence[Look]) -> int:
    """Seeds of the next look."""
    return looks[-1].seeds + 1 if looks else LEAST_SEEDS


def look_lines(plan: Mapping[str, Any], looks: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each look decided, in words."""
    lines = []
    for entry in looks:
        decisions = ", ".join(f"{name} {decision}" for name, decision in entry["decisions"].items()) or "nothing"
        lines.append(f"look after {entry['seeds']} seeds of at most {plan['max_seeds']}: {decisions} decided")
    decided_effects = {name for entry in looks for name in entry["decisions"]}
    still = [name for name in plan["effects"] if name not in decided_effects]
    return [*lines, *([f"open: {', '.join(still)}"] if still else [])]
