"""Fit temperature and thresholds of a finished run, on its dev files or on predictions for its training rows."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bertram.data.examples import tokenized
from bertram.data.rows import Rows, read_rows
from bertram.data.sources import source_of
from bertram.data.splits import run_source
from bertram.errors import BertramError, DataError
from bertram.evaluation.calibration import Probabilities, calibrate
from bertram.evaluation.groups import text_groups
from bertram.prediction.load import load_model
from bertram.prediction.model import Model
from bertram.runs.decisions import FORMAT, Decisions, TaskDecision, read_decisions, write_decisions
from bertram.runs.directory import MEMBERS, Run
from bertram.standard_streams import is_dash, open_bytes
from bertram.tasks import Task

FEWEST_ROWS = 10


def calibrate_run(
    run: Run,
    data: object = None,
    *,
    task: str | None = None,
    predictions: Path | None = None,
    temperature: bool = True,
    thresholds: bool = True,
    folds: int = 5,
    batch_size: int = 64,
    track: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> Decisions:
    """Fit temperature and thresholds and keep them in the run, which predicts with them from then on.

    Args:
        run: finished run.
        data: directory with the data files, ``hub`` or ``sample``, or tables in memory, as `bertram.train` takes them;
            default: the data of the run.
        task: task to fit; None: every task that has probabilities.
        predictions: JSON lines with id and probabilities of training rows, each by a model that was not trained on the
            row, as cross-validation makes them; None: fit on dev.
        temperature: fit the temperature.
        thresholds: fit the thresholds.
        folds: number of folds by which the scores after fitting are estimated.
        batch_size: examples per batch.
        track: wraps the iteration over the task names, to show progress.

    Raises:
        BertramError: the run cannot be calibrated; all reasons.
        DataError: the files cannot be used.
        RunError: the run is damaged.
    """
    model = _model(run, temperature=temperature)
    source = source_of(run.config.data if data is None else data, run.config.tasks)
    if predictions is None:
        source = run_source(run, source)
    names = _names(model, task, predictions, temperature=temperature)
    tasks: dict[str, TaskDecision] = {}
    for name in track(names):
        definition = model.tasks[name]
        rows = read_rows(definition, source, "dev" if predictions is None else "train",
                         allow_rejects=run.config.allow_rejects)  # fmt: skip
        if predictions is None:
            examples = tokenized(definition, rows, model.tokenizer, model.max_tokens)
            meaning = model.outputs(examples, batch_size).double().numpy()
            probabilities = _beside_labels(definition, rows, meaning)
        else:
            probabilities = _from_file(definition, rows, predictions)
        if len(probabilities.gold) < FEWEST_ROWS:
            raise DataError(
                f"{rows.file}: {len(probabilities.gold)} rows are too few to fit on; {FEWEST_ROWS} are needed"
            )
        if probabilities.groups is not None and probabilities.groups.max() == 0:
            raise DataError(f"{rows.file}: all rows share a text, so none can be held out to score the fit")
        tasks[name] = calibrate(probabilities, folds, temperature=temperature, thresholds=thresholds)
    before = read_decisions(run.path)
    fitted_on = "dev"
    if predictions is not None:
        fitted_on = "standard input" if is_dash(predictions) else predictions.name
    earlier_tasks = {} if before is None or before.fitted_on != fitted_on else dict(before.tasks)
    decisions = Decisions(FORMAT, fitted_on, folds, earlier_tasks | tasks)
    write_decisions(run.path, decisions)
    return decisions


def _model(run: Run, *, temperature: bool) -> Model:
    """The model as it was trained, without settings that were fitted before."""
    run.record  # noqa: B018 - raises for a run that is not finished
    if (run.model / MEMBERS).is_file():
        raise BertramError(f"{run.path}: an ensemble has no logits of its own; calibrate a soup of its members")
    run.check_model()
    model = load_model(run.model)
    if model.both_orders and temperature:
        raise BertramError(f"{run.path}: it averages both orders of a pair, so it has no logits; use --only thresholds")
    return model


def _names(model: Model, task: str | None, predictions: Path | None, *, temperature: bool) -> list[str]:
    """The tasks to fit, or all reasons why there are none."""
    if task is not None and task not in model.tasks:
        raise BertramError(f"unknown task {task!r}; choose one of {', '.join(model.tasks)}")
    faults = {name: _fault(definition, temperature=temperature) for name, definition in model.tasks.items()}
    names = [name for name in model.tasks if task in (None, name) and faults[name] is None]
    if not names:
        raise BertramError("\n".join(str(faults[name]) for name in model.tasks if task in (None, name)))
    if predictions is not None and len(names) > 1:
        raise BertramError(f"a file of predictions is of one task; use --task {' or --task '.join(names)}")
    return names


def _fault(task: Task, *, temperature: bool) -> str | None:
    if not task.class_names:
        return f"tasks.{task.name}: a score has no probabilities to calibrate"
    if temperature and not task.has_logits:
        return f"tasks.{task.name}: the loss {task.trained_by} has no logits for a temperature; use --only thresholds"
    if not temperature and not task.label_space.threshold_count:
        return f"tasks.{task.name}: a {task.kind} task has no thresholds"
    return None


def _beside_labels(task: Task, rows: Rows, meaning: Any) -> Probabilities:
    assert rows.labels is not None
    return Probabilities(task, rows.labels.astype(np.float64), meaning, text_groups(rows.texts))


def _from_file(task: Task, rows: Rows, path: Path) -> Probabilities:
    """The rows that a file has probabilities for; every fault of the file at once.

    Raises:
        DataError: lines that are no predictions of the task, ids that occur twice, or none that fits.
    """
    place = {row_id: number for number, row_id in enumerate(rows.ids)}
    meaning: dict[int, list[float]] = {}
    faults: list[str] = []
    for number, line in enumerate(_lines(path), start=1):
        fault = _read_line(line, task.class_names, place, meaning)
        if fault:
            faults.append(f"{path}:{number}: {fault}")
    if not faults and not meaning:
        faults.append(f"{path}: no id is that of a row of {rows.file}")
    if faults:
        rest = f"\nand {len(faults) - 5} more" if len(faults) > 5 else ""
        raise DataError("\n".join(faults[:5]) + rest)
    chosen = np.array(sorted(meaning))
    return _beside_labels(task, rows.take(chosen), np.array([meaning[int(row)] for row in chosen]))


def _lines(path: Path) -> list[str]:
    try:
        with open_bytes(path) as file:
            return [line for line in file.read().decode("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8: {error}") from None


def _read_line(
    line: str, names: Sequence[str], place: Mapping[str, int], meaning: dict[int, list[float]]
) -> str | None:
    """Take the probabilities of a line; gives its fault, if it has one. Ids of other rows are passed over."""
    try:
        fields = json.loads(line)
        row_id, entry = str(fields["id"]), fields["probabilities"]
        values = [entry[name] for name in names] if isinstance(entry, dict) else list(entry)
        numbers = [float(value) for value in values]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "not a prediction with id and probabilities of this task"
    if len(numbers) != len(names) or not all(0 <= number <= 1 for number in numbers):
        return f"not a probability for each of {', '.join(names)}"
    if row_id in place:
        if place[row_id] in meaning:
            return f"the id {row_id!r} occurs twice"
        meaning[place[row_id]] = numbers
    return None
