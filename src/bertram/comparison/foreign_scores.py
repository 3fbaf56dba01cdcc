"""Scores of systems trained elsewhere: a table of system, seed, task, metric and value, compared by the same engine."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bertram.comparison.arms import Arm
from bertram.comparison.equivalence import BOUNDED
from bertram.comparison.outcomes import OVERALL, Outcome, RunScore
from bertram.comparison.prediction_files import counted
from bertram.errors import DataError
from bertram.evaluation.metrics import METRICS, is_error, on_unit_scale
from bertram.label_spaces import as_text, finite
from bertram.standard_streams import open_bytes

CORRELATIONS = ("pearson", "spearman")
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
        with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
            missing = [name for name in COLUMNS if name not in reader.fieldnames]
            if missing:
                raise DataError(
                    f"{path}: no column {', '.join(missing)}; the first line must be {','.join(COLUMNS)}, separated by "
                    "commas"
                )
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    lines: list[Line] = []
    faults: list[str] = []
    first_at: dict[tuple[str, int, str, str], int] = {}
    for number, row in rows:
        try:
            line = _line(row)
            if line[:4] in first_at:
                raise ValueError(f"the same system, seed, task and metric as in line {first_at[line[:4]]}")
        except ValueError as fault:
            faults.append(f"line {number}: {fault}")
            continue
        first_at[line[:4]] = number
        lines.append(line)
    if faults:
        raise DataError(f"{path}: lines that cannot be used: {counted(faults)}")
    if len({line.system for line in lines}) < 2:
        raise DataError(f"{path}: a comparison needs the scores of at least two systems")
    return lines


def _line(row: Mapping[str | None, Any]) -> Line:
    """A row as a score.

    Raises:
        ValueError: the fault of the row.
    """
    cells = {name: as_text(row.get(name)) for name in COLUMNS}
    empty = [name for name, cell in cells.items() if not cell]
    if empty:
        raise ValueError(f"{', '.join(empty)} is empty")
    if None in row:
        raise ValueError("more cells than columns")
    if not re.fullmatch(r"[+-]?\d+", cells["seed"]):
        raise ValueError(f"seed {cells['seed']!r} is not a whole number")
    try:
        value = finite(cells["value"])
    except ValueError as fault:
        raise ValueError(f"value {fault}") from None
    metric = cells["metric"]
    low = -1.0 if metric in CORRELATIONS else 0.0
    if metric in BOUNDED and not low <= value <= 1:
        raise ValueError(f"{metric} {value:g} is not from {low:g} to 1; divide percentages by 100")
    if cells["task"] == OVERALL:
        raise ValueError(f"a task cannot be called {OVERALL}, which is the mean of the tasks")
    return Line(cells["system"], int(cells["seed"]), cells["task"], metric, value)


def direction_notes(lines: Sequence[Line]) -> list[str]:
    """Notes on metrics that BERTram does not know, and the direction that is assumed for each."""
    metrics = list(dict.fromkeys(line.metric for line in lines))
    unfamiliar = [metric for metric in metrics if metric not in BOUNDED and not is_error(metric)]
    if not unfamiliar:
        return []
    return [
        f"{', '.join(unfamiliar)}: not known here, so higher is taken to be better, without a smallest effect of "
        "interest and without a part in overall."
    ]


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
    if len(main) > 1 and all(metric in BOUNDED for metric in main.values()):
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
    runs = {run: RunScore(value, {}, hash((run, value))) for run, value in scores.items()}
    return Outcome(name, task, metric, runs, {}, 0)  # of the examples nothing is known
