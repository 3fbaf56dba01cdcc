"""What the measurements have in common: a model after a short training on the course files, and where figures go."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import records
from bertram import options
from bertram.data.examples import Batch
from bertram.minbert.catalogue import recipe
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.multitask import Inputs, Multitask
from bertram.training import setup
from bertram.training.state import Training, begin
from bertram.training.step import step

HEAD_STEPS = 50  # of the heads alone, so that they say something before the encoder moves


def arguments(description: str | None) -> argparse.Namespace:
    """The command line of every measurement."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", default=str(records.COURSE_FILES), help="directory of the course files")
    parser.add_argument("--out", type=Path, default=records.MEASUREMENTS, help="where the JSON goes")
    return parser.parse_args()


def prepared(data: str, tasks: Mapping[str, Mapping[str, Any]], batch_size: int, **changes: Any) -> Training:
    """MiniLM with new heads on some of the study's tasks, in fp32 on one thread, before its first step."""
    torch.set_num_threads(1)
    values = {
        "data": data,
        "precision": "fp32",
        "device": "cpu",
        "tasks": tasks,
        "sampling": {"batch_size": batch_size, "epoch_of": next(iter(tasks))},
        "evaluation": {"max_eval_samples": 64},
        "average": {"method": "none"},
        **changes,
    }
    config = options.overlay(recipe("cross"), values, {})
    return begin(config, torch.device("cpu"))


def train_heads(training: Training, steps: int = HEAD_STEPS) -> None:
    """Train the heads on the pretrained encoder's vectors."""
    encoder, whole = training.model.network.encoder, training.learner
    encoder.requires_grad_(False)
    training.learner = setup.learner(
        training.config, training.model.network, whole.objective, training.generators.surgery
    )
    train(training, steps)
    encoder.requires_grad_()
    training.learner = whole


def train(training: Training, steps: int) -> None:
    """Take some steps at a constant rate."""
    for _ in range(steps):
        step(training.learner, batches(training))


def batches(training: Training) -> list[Batch]:
    """The next batch of each task."""
    return training.batches(training.sampler.next())


def perturbable(
    network: Multitask, batch: Batch, dropout: Dropout = NO_DROPOUT
) -> tuple[Callable[[Tensor], Tensor], Inputs, Tensor]:
    """The outputs of a batch as a function of an offset, its packing, and zeros of the offset's shape [N, H].

    Every call draws the same dropout masks.
    """
    inputs = network.inputs([batch])
    table, state = network.encoder.words, dropout.state()

    def f(offset: Tensor) -> Tensor:
        with dropout.replayed(state):
            return network([batch], inputs, dropout, offset=offset.to(table.dtype))[0]

    return f, inputs, table.new_zeros(len(inputs.example), table.shape[1])


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of two tensors of any scale."""
    a, b = a.double().flatten(), b.double().flatten()
    return float(a @ b / a.norm() / b.norm())


def mean(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure."""
    return {name: sum(one[name] for one in figures) / len(figures) for name in figures[0]}


def write(path: Path, script: str, settings: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Keep what was measured, to four digits."""
    versions = records.versions(("bertram", "torch", "smart-pytorch"))
    record = {"script": script, "settings": dict(settings), "versions": versions, "results": _rounded(results)}
    records.write(path, record)
    print(json.dumps(record["results"], indent=1))


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
