"""From pooled vectors to a task's raw outputs: class logits, one logit, CORAL logits, or a similarity.

Pairs that are encoded text by text are compared by one similarity with a learned scale and offset, as in the
study, or by their features u, v, |u - v|, u·v (Reimers & Gurevych, 2019).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.model.dropout import Dropout
from bertram.tasks import SIMILARITIES, Head, Task

COSINE_SCALE = 10.0  # where the learned scale of a cosine starts


def outputs_of(task: Task) -> int:
    """How many raw outputs a task has for an example."""
    if task.kind != "class":
        return 1
    return task.classes - 1 if task.trained_by == "coral" else task.classes


class TaskHead(nn.Module):
    """The head of one task.

    Args:
        task: what it predicts and how.
        hidden: width H of the pooled vectors.
    """

    def __init__(self, task: Task, hidden: int) -> None:
        super().__init__()
        self.task = task
        self.compare: nn.Module
        if task.head in SIMILARITIES:
            self.compare = Similarity(task.head, plain=task.plain_similarity)
            return
        width = 4 * hidden if task.head == "features" else hidden
        self.inner = nn.Linear(hidden, hidden) if task.head == "mlp" else None
        self.compare = _Coral(width, task.classes) if task.trained_by == "coral" else nn.Linear(width, outputs_of(task))

    def forward(self, pooled: Tensor, dropout: Dropout) -> Tensor:
        """Raw outputs.

        Args:
            pooled: [n, H], or [2n, H] for pairs encoded text by text, first texts first.
            dropout: drawn before the head, as in the study.

        Returns:
            [n, K] class logits, [n, K-1] CORAL logits, or [n]: one logit, or the plain similarity.
        """
        if isinstance(self.compare, Similarity):
            u, v = pooled.chunk(2)
            result: Tensor = self.compare(*_dropped_alike(u, v, dropout))
            return result
        pooled = dropout.before_head(pooled)
        if self.task.head == "features":
            u, v = pooled.chunk(2)
            pooled = torch.cat([u, v, (u - v).abs(), u * v], dim=1)
        if self.inner is not None:
            pooled = dropout.before_head(F.gelu(self.inner(pooled)))
        raw: Tensor = self.compare(pooled)
        return raw if self.task.kind == "class" else raw.squeeze(1)

    def initialize(self, generator: torch.Generator) -> None:
        """Start as BERT's own heads do: small random weights, no bias."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                with torch.no_grad():
                    module.weight.normal_(0.0, 0.02, generator=generator)
                    if module.bias is not None:
                        module.bias.zero_()

    @torch.no_grad()
    def fit_start(self, labels: Tensor, similarities: Tensor | None = None) -> None:
        """Put what is a scalar where training starts well; small rates would hardly move it there.

        CORAL's biases start at the logits of the label frequencies. The boundary of a similarity between yes and no
        starts at the median similarity of the training pairs, that of a score at the middle of its range.

        Args:
            labels: [n] of the training examples.
            similarities: [n] plain similarities of training pairs.
        """
        if isinstance(self.compare, _Coral):
            above = torch.stack([(labels > k).double().mean() for k in range(self.task.classes - 1)])
            self.compare.bias.copy_(torch.logit(above, eps=1e-3))
        if isinstance(self.compare, Similarity) and similarities is not None:
            self.compare.fit_start(similarities)


def _dropped_alike(u: Tensor, v: Tensor, dropout: Dropout) -> tuple[Tensor, Tensor]:
    """Both vectors of a pair with the same coordinates dropped, each scaled by the root of the mask's factor.

    With a mask for each, a cosine would shrink by 1 - rate in training and spring back in evaluation, over any boundary
    that was learned: nearly every pair would count as alike. So cosine, dot product and squared distance keep their
    expectation.
    """
    mask = dropout.head_mask(u)
    if mask is None:
        return u, v
    root = mask.sqrt()
    return u * root, v * root


class Similarity(nn.Module):
    """One similarity of two vectors, with a learned scale and offset unless it is `plain`."""

    def __init__(self, kind: Head, *, plain: bool) -> None:
        super().__init__()
        self.kind, self.plain = kind, plain
        if not plain:
            self.scale = nn.Parameter(torch.tensor(COSINE_SCALE if kind == "cosine" else 1.0))
            self.offset = nn.Parameter(torch.tensor(0.0))

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """[n, H] and [n, H] to [n]."""
        plain = self.similarity(u, v)
        return plain if self.plain else self.scale * plain + self.offset

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """The similarity itself; distances are negated, and divided by √H or H so that width does not matter."""
        if self.kind == "cosine":
            return F.cosine_similarity(u, v)
        if self.kind == "dot":
            return (u * v).sum(1) / math.sqrt(u.shape[1])
        if self.kind == "euclidean":
            return -((u - v).square().sum(1) + 1e-12).sqrt() / math.sqrt(u.shape[1])
        return -(u - v).abs().mean(1)

    @torch.no_grad()
    def fit_start(self, similarities: Tensor) -> None:
        """Set the boundary to the median, and the scale to a spread of one logit for other measures than cosine."""
        if self.plain:
            return
        if self.kind != "cosine":
            self.scale.fill_(1.0 / max(float(similarities.std()), 1e-6))
        self.offset.copy_(-self.scale * similarities.median())


class _Coral(nn.Module):
    """CORAL (Cao et al., 2020): one weight for all thresholds, a bias for each; logits of [y > k]."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.shared = nn.Linear(width, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(classes - 1))

    def forward(self, x: Tensor) -> Tensor:
        """[n, width] to [n, K-1]."""
        return self.shared(x) + self.bias  # type: ignore[no-any-return]
