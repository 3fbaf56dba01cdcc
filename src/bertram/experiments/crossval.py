"""Cross-validation: a run for each fold of the training rows, which scores every row by a model that never saw it.

<out>/fold-<k>-<identity>/     the run that held out fold k
<out>/crossval.json            scores of the folds, their mean, spread and interval, and scores of all rows together
<out>/out-of-fold/<task>.jsonl a line a row: id, fold, and its prediction
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bertram import options
from bertram.config import Config
from bertram.data.labels import with_labels
from bertram.data.memory import MEMORY, Tables
from bertram.data.rows import Rows, read_rows, refuse_double_ids
from bertram.data.sources import DataSource
from bertram.data.splits import SPLITS, config_source, run_source
from bertram.errors import ConfigError, DataError, RunError
from bertram.evaluation.groups import text_groups
from bertram.evaluation.scoring import score_task
from bertram.experiments.budget import check_data
from bertram.experiments.events import SilentStudy, StudyDisplay
from bertram.experiments.schedule import (
    Job,
    failed_runs,
    finished_runs,
    main_scores,
    make_job,
    run_jobs,
    train_run,
)
from bertram.runs.directory import Run, read_predictions
from bertram.runs.files import write_json, write_text
from bertram.runs.scores import Score
from bertram.tasks import Task
from bertram.training.display import Display
from bertram.training.precision import kept_precision
from bertram.training.train import train, with_source

SUMMARY = "crossval.json"
PREDICTIONS = "out-of-fold"
SEEN_BY_TEACHERS = (
    "distill.teachers: a teacher has seen rows of the folds; cross-validate without teachers, or train a teacher and a "
    "student for each fold, both with the same split.folds and split.fold"
)


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


def cross_validate(
    config: Config,
    out: Path | str = "runs/crossval",
    data: object = None,
    *,
    folds: int = 5,
    jobs: int = 1,
    keep_models: bool = False,
    display: StudyDisplay | None = None,
) -> CrossValidation:
    """Train once for each fold of the training rows, and score every row by a model that never saw it.

    Folds are stratified by label; rows that share a text or a group are in one fold. Dev rows are not used. Finished
    folds in `out` are skipped and interrupted ones continue. Scores and out-of-fold predictions are written there.

    Args:
        config: configuration of the runs.
        out: folder of the runs.
        data: tables in memory, or where the files are, as `bertram.train` takes them; default: `Config.data`.
        folds: number of folds.
        jobs: number of runs at a time; they share the cores.
        keep_models: keep the trained models; without them only records and predictions are kept.
        display: shows the progress; nothing is shown by default.

    Returns:
        Scores of each fold, their mean, spread and interval, and scores of the predictions of all rows together.

    Raises:
        ConfigError: everything for which a training would refuse configuration or data, of all folds together.
        RunError: folds that failed.
    """
    if folds < 2:
        raise ConfigError([f"folds = {folds}: at least 2 are needed"])
    out = Path(out)
    config, source = with_source(config, data)
    config = with_labels(config, source).config
    fold_jobs = make_jobs(config, folds, out, source)
    failures = run_jobs(fold_jobs, display or SilentStudy(), at_once=jobs, keep_models=keep_models)
    if failures:
        raise RunError(failed_runs(failures, len(fold_jobs)))
    return gather([Run(job.path) for job in fold_jobs], out, source)


def make_jobs(config: Config, folds: int, out: Path, source: DataSource | None = None) -> list[Job]:
    """A job for each fold; finished folds in `out` count.

    Args:
        config: configuration of the runs.
        folds: number of folds.
        out: folder of the runs.
        source: tables in memory; default: the data of the configuration.

    Raises:
        ConfigError: teachers, everything for which a training would refuse the data, of all folds together, or folds
            in `out` that were split otherwise.
    """
    if config.distill.teachers:
        raise ConfigError([SEEN_BY_TEACHERS])
    source = None if source is None or source.tables is None else _without_dev(source.tables, config.tasks)
    configs = [options.change(config, split={"folds": folds, "fold": fold}) for fold in range(folds)]
    problems: dict[str, None] = {}
    for fold in configs:
        try:
            check_data(fold, source)
        except ConfigError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise ConfigError(problems)
    finished = finished_runs((out,))
    produce = train_run if source is None else partial(_train_on, source)
    jobs = [
        make_job(f"fold-{number}", fold, out, finished, produce=produce, source=source)
        for number, fold in enumerate(configs)
    ]
    faults = [fault for job in jobs for fault in _split_faults(job, source)]
    if faults:
        raise ConfigError(faults)
    return jobs


def _split_faults(job: Job, source: DataSource | None) -> Iterator[str]:
    """Whether a fold was begun with other dev rows than it has now; another fold would have some of them, too."""
    if not (job.path / SPLITS).is_file():
        return
    if _dev_lines(run_source(Run(job.path), source)) != _dev_lines(config_source(job.config, source)):
        yield f"{job.path}: its dev rows were chosen by another version of BERTram; use another --out for all folds"


def _dev_lines(source: DataSource) -> dict[str, list[int]]:
    """Task -> lines of its dev rows."""
    return {name: list(rows.lines) for name, rows in source.held_out.items()}


def _without_dev(tables: Tables, tasks: Mapping[str, Task]) -> DataSource:
    """The tables in memory without the dev tables of trained tasks, whose dev rows are those of a fold."""
    own = {
        name: {
            part: table
            for part in ("train", "dev", "test")
            if (table := tables.of(name, part)) is not None and not (part == "dev" and task.trained)
        }
        for name, task in tasks.items()
    }
    return DataSource(MEMORY, Tables({}, own))


def _train_on(source: DataSource, config: Config, path: Path, display: Display) -> Run:
    """Train a run of a study on tables in memory, or continue it."""
    return train(config, path, source, resume=True, display=display, measured=kept_precision(path.parent))


def gather(runs: Sequence[Run], out: Path, source: DataSource | None = None) -> CrossValidation:
    """Gather the finished folds, and write their scores and predictions.

    Args:
        runs: finished runs of all folds.
        out: folder of the runs.
        source: tables in memory; default: the data of the runs.

    Raises:
        DataError: the training file has changed, or ids of rows occur twice.
    """
    main = [main_scores(run) for run in runs]
    tasks = runs[0].config.tasks
    lowest = {name: -1.0 if task.label_space.numeric else 0.0 for name, task in tasks.items()}  # of a correlation: -1
    scores = {name: _over_folds([scores[name] for scores in main], lowest.get(name, 0.0)) for name in main[0]}
    if source is not None and source.tables is not None:
        source = _without_dev(source.tables, tasks)
    pooled = {name: _pooled(runs, task, out, source) for name, task in tasks.items() if task.trained}
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


def _pooled(runs: Sequence[Run], task: Task, out: Path, source: DataSource | None) -> Mapping[str, Score]:
    """Write the out-of-fold predictions of a task, and score them together."""
    lines: list[dict[str, Any]] = []
    gold: list[float] = []
    values: list[float] = []
    shares: list[list[float] | None] = []
    places: list[int] = []
    texts: list[Sequence[str]] = []
    rows = None
    for fold, run in enumerate(runs):
        rows = read_rows(task, run_source(run, source), "dev", allow_rejects=True)
        predictions = {line["id"]: line for line in read_predictions(run.predictions(task.name))}
        for row_id, label, place, row_texts in zip(
            rows.ids, _labels(rows), rows.lines.tolist(), rows.texts, strict=True
        ):
            if row_id not in predictions:  # a limit of evaluation
                continue
            line = predictions[row_id]
            lines.append({"id": row_id, "fold": fold, **_entry(task, line)})
            gold.append(label)
            values.append(task.label_space.internal(line["value"]))
            shares.append(line.get("probabilities"))
            places.append(place)
            texts.append(row_texts)
    assert rows is not None
    order = np.argsort(places, kind="stable").tolist()
    refuse_double_ids(rows.file, [line["id"] for line in lines], places)
    text = "".join(json.dumps(lines[place], ensure_ascii=False) + "\n" for place in order)
    write_text(out / PREDICTIONS / f"{task.name}.jsonl", text)
    probabilities = None if None in shares else np.array(shares)
    return score_task(task.label_space, gold, values, probabilities, text_groups(texts))


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
