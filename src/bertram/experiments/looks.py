"""The looks of a study that runs seeds until its effects are decided: what each look decided, kept and never remade.

<folder>/looks.json      one entry for each look, written when it is made
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path
from typing import TypeVar

import numpy as np

from bertram.comparison.contrast import LEAST_SEEDS, by_seed
from bertram.comparison.evidence import Contrast, Evidence, same_answers
from bertram.comparison.outcomes import Outcome
from bertram.comparison.sequential import look
from bertram.comparison.verdict import Decision, Verdict
from bertram.errors import RunError
from bertram.experiments.study_tables import read_json
from bertram.runs.files import write_json
from bertram.runs.typed_json import JsonObject, typed

LOOKS = "looks.json"
FORM = 1
Row = TypeVar("Row", bound=Evidence)


@dataclass(frozen=True)
class Plan:
    """Plan of the looks of a study; a study with another plan has other looks.

    Attributes:
        effects: names of the effects that are decided.
        primary: outcome that decides.
        smallest_effect: smallest effect of interest.
        max_seeds: largest number of seeds.
        configurations: arm -> identity of its run with seed 0: configuration and data.
    """

    effects: tuple[str, ...]
    primary: str
    smallest_effect: float
    max_seeds: int
    configurations: Mapping[str, str]


@dataclass(frozen=True)
class Look:
    """One look: an interim analysis after a number of seeds.

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


def without_absent_looks(table: JsonObject) -> JsonObject:
    """The JSON object of a study's table, without the fields of looks where the study has no plan of them."""
    return table if table["plan"] is not None else {k: v for k, v in table.items() if k not in ("plan", "looks")}


@dataclass(frozen=True)
class _Recorded:
    """Content of looks.json."""

    plan: Plan
    looks: list[Look]


def recorded_looks(folder: Path) -> tuple[Plan, list[Look]] | None:
    """The plan and the looks of a results folder; None where there are none.

    Raises:
        RunError: they are damaged.
    """
    path = folder / LOOKS
    if not path.is_file():
        return None
    recorded = typed(read_json(path, FORM), _Recorded, path)
    return recorded.plan, recorded.looks


def read_looks(folder: Path, plan: Plan) -> list[Look]:
    """The looks that were made; none in a new folder.

    Raises:
        RunError: they are of another plan, or damaged.
    """
    recorded = recorded_looks(folder)
    if recorded is None:
        return []
    recorded_plan, looks = recorded
    if recorded_plan != plan:
        raise RunError(
            f"{folder / LOOKS}: the looks there are of another study ({_difference(recorded_plan, plan)}); use the "
            "same options, or another --out"
        )
    return looks


def _difference(recorded: Plan, plan: Plan) -> str:
    """The first thing in which two plans differ."""
    if recorded.effects != plan.effects:
        return f"it decides {', '.join(recorded.effects)}"
    for field, before, now in (
        ("the primary outcome", recorded.primary, plan.primary),
        ("the smallest effect of interest", recorded.smallest_effect, plan.smallest_effect),
        ("the largest number of seeds", recorded.max_seeds, plan.max_seeds),
    ):
        if before != now:
            return f"{field} is {before} there and {now} here"
    return "its configurations or data are others"


