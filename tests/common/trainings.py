"""Trainings of the tiny encoder on a part of the sample: here, or in processes of their own that may be killed."""

import gzip
import hashlib
import json
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bertram import options
from bertram.config import Config
from bertram.runs.directory import read_metrics
from bertram.smart import adversarial
from bertram.tasks import QUORA, SST, STS
from bertram.training.state import Training, begin
from bertram.training.step import Learner, StepReport, step
from bertram.training.train import train

NO_DROPOUT = {"head_dropout": 0.0, "encoder_dropout": 0.0}
FILE_OPERATIONS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate")

# Children are forked from a small process that has imported everything already: cheap, and really killed.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["bertram.training.train", "torch._dynamo"])  # which the first optimizer loads


def settings(encoder: Path, **changes: Any) -> Config:
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


def begun(config: Config) -> Training:
    """A training before its first step."""
    torch.manual_seed(config.seed)
    return begin(config, torch.device("cpu"))


def take_steps(training: Training, count: int) -> list[StepReport]:
    """So many steps, as the loop takes them."""
    reports = []
    for _ in range(count):
        reports.append(step(training.learner, training.batches(training.sampler.next())))
        training.learner.objective.after_update()
    return reports


def weights(training: Training) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: value.clone() for name, value in training.model.network.state_dict().items()}


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Whether two sets of weights are bit-identical."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Recorder:
    """Stands in for the optimizer and keeps the gradients it is given, by name."""

    def __init__(self, learner: Learner) -> None:
        self.named = dict(learner.network.named_parameters())
        scalars = learner.objective.log_variances
        self.named |= {} if scalars is None else {f"log_variances.{name}": p for name, p in scalars.items()}
        self.gradients: dict[str, Tensor | None] = {}
        self.param_groups: list[Any] = []

    def step(self) -> None:
        """Keep the gradients."""
        self.gradients = {n: None if p.grad is None else p.grad.to_dense().clone() for n, p in self.named.items()}

    def zero_grad(self, set_to_none: bool) -> None:  # noqa: ARG002
        """Forget the parameters' own."""
        for parameter in self.named.values():
            parameter.grad = None


def step_gradients(training: Training, size: int | None = None) -> tuple[dict[str, Tensor | None], StepReport]:
    """The gradients of a step on the first examples of each task, as they would reach the optimizer."""
    recorder = Recorder(training.learner)
    training.learner.optimizer = recorder  # type: ignore[assignment]
    pools = training.sampler.pools
    batches = training.batches({name: torch.arange(size or pools[name].batch_size).numpy() for name in pools})
    report = step(training.learner, batches)
    return recorder.gradients, report


def outcome(run: Path) -> dict[str, Any]:
    """What two runs of one configuration must have in common, to the bit."""
    record = json.loads((run / "record.json").read_text())
    predictions = sorted((run / "predictions" / "dev").iterdir())
    return {
        "weights": hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest(),
        "predictions": {path.name: gzip.decompress(path.read_bytes()) for path in predictions},
        "metrics": (run / "metrics.jsonl").read_bytes().splitlines(),
        **{key: record[key] for key in ("scores", "steps", "examples_seen", "confusion")},
    }


def logged(run: Path, kind: str) -> list[dict[str, Any]]:
    """The lines of a run's metrics that have a field."""
    return [line for line in read_metrics(run / "metrics.jsonl") if kind in line]


def in_child(work: Callable[..., None], *arguments: Any) -> int:
    """Do some work in a process of its own; gives its exit code, negative for the signal that killed it."""
    process = PROCESSES.Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def train_until_killed(config: Config, out: Path, operation: int) -> None:
    """Train on, but die by SIGKILL at the `operation`-th file operation, as a process does that is killed there."""
    kill_at(out, operation)
    train(config, out, resume=True)


def kill_at(below: Path, operation: int) -> None:
    """Have this process killed as it is about to do its `operation`-th file operation."""
    left = operation

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in FILE_OPERATIONS or (event == "open" and str(arguments[0]).startswith(str(below))):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def train_together(config: Config, out: Path, count: int, *, fixed_noise: bool = False) -> list[int | None]:
    """Train by so many processes, as `torchrun` starts them, or go on with it; gives their exit codes."""
    ranks = together(config, out, count, fixed_noise=fixed_noise)
    for rank in ranks:
        rank.join()
    return [rank.exitcode for rank in ranks]


def together(config: Config, out: Path, count: int, *, fixed_noise: bool = False) -> list[Any]:
    """The processes that train together, started."""
    return start_together(train_as, count, config, out, fixed_noise)


def start_together(work: Callable[..., None], count: int, *arguments: Any) -> list[Any]:
    """Start so many processes that find each other by a port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [PROCESSES.Process(target=work, args=(rank, count, port, *arguments)) for rank in range(count)]
    for rank in ranks:
        rank.start()
    return ranks


def be_one_of(rank: int, count: int, port: int) -> None:
    """Set what `torchrun` sets."""
    here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in here.items()}


def train_as(rank: int, count: int, port: int, config: Config, out: Path, fixed_noise: bool) -> None:
    """Train as one of several processes."""
    be_one_of(rank, count, port)
    if fixed_noise:
        fix_noise()
    train(config, out, resume=True)


def fix_noise(patch: Callable[[object, str, object], None] = setattr) -> None:
    """Let SMART's random start be the same for every token, so that it does not depend on how tokens are packed."""

    def start(like: Tensor, noise_std: float, *_: object) -> Tensor:
        pattern = torch.randn(like.shape[-1], generator=torch.Generator().manual_seed(0))
        return noise_std * pattern.expand(like.shape)

    patch(adversarial, "_random_start", start)
