"""What the measurements of SMART and of surgery share: a model after a short training, and their command line."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import records
from bertram import options
from bertram.data.examples import Batch
from bertram.minbert.catalogue import recipe
from bertram.training import setup
from bertram.training.setup import begin
from bertram.training.state import Training
from bertram.training.step import step

PACKAGES = ("bertram", "torch", "smart-pytorch")


@dataclass(frozen=True)
class Measurement:
    """What a measurement was made with, and what it found; both as parts of a record."""

    settings: Mapping[str, Any]
    results: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """Data, encoder and length of a short training.

    Attributes:
        batch_size: examples per batch and task.
        steps: steps of the whole model, after those of the heads alone.
        head_steps: steps of the heads alone, before the encoder moves.
        data: directory of the course files, or ``sample``.
        encoder: pretrained encoder, as a run takes it.
    """

    batch_size: int
    steps: int
    head_steps: int = 50
    data: str = "sample"
    encoder: str = "minilm"

    def prepared(self, tasks: Mapping[str, Mapping[str, Any]], **changes: Any) -> Training:
        """The encoder with new heads on some of the study's tasks, in fp32 on one thread, before its first step."""
        torch.set_num_threads(1)
        values = {
            "data": self.data,
            "encoder": self.encoder,
            "precision": "fp32",
            "device": "cpu",
            "tasks": tasks,
            "sampling": {"batch_size": self.batch_size, "epoch_of": next(iter(tasks))},
            "evaluation": {"max_eval_samples": 64},
            "average": {"method": "none"},
            **changes,
        }
        return begin(options.overlay(recipe("cross"), values, {}), torch.device("cpu"))

    def train_heads(self, training: Training) -> None:
        """Train the heads on the pretrained encoder's vectors."""
        encoder, context = training.model.network.encoder, training.context
        encoder.requires_grad_(False)
        training.context, _ = setup.step_contexts(
            training.config, training.model.network, context.objective, training.generators.surgery
        )
        take_steps(training, self.head_steps)
        encoder.requires_grad_()
        training.context = context

    def described(self, training: Training) -> dict[str, Any]:
        """The plan as a part of a record."""
        return {
            "encoder": self.encoder if self.encoder == "minilm" else Path(self.encoder).name,
            "batch_size": self.batch_size,
            "head_steps": self.head_steps,
            "steps": self.steps,
            "encoder_rate": training.config.optimizer.lr,
        }


def take_steps(training: Training, steps: int) -> None:
    """Take some steps at a constant rate."""
    for _ in range(steps):
        step(training.context, next_batches(training))


def next_batches(training: Training) -> list[Batch]:
    """The next batch of each task."""
    return training.batches(training.sampler.next())


def mean(values: Sequence[float]) -> float:
    """The mean of some values."""
    return sum(values) / len(values)


def means(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure."""
    return {name: mean([row[name] for row in figures]) for name in figures[0]}


def measure_and_write(
    measure: Callable[[Plan], Measurement],
    plan: Plan,
    module: str,
    description: str | None,
    file: str,
    arguments: Sequence[str] | None = None,
) -> None:
    """Run a measurement from the command line: print its results and write its record.

    Args:
        measure: function that measures.
        plan: length of the training before it; the command line gives the data.
        module: name of the module that measures.
        description: text of ``--help``.
        file: name of the record.
        arguments: command-line arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(records.COURSE_FILES), help="directory of the course files")
    parser.add_argument("--out", type=Path, default=records.MEASUREMENTS, help="folder of the record")
    chosen = parser.parse_args(arguments)
    measurement = measure(replace(plan, data=chosen.data))
    record = {
        "script": module,
        "settings": measurement.settings,
        "versions": records.versions(PACKAGES),
        "results": _rounded(measurement.results),
    }
    print(json.dumps(record["results"], indent=1))
    records.write(chosen.out / file, record)


def _rounded(value: Any) -> Any:
    """The same value with every real number to four digits."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
