"""Scores by a sigmoid into the label range."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.label_spaces import ScoreRange
from bertram.model.outputs.base import ClassifierForm, DenseForm, ScoreOutput
from bertram.model.outputs.registry import register


@dataclass(frozen=True)
class BoundedScore(ScoreOutput):
    """A logit whose sigmoid is the score's share of the label range, trained with the squared error of the score."""

    space: ScoreRange

    def unit(self, raw: Tensor) -> Tensor:
        """The sigmoid."""
        return torch.sigmoid(raw)

    def unit_formula(self, raw: str) -> str:
        """The sigmoid."""
        return f"sigmoid({raw})"

    def classifier_form(self) -> ClassifierForm:
        """The logit of the share of the range, under a sigmoid as that of a single label."""
        low, high = self.space.bounds
        meaning = f"The run's score is {low:g} + {high - low:g} · the score of the pipeline, which lies on [0, 1]."
        return ClassifierForm("multi_label_classification", ("score",), [[1.0]], meaning)

    def dense_form(self) -> DenseForm:
        """A sigmoid, then from the share of the range to label units."""
        low, high = self.space.bounds
        return DenseForm(
            activation=nn.Sigmoid,
            affine=(high - low, low),
            meaning=f"A score is on the scale from {low:g} to {high:g}.",
        )


@dataclass(frozen=True)
class BoundedShare(BoundedScore):
    """The same logit, trained with binary cross-entropy on the share of the range (score/5 in the study)."""

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy."""
        low, high = self.space.bounds
        share = ((labels - low) / (high - low)).float()
        return F.binary_cross_entropy_with_logits(raw.float(), share, reduction="none")


register("score", "mse", lambda space, _: BoundedScore(space))
register("score", "binary-cross-entropy", lambda space, _: BoundedShare(space))
