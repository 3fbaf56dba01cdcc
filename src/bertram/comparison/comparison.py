"""Comparison of runs: predictions of the same examples beside the gold labels, each read once."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertram.comparison.arms import Arm, arms
from bertram.comparison.comparable import check_dev_files, precision_notes, score_notes, training_notes
from bertram.comparison.components import Components, components
from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.evidence import primary_outcome, scores_of
from bertram.comparison.foreign_scores import direction_notes, foreign_outcomes, read_scores
from bertram.comparison.gold import labels_by_id, run_predictions
from bertram.comparison.models import ModelDifference, check_same_examples, compare_models
from bertram.comparison.outcomes import Outcome, TaskPredictions, outcome_names, outcomes
from bertram.comparison.techniques import TechniqueDifference, compare_techniques
from bertram.data.rows import read_rows
from bertram.data.sources import Split, source_of
from bertram.data.splits import run_source
from bertram.errors import DataError
from bertram.evaluation.caveats import notes
from bertram.evaluation.groups import joint_groups
from bertram.runs.directory import Run, open_runs
from bertram.tasks import Task

MERGED = (
    "{names}: no seed of its own, so it is compared with the mean of the runs of {baseline}; the intervals are for "
    "other examples and these very models, each test alone."
)
FOREIGN = "Only scores are known: all intervals are for other seeds on the same examples."
FEW_ROWS = 100
FEW_DISAGREEMENTS = 10


@dataclass(frozen=True)
class Comparison:
    """Differences of runs from the first of them.

    Attributes:
        arms: the runs by configuration, the first one the baseline.
        models: every run against the first, where no configuration was run with several seeds.
        techniques: every arm against the first, where one was.
        noise: parts of the noise of the primary outcome; None where they are not known.
        notes: caveats of the runs.
    """

    arms: list[Arm]
    models: list[ModelDifference]
    techniques: list[TechniqueDifference]
    noise: Components | None
    notes: list[str]


def compare_runs(
    paths: Sequence[Run | Path | str],
    data: object = None,
    split: Split = "dev",
    *,
    allow_rejects: bool = False,
    primary: str | None = None,
    smallest_effect: float = SMALLEST_EFFECT,
) -> Comparison:
    """Compare runs by their own predictions.

    Args:
        paths: runs or their directories; the first is the baseline.
        data: source of the gold labels: a directory, ``hub`` or ``sample``, or tables in memory, as `bertram.train`
            takes them; default: the data of the first run.
        split: split of the data.
        allow_rejects: accept files of which more than 1 % of the rows cannot be used.
        primary: primary outcome: a task or overall; default: overall, or the only task.
        smallest_effect: smallest effect of interest, of overall, an accuracy, F1 or a correlation.

    Raises:
        RunError: a run is missing or damaged, or has no predictions.
        DataError: the runs were not evaluated on the same examples, or the gold labels cannot be read, or there is no
            such outcome.
    """
    directories = [run.path if isinstance(run, Run) else Path(run) for run in paths]
    runs = dict(zip(distinct_names(directories), open_runs(directories), strict=True))
    if split == "dev":
        check_dev_files(runs)
    tasks = read_tasks(runs, data, split, allow_rejects=allow_rejects)
    if primary is not None and primary not in (names := outcome_names(_shared_tasks(runs))):
        raise DataError(f"there is no outcome {primary!r}; choose one of {', '.join(names)}")
    groups = arms(runs)
    merged = [arm.name for arm in groups[1:] if arm.merged and not groups[0].merged and len(groups[0].runs) > 1]
    further = [MERGED.format(names=", ".join(merged), baseline=groups[0].name)] if merged else []
    further += [*score_notes(runs, tasks, split), *training_notes(runs, groups), *precision_notes(runs)]
    further += [*small_sample_notes(tasks)]
    if len(groups) < 2 or all(len(arm.runs) == 1 for arm in groups):
        return Comparison(groups, compare_models(tasks), [], None, [*_notes(runs, split), *further])
    scored = outcomes(tasks)
    primary = primary_outcome(scored, primary)
    rows = compare_techniques(scored, groups, primary=primary, smallest=smallest_effect)
    return Comparison(groups, [], rows, _noise(scored, groups, primary), [*_notes(runs, split), *further])


def small_sample_notes(tasks: Mapping[str, TaskPredictions]) -> list[str]:
    """Tasks with few dev rows, and pairs of runs that disagree on few of them."""
    lines = []
    for name, task in tasks.items():
        if len(task.ids) < FEW_ROWS:
            lines.append(f"{name} has {len(task.ids)} rows: below {FEW_ROWS}, what other examples would give is rough.")
        if task.space.numeric:
            continue
        first, *remaining = (task.predictions(run) for run in task.predicted)
        counts = [int((first != predictions).sum()) for predictions in remaining]
        low = [count for count in counts if 0 < count < FEW_DISAGREEMENTS]
        if low:
            lines.append(
                f"{name}: {len(low)} of {len(counts)} runs differ from the first one on fewer than {FEW_DISAGREEMENTS} "
                "rows, which tells little of other examples."
            )
    return lines


def compare_scores(path: Path, *, primary: str | None = None, smallest_effect: float = SMALLEST_EFFECT) -> Comparison:
    """Compare systems by a table of their scores: system, seed, task, metric, value.

    Args:
        path: CSV file; its first system is the baseline.
        primary: primary outcome: a task or overall; default: overall, or the only task.
        smallest_effect: smallest effect of interest.

    Raises:
        DataError: the table cannot be used, or there is no such outcome.
    """
    lines = read_scores(path)
    scored, groups = foreign_outcomes(lines)
    primary = primary_outcome(scored, primary)
    rows = compare_techniques(scored, groups, primary=primary, smallest=smallest_effect)
    return Comparison(groups, [], rows, _noise(scored, groups, primary), [FOREIGN, *direction_notes(lines)])


def _noise(scored: Sequence[Outcome], groups: Sequence[Arm], primary: str) -> Components | None:
    """The parts of the noise of the primary outcome, for the arms of several runs; None without a repeated baseline."""
    repeated = {arm.name: arm.runs for arm in groups if len(arm.runs) > 1}
    if len(repeated) < 2 or groups[0].name not in repeated:
        return None
    scores = scores_of(next(outcome for outcome in scored if outcome.name == primary), repeated)
    first, *compared = repeated
    return components(scores, {arm: {arm: 1.0, first: -1.0} for arm in compared})


def read_tasks(
    runs: Mapping[str, Run], data: object = None, split: Split = "dev", *, allow_rejects: bool = False
) -> dict[str, TaskPredictions]:
    """The predictions of runs beside the gold labels, task by task; a run without a task is left out there.

    Args:
        runs: name -> finished run.
        data: source of the gold labels, see `compare_runs`; default: the data of the first run.
        split: split of the data.
        allow_rejects: accept files of which more than 1 % of the rows cannot be used, as the first run may do anyway.

    Raises:
        RunError: predictions are missing or damaged.
        DataError: the runs have other tasks under one name or other examples, or the gold labels cannot be read.
    """
    first = next(iter(runs.values()))
    config = first.config
    source = run_source(first, source_of(config.data if data is None else data, config.tasks))
    shared = _shared_tasks(runs)
    lenient = allow_rejects or config.allow_rejects
    read_all = {name: read_rows(task, source, split, allow_rejects=lenient) for name, task in shared.items()}
    groups = joint_groups({name: rows.texts for name, rows in read_all.items()})
    tasks = {}
    for name, rows in read_all.items():
        task = shared[name]
        read = {key: run_predictions(run, name, split) for key, run in runs.items() if name in run.config.tasks}
        tasks[name] = TaskPredictions(
            task.label_space,
            labels_by_id(rows),
            {run: values for run, (values, _) in read.items()},
            task.scored_by,
            {run: probabilities for run, (_, probabilities) in read.items() if probabilities},
            dict(zip(rows.ids, groups[name].tolist(), strict=True)),
        )
    check_same_examples(tasks)
    return tasks


def named_runs(runs: Iterable[Run]) -> dict[str, Run]:
    """Name -> run, by `distinct_names`."""
    listed = list(runs)
    return dict(zip(distinct_names([run.path for run in listed]), listed, strict=True))


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of paths where these differ, else as much of the paths as they do not have in common."""
    names = [path.resolve().name for path in paths]
    if len(set(names)) == len(names):
        return names
    whole = [str(path.resolve()) for path in paths]
    return [os.path.relpath(path, os.path.commonpath(whole)) for path in whole]


