"""Evaluating whole files with the model of a run."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bertram.data.examples import Examples, tokenized
from bertram.data.memory import MEMORY
from bertram.data.rows import Rows, limit_rows, read_rows
from bertram.data.sources import DataSource, Split, source_of
from bertram.data.splits import run_source
from bertram.errors import DataError
from bertram.evaluation.evaluate import Evaluation, evaluate, groups_of
from bertram.evaluation.scoring import confusion_matrix
from bertram.evaluation.trivial_baselines import trivial_baselines
from bertram.prediction.engines.load import load, log
from bertram.prediction.engines.reading import Engine
from bertram.runs.directory import Run, open_run, write_predictions
from bertram.runs.scores import Baselines, SplitScores
from bertram.tasks import Task


@dataclass(frozen=True)
class FileScores:
    """Scores of a run on labelled files, as `bertram evaluate` shows them.

    Attributes:
        scores: scores of each task and over all tasks.
        baselines: task -> trivial answer -> metric -> score.
        confusion: task with classes -> counts by gold class and predicted class.
    """

    scores: SplitScores
    baselines: dict[str, Baselines]
    confusion: dict[str, list[list[int]]]


def evaluate_run(
    run: Run | Path | str,
    data: object = None,
    split: Split = "dev",
    batch_size: int = 64,
    engine: Engine = "torch",
    notify: Callable[[str], None] = log.info,
) -> FileScores:
    """Score a run on the labelled files of a split.

    Predictions of the run's own data are kept in the run if it has none of that split yet: those that its training has
    written may be of fewer rows or of another precision, and its record is about them.

    Args:
        run: a run, or its directory.
        data: a directory with the files, ``hub`` or ``sample``; or tables in memory, as `bertram.train` takes them;
            default: the data of the run.
        split: ``dev`` or ``test``.
        batch_size: examples computed together.
        engine: software that computes, see `bertram.prediction.engines.load`; predictions are kept only of torch.
        notify: called with a line about what takes time or was not as asked for.

    Raises:
        RunError: there is no finished run.
        DataError: the files cannot be used.
    """
    run = run if isinstance(run, Run) else open_run(Path(run))
    source = run_source(run, source_of(run.config.data if data is None else data, run.config.tasks))
    model = load(run, engine, notify=notify)
    rows = {
        name: read_rows(task, source, split, allow_rejects=run.config.allow_rejects)
        for name, task in model.tasks.items()
    }
    examples = {
        name: tokenized(task, rows[name], model.tokenizer, model.max_tokens) for name, task in model.tasks.items()
    }
    evaluation = evaluate(model, examples, batch_size)
    kept = any(run.predictions(name, split).exists() for name in model.tasks)
    if engine == "torch" and not kept and _own_data(run, source.place, split, rows):
        keep_predictions(run, evaluation, split)
    trivial = {name: baselines(part, train_labels(run, model.tasks[name], source)) for name, part in examples.items()}
    return FileScores(evaluation.scores(), trivial, confusions(evaluation))


def _own_data(run: Run, data: str, split: Split, rows: Mapping[str, Rows]) -> bool:
    """True if the rows belong to the data of the run: dev files by their hash, test files by their place."""
    if split != "dev":
        return data != MEMORY and is_same_place(data, run.config.data)
    recorded = run.record.data
    return all(file.name in recorded and recorded[file.name].sha256 == file.sha256 for file in rows.values())


def train_labels(run: Run, task: Task, data: str | DataSource) -> Tensor | None:
    """The labels that a task of a run was trained on; None if it was not trained or its file is missing.

    Args:
        run: finished run.
        task: task of the run.
        data: data source that is searched first; then that of the run.
    """
    config, recorded = run.config, run.record.data
    source = run_source(run, data)
    places = {source.place: source}
    places.setdefault(config.data, run_source(run))
    for place in places.values() if task.trained else ():
        with suppress(DataError):
            rows = read_rows(task, place, "train", allow_rejects=True)
            if rows.name in recorded and recorded[rows.name].sha256 == rows.sha256:
                limit, fraction = task.max_train_samples, config.sampling.fraction
                rows = limit_rows(rows, limit=limit, fraction=fraction, seed=config.seed, name=task.name)
                return None if rows.labels is None else torch.from_numpy(rows.labels)
    return None


def is_same_place(first: str, second: str) -> bool:
    """Whether two words for the data mean one directory, the Hub or the sample."""
    paths = (Path(first), Path(second))
    return first == second or (all(path.is_dir() for path in paths) and paths[0].samefile(paths[1]))


def confusions(evaluation: Evaluation) -> dict[str, list[list[int]]]:
    """Gold labels by predicted ones, of tasks that have classes."""
    tables = {}
    for name, examples in evaluation.examples.items():
        if examples.task.classes and not examples.task.label_space.is_set and examples.labels is not None:
            table = confusion_matrix(examples.labels.numpy(), evaluation.values(name), examples.task.classes)
            tables[name] = table.tolist()
    return tables


def baselines(examples: Examples, train: Tensor | None = None) -> Baselines:
    """Scores that need no model; constants are chosen on the training labels where they are given."""
    assert examples.labels is not None
    labels = None if train is None else train.numpy()
    return trivial_baselines(examples.task.label_space, labels, examples.labels.numpy(), groups_of(examples))


def keep_predictions(run: Run, evaluation: Evaluation, split: str) -> None:
    """Write id and output of each example below the run."""
    for name, examples in evaluation.examples.items():
        path = run.predictions(name, split)
        values = [examples.task.label_space.external(value) for value in evaluation.values(name).tolist()]
        write_predictions(path, examples.ids, values, evaluation.probabilities(name))
