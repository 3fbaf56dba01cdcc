"""Trainings in separate processes: killed at a chosen moment, or several that train together as `torchrun` has them."""

import multiprocessing
import os
import queue
import random
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bertram.config import Config
from bertram.smart import adversarial
from bertram.training import processes
from bertram.training.train import train

FILE_OPERATIONS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate")
PORTS = range(20_000, 32_000)  # below the ports that the system hands out by itself

# Children are forked from a small process that has imported everything already: cheap, and really killed.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["bertram.training.train", "torch._dynamo"])  # which the first optimizer loads


def run_in_child(work: Callable[..., None], *arguments: Any) -> int:
    """Run a function in a child process; returns its exit code, the negative number of the signal that killed it."""
    process = FORKSERVER.Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def train_until_killed(config: Config, out: Path, operation: int) -> None:
    """Resume or begin a training that dies by SIGKILL at its `operation`-th file operation."""
    kill_at(out, operation)
    train(config, out, resume=True)


def kill_at(below: Path, operation: int) -> None:
    """Kill this process just before its `operation`-th file operation below a directory."""
    left = operation

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in FILE_OPERATIONS or (event == "open" and str(arguments[0]).startswith(str(below))):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def train_together(config: Config, out: Path, count: int, *, fixed_noise: bool = False) -> list[int | None]:
    """Begin or resume a training of `count` processes; returns their exit codes."""
    ranks = start_training_together(config, out, count, fixed_noise=fixed_noise)
    for rank in ranks:
        rank.join()
    return [rank.exitcode for rank in ranks]


def start_training_together(
    config: Config, out: Path, count: int, *, fixed_noise: bool = False
) -> list[ForkServerProcess]:
    """Start `count` processes that train together."""
    return start_ranks(train_as_rank, count, config, out, fixed_noise)


def start_ranks(work: Callable[..., None], count: int, *arguments: Any) -> list[ForkServerProcess]:
    """Start `count` processes that call `work(rank, count, port, *arguments)` and meet at a port of this machine."""
    port = free_port()
    ranks = [FORKSERVER.Process(target=work, args=(rank, count, port, *arguments)) for rank in range(count)]
    for rank in ranks:
        rank.start()
    return ranks


def answers_of_ranks(work: Callable[..., Any], count: int, *arguments: Any) -> list[Any]:
    """What `work(rank, count, *arguments)` returns in each of `count` processes that have joined, by rank.

    Raises:
        RuntimeError: a process died before it answered; its traceback is on the standard error stream.
    """
    answers, end = FORKSERVER.Queue(), FORKSERVER.Event()
    ranks = start_ranks(answer_as_rank, count, answers, end, work, arguments)
    by_rank: dict[int, Any] = {}
    try:
        while len(by_rank) < count:
            try:
                rank, answer = answers.get(timeout=1)
            except queue.Empty:
                if dead := [code for code in (process.exitcode for process in ranks) if code is not None]:
                    raise RuntimeError(f"a process ended with exit code {dead[0]} before all had answered") from None
            else:
                by_rank[rank] = answer
        end.set()
        for process in ranks:
            process.join()
    finally:
        for process in ranks:
            process.kill()
    return [by_rank[rank] for rank in range(count)]


def answer_as_rank(
    rank: int, count: int, port: int, answers: Any, end: Any, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """Join the other processes, send what `work` returns, and stay until all have answered.

    A process that leaves earlier closes its connections, and resets those that still hold what the other has not read.
    """
    set_rank_environment(rank, count, port)
    processes.start("cpu")
    answers.put((rank, work(rank, count, *arguments)))
    end.wait()
    processes.finish()


def free_port() -> int:
    """A port that nobody listens on, from a block of its own for each process of the test run."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    block = PORTS[worker % 12 * 1000 :][:1000]
    while True:
        port = random.choice(block)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def set_rank_environment(rank: int, count: int, port: int) -> None:
    """Set the environment variables that `torchrun` sets."""
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in variables.items()}


def train_as_rank(rank: int, count: int, port: int, config: Config, out: Path, fixed_noise: bool) -> None:
    """Train as one of the processes that train together."""
    set_rank_environment(rank, count, port)
    if fixed_noise:
        fix_noise()
    train(config, out, resume=True)


def fix_noise(patch: Callable[[object, str, object], None] = setattr) -> None:
    """Make SMART's random start the same for every token, so that it does not depend on the packing of tokens."""

    def start(like: Tensor, noise_std: float, *_: object) -> Tensor:
        pattern = torch.randn(like.shape[-1], generator=torch.Generator().manual_seed(0))
        return noise_std * pattern.expand(like.shape)

    patch(adversarial, "_random_start", start)