def _notes(runs: Mapping[str, Run], split: Split) -> list[str]:
    """The making of merged runs, tasks that a run did not train, and what holds for any of the runs, said once."""
    article = {"soup": "a", "ensemble": "an"}
    merged = {name: run.record.merged for name, run in runs.items()}
    lines = [
        f"{name}: {article[merging.how]} {merging.how}, {merging.choice}."
        for name, merging in merged.items()
        if merging
    ]
    for name, run in runs.items():
        idle = [task for task, settings in run.config.tasks.items() if not settings.trained]
        if idle:
            lines.append(f"{name} did not train {', '.join(idle)}: its scores there, and overall, are of new heads.")
    return [*lines, *dict.fromkeys(note for run in runs.values() for note in notes(run, split))]


def _shared_tasks(runs: Mapping[str, Run]) -> dict[str, Task]:
    """The tasks of all runs by name; those of one name must mean the same."""
    tasks: dict[str, Task] = {}
    owner: dict[str, str] = {}
    faults = []
    for run, opened in runs.items():
        for name, task in opened.config.tasks.items():
            first = tasks.setdefault(name, task)
            first_run = owner.setdefault(name, run)
            if (first.kind, first.labels, first.range) != (task.kind, task.labels, task.range):
                faults.append(f"task {name} differs between {first_run} and {run} (kind, labels or range)")
    if faults:
        raise DataError("\n".join(faults))
    return tasks
