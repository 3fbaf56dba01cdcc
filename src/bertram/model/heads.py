"""From pooled vectors to a task's raw outputs: a linear layer, a hidden layer before it, or a comparison of two texts.

Pairs that are encoded text by text are compared by one similarity with a learned scale and offset, as in the
study, or by their features u, v, |u - v|, u·v (Reimers & Gurevych, 2019).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.model.dropout import Dropout
from bertram.model.outputs import Output, output_of
from bertram.task_kinds import Head
from bertram.tasks import Task

COSINE_SCALE = 10.0  # learned scale of a cosine at the start


@dataclass(frozen=True)
class Measure:
    """A similarity of two vectors.

    Distances are negated, and divided by √H or H so that width does not matter.

    Attributes:
        name: name in the configuration.
        compute: [n, H] and [n, H] to [n].
        formula: formula for a reader.
        start: learned scale at the start; None for a spread of one logit over the training pairs.
    """

    name: Head
    compute: Callable[[Tensor, Tensor], Tensor]
    formula: str
    start: float | None = None


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).sum(1) / math.sqrt(u.shape[1])


def _euclidean(u: Tensor, v: Tensor) -> Tensor:
    return -((u - v).square().sum(1) + 1e-12).sqrt() / math.sqrt(u.shape[1])


def _manhattan(u: Tensor, v: Tensor) -> Tensor:
    return -(u - v).abs().mean(1)


COSINE = Measure("cosine", F.cosine_similarity, "cos(u, v)", COSINE_SCALE)
DOT = Measure("dot", _dot, "u·v / √H")
EUCLIDEAN = Measure("euclidean", _euclidean, "−‖u − v‖ / √H")
MANHATTAN = Measure("manhattan", _manhattan, "−mean |u − v|")


class Similarity(nn.Module):
    """One similarity of two vectors, with a learned scale and offset unless it is `plain`."""

    def __init__(self, measure: Measure, *, plain: bool) -> None:
        super().__init__()
        self.measure, self.plain = measure, plain
        if not plain:
            self.scale = nn.Parameter(torch.tensor(measure.start or 1.0))
            self.offset = nn.Parameter(torch.tensor(0.0))

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """[n, H] and [n, H] to [n]."""
        plain = self.similarity(u, v)
        return plain if self.plain else self.scale * plain + self.offset

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """The similarity itself, [n]."""
        return self.measure.compute(u, v)

    @torch.no_grad()
    def fit_start(self, similarities: Tensor) -> None:
        """Set the boundary to the median, and the scale to a spread of one logit where the measure has no start."""
        if self.plain:
            return
        if self.measure.start is None:
            self.scale.fill_(1.0 / max(float(similarities.std()), 1e-6))
        self.offset.copy_(-self.scale * similarities.median())


class TaskHead(nn.Module, ABC):
    """The head of one task.

    Attributes:
        output: kind of output.
        compare: last layer, or the similarity.
    """

    compare: nn.Module

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.output = output

    @abstractmethod
    def forward(self, pooled: Tensor, dropout: Dropout) -> Tensor:
        """Raw outputs.

        Args:
            pooled: [n, H], or [2n, H] for heads that compare two texts, first texts first.
            dropout: drawn before the head, as in the study.

        Returns:
            [n, K] class logits, [n, K-1] CORAL logits, or [n]: one logit, or the plain similarity.
        """

    def initialize(self, generator: torch.Generator) -> None:
        """Start as BERT's own heads do: small random weights, no bias."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                with torch.no_grad():
                    module.weight.normal_(0.0, 0.02, generator=generator)
                    if module.bias is not None:
                        module.bias.zero_()

    def fit_start(self, labels: Tensor, similarities: Tensor | None = None) -> None:  # noqa: ARG002
        """Put what is a scalar where training starts well; small rates would hardly move it there.

        CORAL's biases start at the logits of the label frequencies. The boundary of a similarity between yes and no
        starts at the median similarity of the training pairs, that of a score at the middle of its range.

        Args:
            labels: [n] of the training examples.
            similarities: [n] plain similarities of training pairs.
        """
        self.output.start(self.compare, labels)

    def _raw(self, x: Tensor) -> Tensor:
        """The last layer, [n, inputs] to [n, width] or [n]."""
        raw: Tensor = self.compare(x)
        return raw.squeeze(1) if self.output.flat else raw


