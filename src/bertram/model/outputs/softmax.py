"""Classes by a softmax, trained with cross-entropy."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram import smart
from bertram.label_spaces import Classes
from bertram.model.outputs.base import DEFAULTS, SMALLEST, ClassifierForm, DenseForm, Output, Settings, identity_rows
from bertram.model.outputs.registry import register
from bertram.smart.divergences import Reduction


@dataclass(frozen=True)
class Softmax(Output):
    """One logit for each class."""

    space: Classes
    settings: Settings = DEFAULTS

    @property
    def width(self) -> int:
        """Number of classes."""
        return len(self.space.labels)

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy."""
        return F.cross_entropy(raw.float(), labels.long(), reduction="none")

    def soft_losses(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy with the target probabilities [n, K]."""
        return F.cross_entropy(raw.float(), targets.float(), reduction="none")

    @property
    def even(self) -> float:
        """Equal probability of each class."""
        return 1 / self.width

    def certain(self, labels: Tensor) -> Tensor:
        """One-hot probabilities, [n, K]."""
        return F.one_hot(labels.long(), self.width).float()

    def soft_losses_at(self, raw: Tensor, targets: Tensor, temperature: float) -> Tensor:
        """T² times the cross-entropy with p^(1/T), normalized, of the logits divided by T."""
        logits = targets.float().clamp_min(SMALLEST).log()
        return temperature**2 * self.soft_losses(raw / temperature, torch.softmax(logits / temperature, dim=1))

    def meaning(self, raw: Tensor) -> Tensor:
        """The probability of each class, [n, K]."""
        return torch.softmax(self.cooled(raw), dim=1)

    def logits(self, meaning: Tensor) -> Tensor:
        """The logarithms."""
        return meaning.log()

    def decide(self, meaning: Tensor) -> Tensor:
        """The likeliest class."""
        return meaning.argmax(1)

    def divergence(self, p: Tensor, q: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Symmetric KL divergence of the class probabilities."""
        return smart.symmetric_kl(p, q, reduction)

    def formula(self, raw: str) -> str:
        """The probabilities of the classes."""
        return f"P = softmax({self.cooled_formula(raw)})"

    def classifier_form(self) -> ClassifierForm:
        """The logits of a softmax."""
        meaning = "Each label has its probability."
        return ClassifierForm("single_label_classification", self.space.names, identity_rows(self.width), meaning)

    def dense_form(self) -> DenseForm:
        """The logits."""
        return DenseForm(
            prediction=nn.Identity,
            meaning="Probabilities come with `model.predict(pairs, apply_softmax=True)`.",
        )


register("class", "cross-entropy", lambda space, task: Softmax(space, Settings.of(task)))
