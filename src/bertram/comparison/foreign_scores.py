"""Scores of systems trained elsewhere: a table of system, seed, task, metric and value, compared by the same engine."""

import csv
import math
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bertram.comparison.arms import Arm
from bertram.comparison.outcomes import OVERALL, Outcome, RunScore
from bertram.errors import DataError
from bertram.evaluation.metrics import METRICS, on_unit_scale

COLUMNS = ("system", "seed", "task", "metric", "value")


class Line(NamedTuple):
    """A score of a run."""

    system: str
    seed: int
    task: str
    metric: str
    value: float


def read_scores(path: Path) -> list[Line]:
    """The lines of a CSV file with the columns system, seed, task, metric, value.

    Raises:
        DataError: all lines that cannot be read, and scores that stand twice.
    """
    try:
        with nullcontext(sys.stdin) if str(path) == "-" else path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    lines: list[Line] = []
    faults: list[str] = []
    keys: set[tuple[str, int, str, str]] = set()
    for number, row in rows:
        try:
            line = Line(row["system"], int(row["seed"]), row["task"], row["metric"], float(row["value"]))
        except (TypeError, ValueError):
            faults.append(f"line {number}: seed must be a whole number and value a number")
            continue
        if not math.isfinite(line.value):
            faults.append(f"line {number}: {row['value']} is not a finite number")
        if line[:4] in keys:
            faults.append(f"line {number}: {line.system}, seed {line.seed}, {line.task} {line.metric} stands twice")
        keys.add(line[:4])
        lines.append(line)
    if faults:
        raise DataError("\n  - ".join([f"{path}:", *faults]))
    if len({line.system for line in lines}) < 2:
        raise DataError(f"{path}: a comparison needs the scores of at least two systems")
    return lines


def foreign_outcomes(lines: list[Line]) -> tuple[list[Outcome], list[Arm]]:
    """The outcomes of the systems, and overall over the first metric of each task; the first system is the baseline."""
    systems: dict[str, dict[int, str]] = {}
    for line in lines:
        systems.setdefault(line.system, {})[line.seed] = f"{line.system}, seed {line.seed}"
    main: dict[str, str] = {}
    values: dict[tuple[str, str], dict[str, float]] = {}
    for line in lines:
        main.setdefault(line.task, line.metric)
        values.setdefault((line.task, line.metric), {})[systems[line.system][line.seed]] = line.value
    scored = [
        _outcome(task if main[task] == metric else f"{task} {metric}", task, metric, scores)
        for (task, metric), scores in values.items()
    ]
    if len(main) > 1:
        task_scores = [values[task, metric] for task, metric in main.items()]
        units = [_on_unit(metric, scores) for metric, scores in zip(main.values(), task_scores, strict=True)]
        complete = [run for run in units[0] if all(run in scores for scores in units)]
        scored.append(
            _outcome(OVERALL, OVERALL, OVERALL, {run: float(np.mean([u[run] for u in units])) for run in complete})
        )
    return scored, [Arm(system, runs) for system, runs in systems.items()]


def _on_unit(metric: str, scores: Mapping[str, float]) -> dict[str, float]:
    """Scores on [0, 1] where the metric is known to be a correlation."""
    return {run: on_unit_scale(metric, value) if metric in METRICS else value for run, value in scores.items()}


def _outcome(name: str, task: str, metric: str, scores: Mapping[str, float]) -> Outcome:
    no_influence = {task: np.zeros(2)}  # of the examples nothing is known
    runs = {run: RunScore(value, no_influence, hash((run, value))) for run, value in scores.items()}
    return Outcome(name, task, metric, runs, {}, 0)
