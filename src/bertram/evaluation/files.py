"""Evaluating whole files with the model of a run."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bertram.data.examples import Examples, tokenized
from bertram.data.rows import read_rows
from bertram.data.sources import Split
from bertram.evaluation.evaluate import Evaluation, evaluate
from bertram.evaluation.metrics import confusion_matrix, trivial_baselines
from bertram.prediction.load import load
from bertram.runs.directory import Run, open_run, write_predictions
from bertram.runs.scores import Baselines, SplitScores


@dataclass(frozen=True)
class FileScores:
    """What `bertram evaluate` shows.

    Attributes:
        scores: scores of each task and over all tasks.
        baselines: task -> trivial answer -> metric -> score.
        confusion: task with classes -> counts by gold class and predicted class.
    """

    scores: SplitScores
    baselines: dict[str, Baselines]
    confusion: dict[str, list[list[int]]]


def evaluate_run(
    run: Run | Path | str, data: str | None = None, split: Split = "dev", batch_size: int = 64
) -> FileScores:
    """Score a run on the labelled files of a split.

    Predictions of the run's own data are kept in the run if it has none of that split yet: those that its training has
    written may be of fewer rows or of another precision, and its record is about them.

    Args:
        run: a run, or its directory.
        data: a directory with the files, ``hub`` or ``sample``; default: the data of the run.
        split: ``dev`` or ``test``.
        batch_size: examples computed together.

    Raises:
        RunError: there is no finished run.
        DataError: the files cannot be used.
    """
    run = run if isinstance(run, Run) else open_run(Path(run))
    data = data or run.config.data
    model = load(run)
    rows = {
        name: read_rows(task, data, split, allow_rejects=run.config.allow_rejects) for name, task in model.tasks.items()
    }
    examples = {
        name: tokenized(task, rows[name], model.tokenizer, model.max_tokens) for name, task in model.tasks.items()
    }
    found = evaluate(model, examples, batch_size)
    if is_same_place(data, run.config.data) and not any(run.predictions(name, split).exists() for name in model.tasks):
        keep_predictions(run, found, split)
    return FileScores(found.scores(), {name: baselines(one) for name, one in examples.items()}, confusions(found))


def is_same_place(one: str, other: str) -> bool:
    """Whether two words for the data mean one directory, the Hub or the sample."""
    both = (Path(one), Path(other))
    return one == other or (all(path.is_dir() for path in both) and both[0].samefile(both[1]))


def confusions(found: Evaluation) -> dict[str, list[list[int]]]:
    """Gold labels by predicted ones, of tasks that have classes."""
    tables = {}
    for name, examples in found.examples.items():
        if examples.task.classes and examples.labels is not None:
            table = confusion_matrix(examples.labels.numpy(), found.values(name), examples.task.classes)
            tables[name] = table.tolist()
    return tables


def baselines(examples: Examples, train: Tensor | None = None) -> Baselines:
    """Scores that need no model; constants are chosen on the training labels where they are given."""
    assert examples.labels is not None
    labels = examples.labels if train is None else train
    return trivial_baselines(examples.task.label_space, labels.numpy(), examples.labels.numpy())


def keep_predictions(run: Run, found: Evaluation, split: str) -> None:
    """Write id and output of each example below the run."""
    for name, examples in found.examples.items():
        path = run.predictions(name, split)
        write_predictions(path, examples.ids, found.values(name).tolist(), found.probabilities(name))
