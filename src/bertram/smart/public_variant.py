"""The computation of the PyPI package smart-pytorch (0.0.4), for comparisons with published runs.

It differs from the paper in three ways. The raw gradient is added to the offset, unnormalized, and instead of a
projection the offset is divided by its own infinity norm per token: its size is always about 1, and since the
divergence has no gradient at zero offset, its direction stays nearly that of the random start. The two halves of the
last divergence detach their targets, which gives another gradient than the symmetric KL's. And they are summed over the
batch: the penalty's weight grows with the batch size.
"""

import torch.nn.functional as F
from torch import Tensor

from bertram.smart.divergences import Outputs

EPSILON = 1e-6  # against division by zero


def step(offset: Tensor, gradient: Tensor, step_size: float) -> Tensor:
    """Move an offset [..., hidden] along the raw gradient and scale each token's to infinity norm 1."""
    offset = offset + step_size * gradient
    return offset / (offset.abs().amax(-1, keepdim=True) + EPSILON)


def inner_divergence(perturbed: Outputs, clean: Outputs) -> Tensor:
    """KL(clean | perturbed) of logits [batch, classes], mean over the batch: what the offset climbs."""
    log_p, log_q = _log_probabilities(perturbed, clean)
    return (log_q.exp() * (log_q - log_p)).sum() / len(log_p)


def outer_divergence(perturbed: Outputs, clean: Outputs) -> Tensor:
    """Both KL divergences of logits [batch, classes], each with its target detached, summed over the batch."""
    log_p, log_q = _log_probabilities(perturbed, clean)
    p, q = log_p.detach(), log_q.detach()
    return (q.exp() * (q - log_p) + p.exp() * (p - log_q)).sum()


def _log_probabilities(perturbed: Outputs, clean: Outputs) -> tuple[Tensor, Tensor]:
    if isinstance(perturbed, Tensor) and isinstance(clean, Tensor) and clean.shape[-1] > 1:
        return F.log_softmax(perturbed, -1), F.log_softmax(clean, -1)
    raise ValueError("the variant smart-pytorch is for the outputs of one task with two or more classes: use paper")
