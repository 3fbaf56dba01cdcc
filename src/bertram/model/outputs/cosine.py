"""A cosine as the raw output itself, without a scale or an offset."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bertram import smart
from bertram.label_spaces import ScoreRange, YesNo
from bertram.model.outputs.base import DEFAULTS, ScoreOutput, Settings, YesNoOutput
from bertram.model.outputs.registry import register
from bertram.smart.divergences import Reduction


@dataclass(frozen=True)
class CosineScore(ScoreOutput):
    """A cosine that is mapped from [-1, 1] to the label range, trained with the squared error of the score."""

    space: ScoreRange

    def unit(self, raw: Tensor) -> Tensor:
        """(cos + 1) / 2."""
        return (raw + 1) / 2

    def unit_formula(self, raw: str) -> str:
        """(cos + 1) / 2."""
        return f"({raw} + 1) / 2"


@dataclass(frozen=True)
class CosineEmbeddingScore(CosineScore):
    """The same cosine, trained with the cosine-embedding loss.

    Attributes:
        space: range of the scores.
        margin: cosine below which texts that are not alike cost nothing.
    """

    margin: float = 0.0

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """The embedding loss; a score from the middle of the range on counts as alike."""
        alike = labels >= sum(self.space.bounds) / 2
        return embedding_losses(raw.float(), alike, self.margin)


@dataclass(frozen=True)
class CosineEmbeddingYesNo(YesNoOutput):
    """A cosine that is pulled to 1 for yes and below the margin for no.

    Attributes:
        space: no and yes.
        margin: cosine below which a no costs nothing.
    """

    space: YesNo
    margin: float = 0.0
    settings: Settings = DEFAULTS

    @property
    def boundary(self) -> float:
        """The cosine midway between the margin and 1."""
        return (1 + self.margin) / 2

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """The embedding loss."""
        return embedding_losses(raw.float(), labels >= 0.5, self.margin)

    def soft_losses(self, raw: Tensor, targets: Tensor) -> Tensor:
        """The expected embedding loss under a probability of yes."""
        yes, no = (embedding_losses(raw.float(), torch.full_like(targets, alike, dtype=torch.bool), self.margin)
                   for alike in (True, False))  # fmt: skip
        return targets * yes + (1 - targets) * no

    def yes(self, raw: Tensor) -> Tensor:
        """The cosine's place between -1 and 1 around the boundary: the only probability that there is."""
        return (0.5 + (raw - self.boundary) / 2).clamp(0, 1)

    def divergence(self, p: Tensor, q: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Squared difference of the cosines in units of their range."""
        return smart.squared_difference(p / 2, q / 2, reduction=reduction)

    def formula(self, raw: str) -> str:
        """The cosine above which yes is predicted: the boundary, or what has the probability of the threshold."""
        threshold = self.settings.thresholds[0] if self.settings.thresholds else 0.5
        return f"“{self.space.names[1]}” where {raw} > {self.boundary + 2 * threshold - 1:g}"


def embedding_losses(cosines: Tensor, alike: Tensor, margin: float) -> Tensor:
    """1 - cos for alike, max(0, cos - margin) for not, [n]; PyTorch's `CosineEmbeddingLoss`."""
    return torch.where(alike, 1 - cosines, (cosines - margin).clamp(min=0))


register("score", "cosine-mse", lambda space, _: CosineScore(space))
register("score", "cosine-embedding", lambda space, task: CosineEmbeddingScore(space, task.margin))
register("binary", "cosine-embedding", lambda space, task: CosineEmbeddingYesNo(space, task.margin, Settings.of(task)))