class LinearHead(TaskHead):
    """One linear layer."""

    def __init__(self, output: Output, hidden: int) -> None:
        super().__init__(output)
        self.compare = output.layer(hidden)

    def forward(self, pooled: Tensor, dropout: Dropout) -> Tensor:
        """[n, H] to raw outputs."""
        return self._raw(dropout.before_head(pooled))


class MLPHead(TaskHead):
    """A hidden layer with GELU, then a linear layer."""

    def __init__(self, output: Output, hidden: int) -> None:
        super().__init__(output)
        self.inner = nn.Linear(hidden, hidden)
        self.compare = output.layer(hidden)

    def forward(self, pooled: Tensor, dropout: Dropout) -> Tensor:
        """[n, H] to raw outputs."""
        pooled = dropout.before_head(pooled)
        return self._raw(dropout.before_head(F.gelu(self.inner(pooled))))


class ComparingHead(TaskHead):
    """A head that takes a vector of each of two texts."""

    @abstractmethod
    def compared(self, u: Tensor, v: Tensor) -> Tensor:
        """Raw outputs of pairs of vectors, [n, H] and [n, H], without dropout."""


class FeaturesHead(ComparingHead):
    """A linear layer on u, v, |u - v|, u·v."""

    def __init__(self, output: Output, hidden: int) -> None:
        super().__init__(output)
        self.compare = output.layer(4 * hidden)

    def forward(self, pooled: Tensor, dropout: Dropout) -> Tensor:
        """[2n, H] to raw outputs."""
        u, v = dropout.before_head(pooled).chunk(2)
        return self.compared(u, v)

    def compared(self, u: Tensor, v: Tensor) -> Tensor:
        """[n, H] and [n, H] to raw outputs."""
        return self._raw(torch.cat([u, v, (u - v).abs(), u * v], dim=1))


class SimilarityHead(ComparingHead):
    """One similarity."""

    compare: Similarity

    def __init__(self, output: Output, measure: Measure, *, plain: bool) -> None:
        super().__init__(output)
        self.compare = Similarity(measure, plain=plain)

    def forward(self, pooled: Tensor, dropout: Dropout) -> Tensor:
        """[2n, H] to [n]."""
        u, v = pooled.chunk(2)
        return self.compared(*_dropped_alike(u, v, dropout))

    def compared(self, u: Tensor, v: Tensor) -> Tensor:
        """[n, H] and [n, H] to [n]."""
        similarity: Tensor = self.compare(u, v)
        return similarity

    def fit_start(self, labels: Tensor, similarities: Tensor | None = None) -> None:  # noqa: ARG002
        """Put the boundary at the median similarity."""
        if similarities is not None:
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


MEASURES: dict[Head, Measure] = {measure.name: measure for measure in (COSINE, DOT, EUCLIDEAN, MANHATTAN)}
LAYERS: dict[Head, Callable[[Output, int], TaskHead]] = {
    "linear": LinearHead,
    "mlp": MLPHead,
    "features": FeaturesHead,
}


def head_of(task: Task, hidden: int) -> TaskHead:
    """The head of a task, not yet initialized.

    Args:
        task: definition of the task.
        hidden: width H of the pooled vectors.
    """
    output = output_of(task)
    if task.head in MEASURES:
        return SimilarityHead(output, MEASURES[task.head], plain=task.plain_similarity)
    return LAYERS[task.head](output, hidden)
