"""Comparison of run directories: what they predicted for the same examples, beside the gold labels of the data."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertram import options
from bertram.comparison.compare import Difference, TaskPredictions, check_same_examples, compare_predictions
from bertram.comparison.gold import gold_labels, run_predictions
from bertram.comparison.techniques import Arm, TechniqueDifference, compare_techniques
from bertram.data.sources import Split
from bertram.errors import DataError
from bertram.evaluation.caveats import notes
from bertram.runs.directory import Run, open_runs
from bertram.tasks import Task


@dataclass(frozen=True)
class Comparison:
    """What `bertram compare` shows.

    Attributes:
        arms: the runs by configuration, the first one the baseline.
        models: every run against the first, where no configuration was run with several seeds.
        techniques: every arm against the first, where one was.
        notes: what a reader should know of the runs.
    """

    arms: list[Arm]
    models: list[Difference]
    techniques: list[TechniqueDifference]
    notes: list[str]


def compare_runs(
    paths: Sequence[Path], data: str | None = None, split: Split = "dev", *, allow_rejects: bool = False
) -> Comparison:
    """Compare runs by their committed predictions.

    Args:
        paths: run directories; the first is the baseline.
        data: where the gold labels are; default: the data of the first run.
        split: which files.
        allow_rejects: accept files of which more than 1 % of the rows cannot be used.

    Raises:
        RunError: a run is missing or damaged, or has no predictions.
        DataError: the runs were not evaluated on the same examples, or the gold labels cannot be read.
    """
    runs = open_runs(paths)
    names = dict(zip(distinct_names(paths), runs, strict=True))
    config = runs[0].config
    tasks = {
        name: TaskPredictions(
            task.kind,
            gold_labels(task, data or config.data, split, allow_rejects=allow_rejects or config.allow_rejects),
            {run: run_predictions(opened, name, split) for run, opened in names.items() if name in opened.config.tasks},
            task.scored_by,
        )
        for name, task in _shared_tasks(names).items()
    }
    arms = group_by_seed(names)
    if len(arms) > 1 and any(len(arm.runs) > 1 for arm in arms):
        check_same_examples(tasks)
        return Comparison(arms, [], compare_techniques(tasks, arms), _notes(names))
    return Comparison(arms, compare_predictions(tasks), [], _notes(names))


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of paths where these differ, else as much of the paths as they do not have in common."""
    names = [path.resolve().name for path in paths]
    if len(set(names)) == len(names):
        return names
    whole = [str(path.resolve()) for path in paths]
    return [os.path.relpath(path, os.path.commonpath(whole)) for path in whole]


def _notes(names: Mapping[str, Run]) -> list[str]:
    """What holds for any of the runs, said once, how merged runs were made, and what a run did not train."""
    merged = {name: run.record["merged"] for name, run in names.items() if "merged" in run.record}
    article = {"soup": "a", "ensemble": "an"}
    said = [f"{name}: {article[one['how']]} {one['how']}, {one['choice']}." for name, one in merged.items()]
    for name, run in names.items():
        idle = [task for task, its in run.config.tasks.items() if not its.trained]
        if idle:
            said.append(f"{name} did not train {', '.join(idle)}: its scores there, and overall, are of new heads.")
    return [*said, *dict.fromkeys(note for run in names.values() for note in notes(run))]


def _shared_tasks(names: Mapping[str, Run]) -> dict[str, Task]:
    """The tasks of all runs by name; those of one name must mean the same."""
    tasks: dict[str, Task] = {}
    owner: dict[str, str] = {}
    faults = []
    for run, opened in names.items():
        for name, task in opened.config.tasks.items():
            known = tasks.setdefault(name, task)
            first = owner.setdefault(name, run)
            if (known.kind, known.labels, known.range) != (task.kind, task.labels, task.range):
                faults.append(f"task {name} of {run} is another one than that of {first}: kind, labels or range differ")
    if faults:
        raise DataError("\n".join(faults))
    return tasks


def group_by_seed(names: Mapping[str, Run]) -> list[Arm]:
    """The runs by configuration without its seed and the place of its data; merged runs each alone."""
    groups: list[tuple[str, dict[int, str]]] = []
    for name, run in names.items():
        alike = options.digest(run.config.model_copy(update={"seed": 0, "data": ""}))
        key = f"{alike} {name}" if "merged" in run.record else alike
        mine = next((runs for known, runs in groups if known == key and run.config.seed not in runs), None)
        if mine is None:  # also where a configuration was run twice with one seed
            mine = {}
            groups.append((key, mine))
        mine[run.config.seed] = name
    several = [_stem(list(runs.values())) for _, runs in groups]
    unclear = len(set(several)) < len(several)
    return [
        Arm(next(iter(runs.values())) if unclear else stem, runs)
        for stem, (_, runs) in zip(several, groups, strict=True)
    ]


def _stem(names: list[str]) -> str:
    """What the names of runs have in common, without the seed: cross for cross-seed0 and cross-seed1."""
    if len(names) == 1:
        return names[0]
    common = os.path.commonprefix(names)  # noqa: RUF071 - names, whose characters are compared
    return re.sub(r"[-_./ ]+(seed|s)?[-_./ ]*\d*$", "", common) or names[0]
