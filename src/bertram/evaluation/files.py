"""Evaluating and predicting whole files with the model of a run."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertram.errors import BertramError
from bertram.evaluation.evaluate import Evaluation, evaluate
from bertram.evaluation.going_on import Row, remaining
from bertram.evaluation.metrics import confusion_matrix, trivial_baselines
from bertram.model.load import load
from bertram.model.predict import Predictor, predictions
from bertram.runs.directory import Run, write_predictions
from bertram.tasks import Task
from bertram.text import reading
from bertram.text.examples import Examples, tokenize, tokenized
from bertram.text.inputs import InputFormat, read_texts
from bertram.text.sources import Split

WINDOW = 4096  # rows that are sorted by length together
WINDOW_CHARACTERS = 1 << 22  # most of them, where texts are long: bounds the memory


@dataclass(frozen=True)
class FileScores:
    """What `bertram evaluate` shows.

    Attributes:
        scores: in the form of record.json.
        baselines: of trivial answers, by task.
        confusion: gold by predicted, of tasks with classes.
    """

    scores: dict[str, Any]
    baselines: dict[str, Any]
    confusion: dict[str, list[list[int]]]


def evaluate_files(run: Run, data: str, split: Split, batch_size: int = 64) -> FileScores:
    """Score a run on the labelled files of a split; predictions of the run's own data are kept in the run.

    Raises:
        DataError: the files cannot be used.
    """
    model = load(run)
    rows = {
        name: reading.read(task, data, split, allow_rejects=run.config.allow_rejects)
        for name, task in model.tasks.items()
    }
    examples = {
        name: tokenized(task, rows[name], model.tokenizer, model.max_tokens) for name, task in model.tasks.items()
    }
    found = evaluate(model, examples, batch_size)
    if data == run.config.data:
        keep_predictions(run, found, split)
    return FileScores(found.scores(), {name: baselines(one) for name, one in examples.items()}, confusions(found))


def confusions(found: Evaluation) -> dict[str, list[list[int]]]:
    """Gold labels by predicted ones, of tasks that have classes."""
    tables = {}
    for name, examples in found.examples.items():
        if examples.task.classes and examples.labels is not None:
            table = confusion_matrix(examples.labels.numpy(), found.values(name), examples.task.classes)
            tables[name] = table.tolist()
    return tables


def baselines(examples: Examples, train: Examples | None = None) -> dict[str, Any]:
    """Scores that need no model; constants are chosen on the training labels where they are given."""
    labels = (train or examples).labels
    assert labels is not None
    assert examples.labels is not None
    return dict(trivial_baselines(examples.task.kind, labels.numpy(), examples.labels.numpy()))


def keep_predictions(run: Run, found: Evaluation, split: str) -> None:
    """Write id and output of each example below the run."""
    for name, examples in found.examples.items():
        path = run.predictions(name, split)
        write_predictions(path, examples.ids, found.values(name).tolist(), found.probabilities(name))


def predict_file(
    model: Predictor,
    task: str,
    source: Path | Iterable[bytes],
    *,
    columns: Sequence[str] = (),
    form: InputFormat | None = None,
    batch_size: int = 64,
    done: Iterable[str] = (),
    complain: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """Predict a file row by row, in its order, a window of rows in memory at a time.

    Args:
        model: a model or an ensemble.
        task: which of its tasks.
        source: a file, or the lines of standard input.
        columns: names of the text columns.
        form: format of a source whose name does not tell it.
        batch_size: examples computed together.
        done: ids of the rows that are predicted already; these are left out.
        complain: told of each row that cannot be predicted.

    Raises:
        BertramError: no such task, a fault of the file, or `done` are not the ids of its first rows.
    """
    if task not in model.tasks:
        raise BertramError(f"there is no task {task!r}; this model has {', '.join(model.tasks)}")
    known = model.tasks[task]
    rejects: list[reading.Reject] = []
    rows = read_texts(
        source,
        known.pair,
        columns=columns or known.files.texts,
        style=known.text_style,
        form=form,
        rejects=rejects,
    )
    for window in _windows(remaining(_complaining(rows, rejects, complain), done)):
        ids, texts = zip(*window, strict=True)
        pieces = tokenize(texts, model.tokenizer)
        examples = Examples(known, ids, pieces, None, model.tokenizer, model.max_tokens)
        for one, prediction in zip(ids, predictions(known, model.outputs(examples, batch_size)), strict=True):
            yield _line(known, one, prediction.value, prediction.probabilities)


def _complaining(rows: Iterator[Row], rejects: list[reading.Reject], complain: Callable[[str], None]) -> Iterator[Row]:
    """The rows, with a complaint of each that was rejected on the way."""
    for row in itertools.chain(rows, [None]):
        for reject in rejects:
            complain(f"rejected: {reject}")
        rejects.clear()
        if row is not None:
            yield row


def _windows(rows: Iterator[Row]) -> Iterator[list[Row]]:
    window: list[Row] = []
    characters = 0
    for row in rows:
        window.append(row)
        characters += sum(map(len, row[1]))
        if len(window) == WINDOW or characters >= WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def _line(task: Task, one: str, value: float, probabilities: Sequence[float] | None) -> dict[str, Any]:
    line: dict[str, Any] = {"id": one, "value": value}
    if probabilities is not None:
        line["label"] = task.label_names[int(value)]
        line["probabilities"] = dict(zip(task.label_names, (round(p, 6) for p in probabilities), strict=True))
    return line
