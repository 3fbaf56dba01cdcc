"""Divergences between two outputs of a model: l_s in SMART, for classes, yes/no, ordinal classes and scores.

Each is differentiated on both sides and computed in float32 at least. With ``reduction="mean"``, the default, it is the
mean over the batch; with ``"none"`` there is one value for each example, so that the examples of several tasks can be
averaged task by task. With a `mask` the values outside of it count as 0 and have no part in the mean: give the mask of
the real tokens where a model has an output for each token. The classes are the last axis.
"""

from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

Outputs = TypeVar("Outputs", Tensor, tuple[Tensor, ...])
Reduction = Literal["mean", "none"]


def symmetric_kl(
    p_logits: Tensor, q_logits: Tensor, reduction: Reduction = "mean", mask: Tensor | None = None
) -> Tensor:
    """Symmetric KL divergence KL(P|Q) + KL(Q|P) between softmax distributions, the paper's l_s for classification.

    In closed form: the sum over classes of (p - q)(log p - log q). A class that both exclude by a logit of -inf counts
    as 0.

    Args:
        p_logits: logits, [batch, classes] or [batch, tokens, classes].
        q_logits: logits of the same shape.
        reduction: ``mean`` for a scalar, ``none`` for the shape without classes.
        mask: values that count, in the shape without classes; default: all.

    Raises:
        ValueError: the shapes differ, or there is a single class, whose softmax is always 1.
    """
    p_logits, q_logits = _in_float32(p_logits, q_logits)
    if p_logits.shape[-1] < 2:
        raise ValueError("the softmax of a single logit is always 1: use bernoulli_symmetric_kl")
    log_p, log_q = F.log_softmax(p_logits, -1), F.log_softmax(q_logits, -1)
    return _reduced(((log_p.exp() - log_q.exp()) * difference(log_p, log_q)).sum(-1), reduction, mask)


def bernoulli_symmetric_kl(
    p_logit: Tensor, q_logit: Tensor, reduction: Reduction = "mean", mask: Tensor | None = None
) -> Tensor:
    """Symmetric KL divergence between yes/no distributions of one logit each: (p - q)(logit p - logit q).

    Args:
        p_logit: logits, [batch] or any other shape; the mean is over all elements.
        q_logit: logits of the same shape.
        reduction: ``mean`` for a scalar, ``none`` for the shape of the logits.
        mask: values that count, in the shape of the logits; default: all.

    Raises:
        ValueError: the shapes differ.
    """
    p_logit, q_logit = _in_float32(p_logit, q_logit)
    return _reduced((p_logit.sigmoid() - q_logit.sigmoid()) * difference(p_logit, q_logit), reduction, mask)


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


def squared_difference(
    p: Tensor, q: Tensor, scale: float = 1.0, reduction: Reduction = "mean", mask: Tensor | None = None
) -> Tensor:
    """Squared difference of scores in units of the label range, the paper's l_s for regression.

    Args:
        p: scores, [batch].
        q: scores of the same shape; [batch] and [batch, 1] would be broadcast to [batch, batch] and are refused.
        scale: label range, such as 5 for labels from 0 to 5.
        reduction: ``mean`` for a scalar, ``none`` for [batch].
        mask: values that count, in the shape of the scores; default: all.

    Raises:
        ValueError: the shapes differ.
    """
    p, q = _in_float32(p, q)
    return _reduced(((p - q) / scale).square(), reduction, mask)


def detached(outputs: Outputs) -> Outputs:
    """Detached outputs: one tensor, or each tensor of a tuple."""
    return outputs.detach() if isinstance(outputs, Tensor) else tuple(output.detach() for output in outputs)


def difference(p: Tensor, q: Tensor) -> Tensor:
    """Difference p - q, and 0 where both are the same infinity: 0 log 0 = 0."""
    return (p - q).masked_fill(p.isinf() & (p == q), 0.0)


def _reduced(values: Tensor, reduction: Reduction, mask: Tensor | None = None) -> Tensor:
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction {reduction!r}: choose mean or none")
    if mask is not None:
        if mask.shape != values.shape:
            raise ValueError(f"the mask is {list(mask.shape)}, the values are {list(values.shape)}")
        values = values.masked_fill(~mask.bool(), 0.0)
        return values.sum() / mask.sum().clamp(min=1) if reduction == "mean" else values
    return values.mean() if reduction == "mean" else values


def _in_float32(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Both outputs in float32 at least."""
    if p.shape != q.shape:
        raise ValueError(f"outputs of two shapes cannot be compared: {list(p.shape)} and {list(q.shape)}")
    return p.to(torch.promote_types(p.dtype, torch.float32)), q.to(torch.promote_types(q.dtype, torch.float32))
