"""What each task minimizes, what its raw outputs mean, and how far two outputs are apart.

Raw outputs are those of `bertram.model.heads`; labels are class indices, 0 or 1, or scores in label units.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bertram import smart
from bertram.tasks import Loss, Task

Divergence = Callable[[Tensor, Tensor], Tensor]


def example_losses(task: Task, raw: Tensor, labels: Tensor) -> Tensor:
    """The loss of each example.

    Args:
        task: which loss.
        raw: [n, K], [n, K-1] or [n].
        labels: [n].

    Returns:
        [n]; its mean is the task's loss L_i.
    """
    return _LOSSES[task.trained_by](task, raw.float(), labels)


def probabilities(task: Task, raw: Tensor) -> Tensor:
    """The probability of each class, [n, K]; for yes or no [n, 2]."""
    raw = raw.float()
    if task.kind == "binary":
        yes = yes_probability(task, raw)
        return torch.stack([1 - yes, yes], dim=1)
    if task.trained_by == "coral":
        above = torch.sigmoid(raw)  # P(y > k), falling in k since the weight is shared and the biases are ordered
        above = torch.cummin(above, dim=1).values
        ends = above.new_ones(len(above), 1), above.new_zeros(len(above), 1)
        return torch.cat([ends[0], above], dim=1) - torch.cat([above, ends[1]], dim=1)
    return torch.softmax(raw, dim=1)


def yes_probability(task: Task, raw: Tensor) -> Tensor:
    """The probability of yes, [n].

    A cosine trained by the cosine-embedding loss is pulled to 1 for yes and below the margin for no: the boundary
    lies midway, and the cosine's place between -1 and 1 around it is the only probability there is.
    """
    if task.trained_by == "cosine-embedding":
        return (0.5 + (raw - (1 + task.margin) / 2) / 2).clamp(0, 1)
    return torch.sigmoid(raw)


def scores(task: Task, raw: Tensor) -> Tensor:
    """The score of each example, [n], in label units."""
    low, high = task.range
    return low + (high - low) * _unit(task, raw.float())


def divergence(task: Task) -> Divergence:
    """The ℓ_s of SMART and R-Drop for a task: how far apart two raw outputs are, mean over the batch."""
    if task.kind == "score":
        return lambda p, q: smart.squared_difference(_unit(task, p), _unit(task, q))
    if task.kind == "class":
        return smart.coral_symmetric_kl if task.trained_by == "coral" else smart.symmetric_kl
    if task.trained_by == "cosine-embedding":
        return lambda p, q: smart.squared_difference(p / 2, q / 2)
    return smart.bernoulli_symmetric_kl


def _unit(task: Task, raw: Tensor) -> Tensor:
    """A score on [0, 1]: in units of the label range."""
    if task.trained_by in ("cosine-mse", "cosine-embedding"):
        return (raw + 1) / 2
    return torch.sigmoid(raw)


def _share(task: Task, labels: Tensor) -> Tensor:
    """Labels on [0, 1]: yes or no as they are, scores as their share of the range (score/5 in the study)."""
    if task.kind == "binary":
        return labels.float()
    low, high = task.range
    return ((labels - low) / (high - low)).float()


def _cross_entropy(_: Task, raw: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(raw, labels.long(), reduction="none")


def _coral(_: Task, raw: Tensor, labels: Tensor) -> Tensor:
    """Cao et al. (2020), eq. 4: cross-entropy of each [y > k]."""
    levels = (labels[:, None] > torch.arange(raw.shape[1], device=raw.device)).float()
    return F.binary_cross_entropy_with_logits(raw, levels, reduction="none").sum(1)


def _binary_cross_entropy(task: Task, raw: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(raw, _share(task, labels), reduction="none")


def _squared_error(task: Task, raw: Tensor, labels: Tensor) -> Tensor:
    """In label units: of range·sigmoid(logit), or of the cosine mapped from [-1, 1] to the label range."""
    return (scores(task, raw) - labels).square().float()


def _cosine_embedding(task: Task, raw: Tensor, labels: Tensor) -> Tensor:
    """1 - cos for alike, max(0, cos - margin) for not; a score from the middle of the range on counts as alike."""
    middle = sum(task.range) / 2 if task.kind == "score" else 0.5
    alike = labels >= middle
    return torch.where(alike, 1 - raw, (raw - task.margin).clamp(min=0))


_LOSSES: dict[Loss, Callable[[Task, Tensor, Tensor], Tensor]] = {
    "cross-entropy": _cross_entropy,
    "coral": _coral,
    "binary-cross-entropy": _binary_cross_entropy,
    "mse": _squared_error,
    "cosine-mse": _squared_error,
    "cosine-embedding": _cosine_embedding,
}
