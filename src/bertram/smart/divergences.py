"""Divergences between two outputs of a model: l_s in SMART, for classes, yes/no, ordinal classes and scores.

Each is differentiated on both sides and computed in float32 at least. With ``reduction="mean"``, the default, it is the
mean over the batch; with ``"none"`` there is one value for each example, so that the examples of several tasks can be
averaged task by task.
"""

from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

Outputs = TypeVar("Outputs", Tensor, tuple[Tensor, ...])
Reduction = Literal["mean", "none"]


def symmetric_kl(p_logits: Tensor, q_logits: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Symmetric KL divergence KL(P|Q) + KL(Q|P) between softmax distributions, the paper's l_s for classification.

    In closed form: the sum over classes of (p - q)(log p - log q).

    Args:
        p_logits: logits, [batch, classes].
        q_logits: logits of the same shape.
        reduction: ``mean`` for a scalar, ``none`` for [batch].

    Raises:
        ValueError: the shapes differ, or there is a single class, whose softmax is always 1.
    """
    p_logits, q_logits = _in_float32(p_logits, q_logits)
    if p_logits.shape[-1] < 2:
        raise ValueError("the softmax of a single logit is always 1: use bernoulli_symmetric_kl")
    log_p, log_q = F.log_softmax(p_logits, -1), F.log_softmax(q_logits, -1)
    return _reduced(((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1), reduction)


def bernoulli_symmetric_kl(p_logit: Tensor, q_logit: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Symmetric KL divergence between yes/no distributions of one logit each: (p - q)(logit p - logit q).

    Args:
        p_logit: logits, [batch] or any other shape; the mean is over all elements.
        q_logit: logits of the same shape.
        reduction: ``mean`` for a scalar, ``none`` for the shape of the logits.

    Raises:
        ValueError: the shapes differ.
    """
    p_logit, q_logit = _in_float32(p_logit, q_logit)
    return _reduced((p_logit.sigmoid() - q_logit.sigmoid()) * (p_logit - q_logit), reduction)


def coral_symmetric_kl(p_logits: Tensor, q_logits: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Sum of `bernoulli_symmetric_kl` over the thresholds of an ordinal output.

    Args:
        p_logits: logits of "above threshold k", [batch, thresholds].
        q_logits: logits of the same shape.
        reduction: ``mean`` for a scalar, ``none`` for [batch].

    Raises:
        ValueError: the shapes differ, or are not two-dimensional.
    """
    if p_logits.dim() != 2:
        raise ValueError(f"ordinal outputs are [batch, thresholds], not {list(p_logits.shape)}")
    return _reduced(bernoulli_symmetric_kl(p_logits, q_logits, "none").sum(-1), reduction)


def squared_difference(p: Tensor, q: Tensor, scale: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """Squared difference of scores in units of the label range, the paper's l_s for regression.

    Args:
        p: scores, [batch].
        q: scores of the same shape; [batch] and [batch, 1] would be broadcast to [batch, batch] and are refused.
        scale: label range, such as 5 for labels from 0 to 5.
        reduction: ``mean`` for a scalar, ``none`` for [batch].

    Raises:
        ValueError: the shapes differ.
    """
    p, q = _in_float32(p, q)
    return _reduced(((p - q) / scale).square(), reduction)


def detached(outputs: Outputs) -> Outputs:
    """The same numbers without their graph, of one tensor or of each in a tuple."""
    return outputs.detach() if isinstance(outputs, Tensor) else tuple(output.detach() for output in outputs)


def _reduced(values: Tensor, reduction: Reduction) -> Tensor:
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction {reduction!r}: mean or none")
    return values.mean() if reduction == "mean" else values


def _in_float32(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Both outputs in float32 at least."""
    if p.shape != q.shape:
        raise ValueError(f"outputs of two shapes cannot be compared: {list(p.shape)} and {list(q.shape)}")
    return p.to(torch.promote_types(p.dtype, torch.float32)), q.to(torch.promote_types(q.dtype, torch.float32))
