"""From a run to an exported directory, written as a whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from bertram.errors import BertramError
from bertram.export import hf, onnx, sentence_transformers
from bertram.export.card import card
from bertram.prediction.load import load
from bertram.prediction.model import Model
from bertram.runs.directory import open_run, refuse_existing
from bertram.runs.files import replace_directory

Form = Literal["hf", "sentence-transformers", "onnx"]
Fill = Callable[[Path], None]


def export(path: Path, form: Form, out: Path, task: str | None = None) -> Path:
    """Write a run in the format of another tool, with a model card.

    Args:
        path: the run directory.
        form: of which tool.
        out: the new directory.
        task: the only task to export, for formats that hold tasks.

    Raises:
        BertramError: the run, or this task, cannot be held by the format.
        RunError: no finished run, damaged, or `out` exists already.
    """
    refuse_existing(out, resumable=False)
    run = open_run(path)
    model = load(run)
    if not isinstance(model, Model):
        raise BertramError(f"{path}: an ensemble; export one of its members, or make one model of them: bertram soup")
    if task is not None and task not in model.tasks:
        raise BertramError(f"there is no task {task!r}; this run has {', '.join(model.tasks)}")
    fill, usage = {"hf": _hf, "sentence-transformers": _sentence_transformers, "onnx": _onnx}[form](model, task)
    text = card(run, model, form, usage)

    def write(directory: Path) -> None:
        fill(directory)
        (directory / "README.md").write_text(text, encoding="utf-8")

    replace_directory(out.absolute(), write)
    return out


def _hf(model: Model, task: str | None) -> tuple[Fill, str]:
    if task is not None:
        raise BertramError("--format hf holds the encoder, which all tasks share; leave --task out")
    return lambda directory: hf.save_encoder(model, directory), hf.usage(model)


def _sentence_transformers(model: Model, name: str | None) -> tuple[Fill, str]:
    task = sentence_transformers.chosen_task(model, name)
    if task is None:
        return (
            lambda directory: sentence_transformers.save_vectors(model, directory),
            sentence_transformers.vectors_usage(model),
        )
    return (
        lambda directory: sentence_transformers.save_scores(model, task, directory),
        sentence_transformers.scores_usage(model, task),
    )


def _onnx(model: Model, name: str | None) -> tuple[Fill, str]:
    tasks = [task for task in model.tasks.values() if name in (None, task.name)]
    return lambda directory: onnx.save_graphs(model, tasks, directory), onnx.usage(model, tasks)
