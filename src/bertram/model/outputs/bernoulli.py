"""Yes or no by one logit, trained with binary cross-entropy."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram import smart
from bertram.label_spaces import YesNo
from bertram.model.outputs.base import DEFAULTS, SMALLEST, ClassifierForm, DenseForm, Settings, YesNoOutput
from bertram.model.outputs.registry import register
from bertram.smart.divergences import Reduction


@dataclass(frozen=True)
class Bernoulli(YesNoOutput):
    """The logit of yes."""

    space: YesNo
    settings: Settings = DEFAULTS

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy."""
        return self.soft_losses(raw, labels)

    def soft_losses(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy with a probability of yes."""
        return F.binary_cross_entropy_with_logits(raw.float(), targets.float(), reduction="none")

    def soft_losses_at(self, raw: Tensor, targets: Tensor, temperature: float) -> Tensor:
        """T² times the cross-entropy with the sigmoid of the target's logit divided by T."""
        logits = torch.logit(targets.float(), eps=SMALLEST)
        return temperature**2 * self.soft_losses(raw / temperature, torch.sigmoid(logits / temperature))

    def yes(self, raw: Tensor) -> Tensor:
        """The sigmoid."""
        return torch.sigmoid(self.cooled(raw))

    def logits(self, meaning: Tensor) -> Tensor:
        """The logit of the probability of yes."""
        return torch.logit(meaning[:, 1])

    def divergence(self, p: Tensor, q: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Symmetric KL divergence of the probabilities of yes."""
        return smart.bernoulli_symmetric_kl(p, q, reduction)

    def formula(self, raw: str) -> str:
        """The probability of yes."""
        return f"P(“{self.space.names[1]}”) = sigmoid({self.cooled_formula(raw)}){self.decision}"

    def classifier_form(self) -> ClassifierForm:
        """The logits 0 and z, whose softmax is the sigmoid of z."""
        meaning = f"The score of “{self.space.names[1]}” is its probability{self.decision}."
        return ClassifierForm("single_label_classification", self.space.names, [[0.0], [1.0]], meaning)

    def dense_form(self) -> DenseForm:
        """The logit, under a sigmoid."""
        meaning = f"A score is the probability of “{self.space.names[1]}”{self.decision}."
        return DenseForm(prediction=nn.Sigmoid, meaning=meaning)


register("binary", "binary-cross-entropy", lambda space, task: Bernoulli(space, Settings.of(task)))
