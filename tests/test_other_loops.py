"""The guide's classes in two processes of DistributedDataParallel give the gradients of one process."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.child_processes import answers_of_ranks
from tests.test_docs import blocks_of, run_block
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from bertram import surgery

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "other-loops.md"


def guide() -> dict[str, Any]:
    """The names of the guide's toy model and of its `SmartLoss`."""
    names: dict[str, Any] = {"__name__": "__main__"}
    torch.manual_seed(0)
    toy, smart_loss = blocks_of(GUIDE, "python")[:2]
    run_block(toy, names)
    run_block(smart_loss, names)
    return names


def smart_gradients(smart_loss: Any, model: Any, batch: Any) -> None:
    torch.manual_seed(5)  # of the random start
    logits, penalty = smart_loss(model, batch)
    (torch.nn.functional.cross_entropy(logits, batch["labels"]) + 100 * penalty).backward()


def train_smart(rank: int, count: int) -> float:
    names = guide()
    alone = names["new_model"]().eval()
    model, batches = copy.deepcopy(alone), [names["new_batch"]() for _ in range(count)]
    parallel = DistributedDataParallel(model, broadcast_buffers=False)
    smart_loss = names["SmartLoss"](model)
    smart_gradients(smart_loss, parallel, batches[rank])
    for batch in batches:
        smart_gradients(smart_loss, alone, batch)
    return largest_difference(model.parameters(), [p.grad / count for p in alone.parameters()])


def largest_difference(parameters: Iterator[torch.nn.Parameter], expected: list[Tensor]) -> float:
    largest = 0.0
    for parameter, gradient in zip(parameters, expected, strict=True):
        assert parameter.grad is not None
        largest = max(largest, float((parameter.grad - gradient).abs().max() / gradient.abs().max().clamp(min=1e-6)))
    return largest


class Tasks(torch.nn.Module):
    """A shared layer with a head for each of two tasks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.shared = torch.nn.Linear(8, 6)
        self.heads = torch.nn.ModuleList(torch.nn.Linear(6, 1) for _ in range(2))

    def forward(self, task: int, x: Tensor) -> Tensor:
        output: Tensor = self.heads[task](torch.tanh(self.shared(x)))
        return output


def combined(model: Any, core: Tasks, inputs: Tensor) -> list[Tensor | None]:
    """PCGrad's gradient of the shared layer from inputs [tasks, n, 8]."""
    shared, gradients = list(core.shared.parameters()), []
    for task, x in enumerate(inputs):
        model(task, x).square().mean().backward()
        gradients.append([p.grad for p in shared])
        for p in shared:
            p.grad = None
    return surgery.combine(gradients, surgery.PCGrad())


def train_surgery(rank: int, count: int, bucket_views: bool) -> float | str:
    inputs = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(2)) - torch.tensor([-2.0, 2.0])[:, None, None]
    alone, core = Tasks(), Tasks()
    parallel = DistributedDataParallel(core, find_unused_parameters=True, gradient_as_bucket_view=bucket_views)
    try:
        gradients = combined(parallel, core, inputs[:, rank::count])
    except ValueError as error:
        return str(error)
    pairs = zip(gradients, combined(alone, alone, inputs), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs if a is not None and b is not None)


@pytest.mark.slow
def test_smart_gives_the_gradients_of_one_process() -> None:
    assert max(answers_of_ranks(train_smart, 2)) < 1e-3


@pytest.mark.slow
def test_surgery_gives_the_gradients_of_one_process() -> None:
    assert max(answers_of_ranks(train_surgery, 2, False)) < 1e-6


@pytest.mark.filterwarnings("default")
def test_bucket_views_are_refused_or_right() -> None:
    for outcome in answers_of_ranks(train_surgery, 2, True):
        assert "share memory" in outcome if isinstance(outcome, str) else outcome < 1e-6