def refuse_looks(folder: Path) -> None:
    """Raise RunError where a folder holds a study that runs until it is decided."""
    if recorded_looks(folder) is not None:
        raise RunError(
            f"{folder}: holds a study that runs until it is decided; continue it with --until-decided, or use another "
            "--out"
        )


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
    outcome: Outcome,
    runs: Mapping[str, Mapping[int, str]],
) -> Look:
    """Look at the open effects after the next number of seeds.

    Args:
        plan: plan of the study.
        looks: looks before this one.
        contrasts: the effects, by name.
        outcome: the primary outcome.
        runs: arm -> seed -> name of the run, with the seeds of this look.

    Raises:
        RunError: an open effect lacks a seed, or a score is undefined.
    """
    seeds = range(next_seeds(looks))
    open_contrasts = [contrast for contrast in contrasts if contrast.name in open_effects(plan, looks)]
    arm_runs = {arm: runs.get(arm, {}) for arm in needed_arms(open_contrasts, plan.effects)}
    lacking = sorted(arm for arm, of_arm in arm_runs.items() if any(seed not in of_arm for seed in seeds))
    if lacking:
        raise RunError(f"no look after {len(seeds)} seeds: runs are missing of {', '.join(lacking)}; run them first")
    names = sorted(of_arm[seed] for of_arm in arm_runs.values() for seed in seeds)
    undefined = [f"{name}: {outcome.undefined.get(name, 'no score')}" for name in names if name not in outcome.runs]
    if undefined:
        raise RunError(f"no look after {len(seeds)} seeds: {outcome.name} is undefined: {'; '.join(undefined)}")
    scores = {arm: {seed: outcome.runs[of_arm[seed]].value for seed in seeds} for arm, of_arm in arm_runs.items()}
    table = np.array([list(by_seed(scores, contrast.weights).values()) for contrast in open_contrasts])
    means, errors = table.mean(1), table.std(1, ddof=1) / sqrt(len(seeds))
    significant, inside = look(
        means, errors, len(seeds), max_seeds=plan.max_seeds, tests=len(plan.effects), smallest=plan.smallest_effect
    )
    decisions = {}
    for contrast, mean, differs, small in zip(open_contrasts, outcome.sign * means, significant, inside, strict=True):
        if same_answers(contrast, outcome, runs, seeds):
            decisions[contrast.name] = str(Decision.SAME_PREDICTIONS)
        elif differs:
            decisions[contrast.name] = str(Decision.BETTER if mean > 0 else Decision.WORSE)
        elif small:
            decisions[contrast.name] = str(Decision.EQUIVALENT)
    estimates = {contrast.name: mean for contrast, mean in zip(open_contrasts, means.tolist(), strict=True)}
    return Look(len(seeds), estimates, decisions, names)


def needed_arms(contrasts: Sequence[Contrast], effects: Sequence[str]) -> set[str]:
    """The arms that serve an open effect; the others need no further seeds."""
    return {
        arm for contrast in contrasts if contrast.name in effects for arm, weight in contrast.weights.items() if weight
    }


def next_seeds(looks: Sequence[Look]) -> int:
    """Seeds of the next look."""
    return looks[-1].seeds + 1 if looks else LEAST_SEEDS


def is_over(plan: Plan, looks: Sequence[Look]) -> bool:
    """Whether every effect is decided, or the largest number of seeds is reached."""
    return not open_effects(plan, looks) or next_seeds(looks) > plan.max_seeds


def verdict_of(name: str, looks: Sequence[Look]) -> Verdict:
    """The verdict of the looks on an effect."""
    for entry in looks:
        if name in entry.decisions:
            return Verdict(Decision(entry.decisions[name]), detail=f"decided by the look after {entry.seeds} seeds")
    return Verdict(Decision.UNDECIDED, detail=f"open after {looks[-1].seeds if looks else 0} seeds")


def with_verdict(row: Row, verdict: Verdict) -> Row:
    """A row of a table with the verdict of the looks; its p-values, which ignore the looks, are left out."""
    return replace(row, p=None, p_holm=None, verdict=verdict)


def look_line(entry: Look, max_seeds: int) -> str:
    """Decisions of a look as a line of text."""
    decisions = ", ".join(f"{name} {decision}" for name, decision in entry.decisions.items()) or "nothing decided"
    return f"look after {entry.seeds} seeds of at most {max_seeds}: {decisions}"


def look_lines(plan: Plan | None, looks: Sequence[Look]) -> list[str]:
    """Decisions of each look and the open effects, a line each; empty for a study without looks."""
    if plan is None:
        return []
    still = open_effects(plan, looks)
    lines = [look_line(entry, plan.max_seeds) for entry in looks]
    return [*lines, *([f"open: {', '.join(still)}"] if still else [])]
