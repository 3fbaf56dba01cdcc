"""Gradient surgery: from the gradients of several tasks to one gradient, on any PyTorch model.

The update of every rule here is a weighted sum of the task gradients, and its weights depend on nothing but the
tasks' T x T Gramian G = J J^T, where row t of J is task t's gradient. So the long vectors are touched by T(T+1)/2 dot
products and one weighted sum, and a rule is a callable that turns a Gramian into weights.

Give the shared parameters only: a head keeps the gradient of its own task. In a loop of one's own, take the gradient of
each task right after its own forward pass, so that one graph is alive at a time; BERTram's trainer gets them from one
packed pass (`bertram.model.task_rows`). The order with everything else is: accumulate per task, average over processes,
surgery, clip, optimizer step.

In a training loop of one's own, and in place of an optimizer wrapper:

    >>> import torch
    >>> from bertram import surgery
    >>> encoder, heads = torch.nn.Linear(8, 4), [torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)]
    >>> shared = list(encoder.parameters())
    >>> optimizer = torch.optim.AdamW([*shared, *(p for head in heads for p in head.parameters())])
    >>> weighting = surgery.PCGrad(torch.Generator().manual_seed(0))
    >>> for step in range(3):
    ...     task_gradients = []
    ...     for head in heads:
    ...         inputs, targets = torch.randn(16, 8), torch.randn(16, 1)  # this task's batch
    ...         loss = torch.nn.functional.mse_loss(head(encoder(inputs)), targets)
    ...         loss.backward()  # the head's gradient stays where it is
    ...         task_gradients.append([p.grad for p in shared])
    ...         for p in shared:
    ...             p.grad = None
    ...     for p, gradient in zip(shared, surgery.combine(task_gradients, weighting, inplace=True)):
    ...         p.grad = gradient
    ...     optimizer.step()
    ...     optimizer.zero_grad()
"""

import importlib
from typing import TYPE_CHECKING, Any

from bertram.surgery.names import methods

if TYPE_CHECKING:
    from bertram.surgery.combination import (
        combine,
        conflict_rate,
        cosines,
        gramian,
        magnitude_ratio,
        norms,
        weighted_sum,
    )
    from bertram.surgery.rules import (
        AsymmetricProjection,
        ConFIG,
        GradVac,
        PCGrad,
        StatefulWeighting,
        Sum,
        Weighting,
        pcgrad_weights,
    )
    from bertram.surgery.torchjd_rules import NashMTL, from_torchjd, weighting

__all__ = [
    "AsymmetricProjection",
    "ConFIG",
    "GradVac",
    "NashMTL",
    "PCGrad",
    "StatefulWeighting",
    "Sum",
    "Weighting",
    "combine",
    "conflict_rate",
    "cosines",
    "from_torchjd",
    "gramian",
    "magnitude_ratio",
    "methods",
    "norms",
    "pcgrad_weights",
    "weighted_sum",
    "weighting",
]

_MODULES = {  # PyTorch is imported only when a name that needs it is used, so that `methods` is cheap
    "bertram.surgery.combination": (
        "combine",
        "conflict_rate",
        "cosines",
        "gramian",
        "magnitude_ratio",
        "norms",
        "weighted_sum",
    ),
    "bertram.surgery.rules": (
        "AsymmetricProjection",
        "ConFIG",
        "GradVac",
        "PCGrad",
        "StatefulWeighting",
        "Sum",
        "Weighting",
        "pcgrad_weights",
    ),
    "bertram.surgery.torchjd_rules": ("NashMTL", "from_torchjd", "weighting"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
