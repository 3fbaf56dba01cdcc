"""Cross-validation: a run for each fold of the training rows, which scores every row by a model that never saw it.

<out>/fold-<k>-<identity>/     the run that held out fold k
<out>/crossval.json            scores of the folds, their mean, spread and interval, and scores of all rows together
<out>/out-of-fold/<task>.jsonl a line a row: id, fold, and its prediction
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bertram import options
from bertram.config import Config
from bertram.data.rows import Rows, read_rows, refuse_double_ids
from bertram.data.splits import run_source
from bertram.errors import ConfigError, DataError
from bertram.evaluation.metrics import score_task
from bertram.experiments.budget import check_data
from bertram.experiments.schedule import Job, finished_runs, main_scores, make_job
from bertram.runs.directory import Run, read_predictions
from bertram.runs.files import write_json, write_text
from bertram.runs.scores import Score
from bertram.tasks import Task

SUMMARY = "crossval.json"
PREDICTIONS = "out-of-fold"


@dataclass(frozen=True)
class FoldScores:
    """A main score over the folds.

    Attributes:
        folds: score of each fold; None where it is undefined.
        mean: mean over the folds.
        sd: standard deviation over the folds.
        ci95: 95 % interval of the mean; see `interval`.
    """

    folds: Sequence[float | None]
    mean: float | None
    sd: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class CrossValidation:
    """The result of a cross-validation.

    Attributes:
        folds: number of folds.
        scores: task or ``overall`` -> main score over the folds.
        pooled: task -> metric -> score of the out-of-fold predictions of all rows together.
    """

    folds: int
    scores: Mapping[str, FoldScores]
    pooled: Mapping[str, Mapping[str, Score]]


def jobs(config: Config, folds: int, out: Path) -> list[Job]:
    """A job for each fold; finished folds in `out` count.

    Args:
        config: configuration of the runs.
        folds: number of folds.
        out: folder of the runs.

    Raises:
        ConfigError: everything for which a training would refuse the data, of all folds together.
    """
    configs = [options.change(config, split={"folds": folds, "fold": fold}) for fold in range(folds)]
    problems: dict[str, None] = {}
    for fold in configs:
        try:
            check_data(fold)
        except ConfigError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise ConfigError(problems)
    finished = finished_runs((out,))
    return [make_job(f"fold-{number}", fold, out, finished) for number, fold in enumerate(configs)]


def gather(runs: Sequence[Run], out: Path) -> CrossValidation:
    """Gather the finished folds, and write their scores and predictions.

    Raises:
        DataError: the training file has changed, or ids of rows occur twice.
    """
    main = [main_scores(run) for run in runs]
    tasks = runs[0].config.tasks
    lowest = {name: -1.0 if task.label_space.numeric else 0.0 for name, task in tasks.items()}  # of a correlation: -1
    scores = {name: _over_folds([scores[name] for scores in main], lowest.get(name, 0.0)) for name in main[0]}
    pooled = {name: _pooled(runs, task, out) for name, task in tasks.items() if task.trained}
    result = CrossValidation(len(runs), scores, pooled)
    write_json(out / SUMMARY, asdict(result))
    return result


def _over_folds(values: Sequence[float | None], lowest: float) -> FoldScores:
    defined = [value for value in values if value is not None]
    if len(defined) < len(values):
        return FoldScores(values, None, None, None)
    low, high = interval(defined)
    return FoldScores(
        values, float(np.mean(defined)), float(np.std(defined, ddof=1)), (max(low, lowest), min(high, 1.0))
    )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean over k folds, by Student's t with the corrected variance of Nadeau and Bengio (2003).

    The trainings of two folds share most of their rows, so the plain variance of the mean is too small. The corrected
    one is s² (1/k + 1/(k − 1)), where 1/(k − 1) is the ratio of held-out to training rows.
    """
    count = len(values)
    error = float(np.std(values, ddof=1)) * math.sqrt(1 / count + 1 / (count - 1))
    half = float(stats.t.ppf(0.975, count - 1)) * error
    mean = float(np.mean(values))
    return mean - half, mean + half


def _pooled(runs: Sequence[Run], task: Task, out: Path) -> Mapping[str, Score]:
    """Write the out-of-fold predictions of a task, and score them together."""
    lines: list[dict[str, Any]] = []
    gold: list[float] = []
    values: list[float] = []
    shares: list[list[float] | None] = []
    places: list[int] = []
    rows = None
    for fold, run in enumerate(runs):
        rows = read_rows(task, run_source(run), "dev", allow_rejects=True)
        predictions = {line["id"]: line for line in read_predictions(run.predictions(task.name))}
        for row_id, label, place in zip(rows.ids, _labels(rows), rows.lines.tolist(), strict=True):
            if row_id not in predictions:  # a limit of evaluation
                continue
            line = predictions[row_id]
            lines.append({"id": row_id, "fold": fold, **_entry(task, line)})
            gold.append(label)
            values.append(task.label_space.internal(line["value"]))
            shares.append(line.get("probabilities"))
            places.append(place)
    assert rows is not None
    order = np.argsort(places, kind="stable").tolist()
    refuse_double_ids(rows.file, [line["id"] for line in lines], places)
    text = "".join(json.dumps(lines[place], ensure_ascii=False) + "\n" for place in order)
    write_text(out / PREDICTIONS / f"{task.name}.jsonl", text)
    probabilities = None if None in shares else shares
    return score_task(task.label_space, gold, values, None if probabilities is None else np.array(probabilities))


def _labels(rows: Rows) -> list[float]:
    if rows.labels is None:
        raise DataError(f"{rows.file}: no labels")
    labels: list[float] = rows.labels.tolist()
    return labels


def _entry(task: Task, line: Mapping[str, Any]) -> dict[str, Any]:
    """A prediction as `bertram predict` writes it."""
    if not task.class_names:
        return {"value": line["value"]}
    space = task.label_space
    entry = {"value": line["value"], "label": space.label(space.internal(line["value"]))}
    if "probabilities" in line:
        entry["probabilities"] = dict(zip(task.class_names, line["probabilities"], strict=True))
    return entry
