"""Models with random weights, and inputs for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bertram.data.tokenizer import load_tokenizer
from bertram.model.multitask import Multitask
from bertram.model.pretrained import read_encoder
from bertram.prediction.model import Model
from bertram.tasks import QUORA, SST, STS, Task

TEXTS = ["A fine film.", "no", "It was filmed in Lisbon in the autumn of last year, and nobody has seen it since then."]
PAIRS = [(TEXTS[0], TEXTS[2]), (TEXTS[1], TEXTS[1]), (TEXTS[2], TEXTS[1])]


def study_tasks(**changes: Any) -> dict[str, Task]:
    """The tasks of the study by name, with the same changes to both pair tasks."""
    return {task.name: changed_task(task, **(changes if task.pair else {})) for task in (SST, QUORA, STS)}


def changed_task(task: Task, **changes: Any) -> Task:
    """A copy of a task with other values in some fields."""
    return Task.model_validate(task.model_dump() | changes)


def random_model(
    encoder: Path, tasks: Mapping[str, Task], pooling: str = "mean", *, both_orders: bool = False, max_tokens: int = 64
) -> Model:
    """An untrained model whose outputs differ visibly between texts."""
    network = Multitask(read_encoder(encoder), tasks, pooling)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith(("heads", "encoder.layers", "encoder.pooler")) and parameter.ndim == 2:
                parameter.normal_(0.0, 0.2, generator=generator)
    return Model(network.eval(), load_tokenizer(encoder), max_tokens, both_orders=both_orders)


def inputs_for(task: Task) -> list[Any]:
    """Texts for a task of single texts, pairs for a task of pairs."""
    return list(PAIRS if task.pair else TEXTS)


CASES: dict[str, tuple[Task, dict[str, Any]]] = {
    "classes, mean": (SST, {"pooling": "mean"}),
    "classes by CORAL, pooler": (changed_task(SST, loss="coral"), {"pooling": "pooler"}),
    "yes or no, cls": (QUORA, {"pooling": "cls"}),
    "score, mlp, both orders": (changed_task(STS, head="mlp"), {"pooling": "mean", "both_orders": True}),
    "texts apart, learned cosine": (changed_task(QUORA, encoding="bi", head="cosine"), {"pooling": "mean"}),
    "texts apart, score by plain cosine": (
        changed_task(STS, encoding="bi", head="cosine", loss="cosine-mse"), {"pooling": "pooler"}
    ),
    "texts apart, distance": (changed_task(STS, encoding="bi", head="euclidean"), {"pooling": "cls"}),
    "texts together, features": (changed_task(QUORA, head="features"), {"pooling": "mean"}),
    "texts apart, features": (changed_task(STS, encoding="bi", head="features"), {"pooling": "cls"}),
}  # fmt: skip
