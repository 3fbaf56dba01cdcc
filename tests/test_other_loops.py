"""The guide's classes in two processes of DistributedDataParallel give the gradients of one process."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.child_processes import answers_of_ranks
from tests.test_docs import Block, blocks_of, run_block
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from bertram import surgery

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "other-loops.md"


def guide() -> dict[str, Any]:
    """The names of the guide's toy model and of its `SmartLoss` and `WithSmart`."""
    names: dict[str, Any] = {"__name__": "__main__"}
    torch.manual_seed(0)
    blocks = blocks_of(GUIDE, "python")
    for block in [*blocks[:2], block_with("class WithSmart")]:
        run_block(block, names)
    return names


def block_with(text: str) -> Block:
    """The guide's only block that holds a text."""
    (block,) = [block for block in blocks_of(GUIDE, "python") if text in block.code]
    return block


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


def train_with_smart(rank: int, count: int) -> float:
    """The same with all passes in one forward, under the default settings of DistributedDataParallel."""
    names = guide()
    alone = names["WithSmart"](names["new_model"]().eval(), weight=100.0)
    core, batches = copy.deepcopy(alone), [names["new_batch"]() for _ in range(count)]
    parallel = DistributedDataParallel(core)
    for model, shown in ((parallel, [batches[rank]]), (alone, batches)):
        for batch in shown:
            torch.manual_seed(5)  # of the random start
            model(batch).backward()
    return largest_difference(core.parameters(), [p.grad / count for p in alone.parameters()])


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
    assert max(answers_of_ranks(train_with_smart, 2)) < 1e-3


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_trainer_of_the_guide_averages_over_accumulated_batches(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    names = guide()
    names["SMALL"].update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    run_block(block_with("class SmartTrainer"), names)
    model = names["new_model"]()
    names["smart_loss"] = names["SmartLoss"](model, weight=0.0)

    def first_loss(batch_size: int, accumulated: int) -> float:
        arguments = transformers.TrainingArguments(
            tmp_path, max_steps=1, per_device_train_batch_size=batch_size, gradient_accumulation_steps=accumulated,
            learning_rate=0.0, logging_steps=1, use_cpu=True, report_to=[],
        )  # fmt: skip
        trainer = names["SmartTrainer"](model, arguments, train_dataset=names["examples"][:8])
        return float(trainer.train().training_loss)

    assert first_loss(2, 4) == pytest.approx(first_loss(8, 1), rel=1e-4)


@pytest.mark.slow
def test_surgery_gives_the_gradients_of_one_process() -> None:
    assert max(answers_of_ranks(train_surgery, 2, False)) < 1e-6


@pytest.mark.filterwarnings("default")
def test_bucket_views_are_refused_or_right() -> None:
    for outcome in answers_of_ranks(train_surgery, 2, True):
        assert "share memory" in outcome if isinstance(outcome, str) else outcome < 1e-6
