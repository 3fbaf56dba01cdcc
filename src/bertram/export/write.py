"""Export of a run to a directory, which is written completely or not at all."""

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
    """Write a run in the format of another library, with a model card.

    Args:
        path: run directory.
        form: format to write.
        out: directory to create.
        task: task to export; None: all tasks (onnx), or the only one that fits (sentence-transformers).

    Raises:
        BertramError: the format cannot hold the run or the task.
        RunError: the run is missing, unfinished or damaged, or `out` exists.
    """
    refuse_existing(out, resumable=False)
    run = open_run(path)
    model = load(run)
    if not isinstance(model, Model):
        raise BertramError(f"{path}: an ensemble cannot be exported; export a member or a soup of its members")
    if task is not None and task not in model.tasks:
        raise BertramError(f"unknown task {task!r}; choose one of {', '.join(model.tasks)}")
    if task is not None and model.tasks[task].pools_target:
        raise BertramError(f"tasks.{task}: it pools a marked target, which no other format knows; use --format hf")
    fill, usage = {"hf": _hf, "sentence-transformers": _sentence_transformers, "onnx": _onnx}[form](model, task)
    text = card(run, model, form, usage)

    def write(directory: Path) -> None:
        fill(directory)
        (directory / "README.md").write_text(text, encoding="utf-8")

    replace_directory(out.absolute(), write)
    return out


def _hf(model: Model, task: str | None) -> tuple[Fill, str]:
    if task is not None:
        raise BertramError("--format hf exports the encoder, which all tasks share; omit --task")
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
    tasks = [task for task in model.tasks.values() if name in (None, task.name) and not task.pools_target]
    if not tasks:
        raise BertramError("every task of this run pools a marked target, which a graph does not know; use --format hf")
    return lambda directory: onnx.save_graphs(model, tasks, directory), onnx.usage(model, tasks)
