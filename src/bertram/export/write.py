"""Export of a run to a directory, which is written completely or not at all."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from bertram.errors import BertramError
from bertram.export import hf, onnx, sentence_transformers, sequence_classifier
from bertram.export.card import card
from bertram.export.int8_price import PRICE, int8_price
from bertram.prediction.engines.int8 import choose_int8
from bertram.prediction.engines.load import log
from bertram.prediction.load import load
from bertram.prediction.model import Model
from bertram.runs.directory import Run, open_run, refuse_existing
from bertram.runs.files import replace_directory, write_json

Form = Literal["hf", "transformers", "sentence-transformers", "onnx"]
Fill = Callable[[Path], None]


@dataclass(frozen=True)
class OnnxOptions:
    """The choices of an export to ONNX.

    Attributes:
        per_task: write a graph for each task, rather than one for all tasks.
        int8: compute the encoder in 8-bit integers, and measure what that costs.
        notify: called with lines about what takes time, and what int8 costs.
    """

    per_task: bool = False
    int8: bool = False
    notify: Callable[[str], None] = log.info

    @property
    def names(self) -> list[str]:
        """The chosen options, as they are written on the command line."""
        return [name for name, chosen in (("--per-task", self.per_task), ("--int8", self.int8)) if chosen]


DEFAULT = OnnxOptions()


def export(path: Path, form: Form, out: Path, task: str | None = None, onnx_options: OnnxOptions = DEFAULT) -> Path:
    """Write a run in the format of another library, with a model card.

    Args:
        path: run directory.
        form: format to write.
        out: directory to create.
        task: task to export; None: all tasks (onnx), or the only one that fits (transformers,
            sentence-transformers).
        onnx_options: choices of an export to ONNX.

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
    if form == "onnx":
        fill, usage = _onnx(run, model, task, onnx_options)
    elif onnx_options.names:
        raise BertramError(f"{' and '.join(onnx_options.names)}: for --format onnx only")
    else:
        fill, usage = OTHERS[form](model, task)
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


def _transformers(model: Model, name: str | None) -> tuple[Fill, str]:
    task = sequence_classifier.chosen_task(model, name)
    return (
        lambda directory: sequence_classifier.save_classifier(model, task, directory),
        sequence_classifier.usage(model, task),
    )


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


def _onnx(run: Run, model: Model, name: str | None, options: OnnxOptions) -> tuple[Fill, str]:
    tasks = [task for task in model.tasks.values() if name in (None, task.name) and not task.pools_target]
    if not tasks:
        raise BertramError("every task of this run pools a marked target, which a graph does not know; use --format hf")
    usage = onnx.usage(model, tasks, per_task=options.per_task, int8=options.int8)
    if not options.int8:
        return partial(onnx.save_graphs, model, tasks, per_task=options.per_task), usage
    choice = choose_int8(model, run, options.notify, tasks)
    price = int8_price(run, model, tasks, choice, options.notify)
    for line in price.lines():
        options.notify(line)

    def fill(directory: Path) -> None:
        onnx.save_graphs(model, tasks, directory, per_task=options.per_task, choice=choice)
        write_json(directory / PRICE, price.as_json())

    return fill, usage + price.section()


OTHERS: dict[Form, Callable[[Model, str | None], tuple[Fill, str]]] = {
    "hf": _hf,
    "transformers": _transformers,
    "sentence-transformers": _sentence_transformers,
}  # formats beside ONNX, which has choices of its own
