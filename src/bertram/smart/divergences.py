"""How far two outputs of a model are apart: l_s in SMART, for classes, yes/no, ordinal classes and scores.

All are means over the batch, differentiated on both sides, and computed in float32 at least.
"""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bertram.errors import BertramError

Outputs = TypeVar("Outputs", Tensor, tuple[Tensor, ...])


def symmetric_kl(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """Symmetric KL divergence KL(P|Q) + KL(Q|P) between softmax distributions, the paper's l_s for classification.

    In closed form: the sum over classes of (p - q)(log p - log q).

    Args:
        p_logits: [batch, classes].
        q_logits: [batch, classes].

    Raises:
        BertramError: the shapes differ, or there is a single class, whose softmax is always 1.
    """
    p_logits, q_logits = _alike(p_logits, q_logits)
    if p_logits.shape[-1] < 2:
        raise BertramError("the softmax of a single logit is always 1: use bernoulli_symmetric_kl")
    log_p, log_q = F.log_softmax(p_logits, -1), F.log_softmax(q_logits, -1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1).mean()


def bernoulli_symmetric_kl(p_logit: Tensor, q_logit: Tensor) -> Tensor:
    """Symmetric KL divergence between yes/no distributions of one logit each: (p - q)(logit p - logit q).

    Args:
        p_logit: [batch], or any other shape: the mean is over all elements.
        q_logit: of the same shape.

    Raises:
        BertramError: the shapes differ.
    """
    p_logit, q_logit = _alike(p_logit, q_logit)
    return ((p_logit.sigmoid() - q_logit.sigmoid()) * (p_logit - q_logit)).mean()


def coral_symmetric_kl(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """Sum of `bernoulli_symmetric_kl` over the thresholds of an ordinal output, mean over the batch.

    Args:
        p_logits: [batch, thresholds], the logits of "above threshold k".
        q_logits: of the same shape.

    Raises:
        BertramError: the shapes differ, or are not two-dimensional.
    """
    if p_logits.dim() != 2:
        raise BertramError(f"ordinal outputs are [batch, thresholds], not {list(p_logits.shape)}")
    return bernoulli_symmetric_kl(p_logits, q_logits) * p_logits.shape[-1]


def squared_difference(p: Tensor, q: Tensor, scale: float = 1.0) -> Tensor:
    """Squared difference of scores in units of the label range, the paper's l_s for regression.

    Args:
        p: [batch].
        q: of the same shape; [batch] and [batch, 1] would be spread to [batch, batch] and are refused.
        scale: the label range, such as 5 for labels from 0 to 5.

    Raises:
        BertramError: the shapes differ.
    """
    p, q = _alike(p, q)
    return ((p - q) / scale).square().mean()


def detached(outputs: Outputs) -> Outputs:
    """The same numbers without their graph, of one tensor or of each in a tuple."""
    return outputs.detach() if isinstance(outputs, Tensor) else tuple(output.detach() for output in outputs)


def _alike(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    if p.shape != q.shape:
        raise BertramError(f"outputs of two shapes cannot be compared: {list(p.shape)} and {list(q.shape)}")
    return p.to(torch.promote_types(p.dtype, torch.float32)), q.to(torch.promote_types(q.dtype, torch.float32))
