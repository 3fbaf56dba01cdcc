"""Trainings of the tiny encoder on a part of the sample."""

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bertram import options
from bertram.config import Config
from bertram.runs.directory import read_metrics
from bertram.tasks import QUORA, SST, STS
from bertram.training.setup import begin
from bertram.training.state import Training
from bertram.training.step import StepContext, StepReport, step

NO_DROPOUT = {"dropout": 0.0, "encoder_dropout": 0.0}


def tiny_config(encoder: Path, **changes: Any) -> Config:
    """24 training and 16 dev examples of each task of the study, in joint batches of 8: 3 steps an epoch."""
    base = options.make(
        {
            "tasks": {task.name: task.model_copy(update={"max_train_samples": 24}) for task in (SST, QUORA, STS)},
            "data": "sample",
            "encoder": str(encoder),
            "precision": "fp32",
            "threads": 1,
            "model": {"pooling": "mean", "head_dropout": 0.1},
            "optimizer": {"lr": 1e-3, "head_lr": 1e-2, "max_grad_norm": 1.0},
            "sampling": {"order": "joint", "batch_size": 8, "epochs": 2},
            "evaluation": {"max_eval_samples": 16},
            "log": {"logging_steps": 1, "diagnostics_steps": 1000},
        }
    )
    return options.change(base, **changes)


def begin_training(config: Config) -> Training:
    """A training before its first step."""
    torch.manual_seed(config.seed)
    return begin(config, torch.device("cpu"))


def take_steps(training: Training, count: int) -> list[StepReport]:
    """Take steps as the training loop does; returns their reports."""
    reports = []
    for _ in range(count):
        reports.append(step(training.context, training.batches(training.sampler.next())))
        training.context.objective.after_update()
    return reports


def copy_weights(training: Training) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: value.clone() for name, value in training.model.network.state_dict().items()}


def equal_weights(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Whether two sets of weights are bit-identical."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class GradientRecorder:
    """A stand-in for the optimizer that keeps the gradients by parameter name."""

    def __init__(self, context: StepContext) -> None:
        self.named = dict(context.network.named_parameters())
        scalars = context.objective.log_variances
        self.named |= {} if scalars is None else {f"log_variances.{name}": p for name, p in scalars.items()}
        self.gradients: dict[str, Tensor | None] = {}
        self.param_groups: list[Any] = []

    def step(self) -> None:
        """Keep the gradients."""
        self.gradients = {n: None if p.grad is None else p.grad.to_dense().clone() for n, p in self.named.items()}

    def zero_grad(self, set_to_none: bool) -> None:  # noqa: ARG002
        """Clear the gradients of the parameters."""
        for parameter in self.named.values():
            parameter.grad = None


def step_gradients(training: Training, size: int | None = None) -> tuple[dict[str, Tensor | None], StepReport]:
    """The gradients of a step on the first examples of each task, as they would reach the optimizer."""
    recorder = GradientRecorder(training.context)
    training.context.optimizer = recorder  # type: ignore[assignment]
    pools = training.sampler.pools
    batches = training.batches({name: torch.arange(size or pools[name].batch_size).numpy() for name in pools})
    report = step(training.context, batches)
    return recorder.gradients, report


def fingerprint(run: Path) -> dict[str, Any]:
    """The contents of a run that are bit-identical in every run of the same configuration."""
    record = json.loads((run / "record.json").read_text())
    predictions = sorted((run / "predictions" / "dev").iterdir())
    return {
        "weights": hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest(),
        "predictions": {path.name: gzip.decompress(path.read_bytes()) for path in predictions},
        "metrics": (run / "metrics.jsonl").read_bytes().splitlines(),
        **{key: record[key] for key in ("scores", "steps", "examples_seen", "confusion")},
    }


def logged_lines(run: Path, field: str) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl` that have a field."""
    return [line for line in read_metrics(run / "metrics.jsonl") if field in line]
