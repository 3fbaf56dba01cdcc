"""Any number of labels at once, by one logit for each label, trained with binary cross-entropy."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bertram import smart
from bertram.label_sets import LabelSets
from bertram.model.outputs.base import DEFAULTS, SMALLEST, ClassifierForm, Output, Settings, identity_rows
from bertram.model.outputs.registry import register
from bertram.smart.divergences import Reduction


@dataclass(frozen=True)
class MultiLabel(Output):
    """One logit for each label; loss and divergence are means over the labels, so that their number does not matter."""

    space: LabelSets
    settings: Settings = DEFAULTS

    @property
    def width(self) -> int:
        """Number of labels."""
        return len(self.space.labels)

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean over the labels of the binary cross-entropy."""
        return self.soft_losses(raw, self.certain(labels))

    def soft_losses(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Mean binary cross-entropy with a probability of each label, [n, K]."""
        return F.binary_cross_entropy_with_logits(raw.float(), targets.float(), reduction="none").mean(1)

    def soft_losses_at(self, raw: Tensor, targets: Tensor, temperature: float) -> Tensor:
        """T² times the cross-entropy with the sigmoid of each target's logit divided by T."""
        logits = torch.logit(targets.float(), eps=SMALLEST)
        return temperature**2 * self.soft_losses(raw / temperature, torch.sigmoid(logits / temperature))

    def training_losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean binary cross-entropy with smoothed labels, and weights of the labels that are present."""
        smoothing, weights, present = self.settings.label_smoothing, self.settings.class_weights, self.certain(labels)
        targets = (1 - smoothing) * present + smoothing / 2 if smoothing else present
        losses = F.binary_cross_entropy_with_logits(raw.float(), targets, reduction="none")
        if weights:
            losses = losses * torch.where(present == 1, torch.tensor(weights, device=raw.device), 1.0)
        return losses.mean(1)

    def certain(self, labels: Tensor) -> Tensor:
        """1 for the labels that each value has, else 0, [n, K]."""
        places = torch.arange(self.width, device=labels.device)
        return ((labels.long()[:, None] >> places) & 1).float()

    def meaning(self, raw: Tensor) -> Tensor:
        """The probability of each label, [n, K]."""
        return torch.sigmoid(self.cooled(raw))

    def decide(self, meaning: Tensor) -> Tensor:
        """The set of the labels with a probability above their thresholds."""
        thresholds = torch.tensor(self.settings.thresholds or (0.5,), dtype=meaning.dtype, device=meaning.device)
        return ((meaning > thresholds).long() << torch.arange(self.width, device=meaning.device)).sum(1)

    def divergence(self, p: Tensor, q: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Mean over the labels of the symmetric KL divergence of their probabilities."""
        each = smart.bernoulli_symmetric_kl(p, q, "none").mean(1)
        return each.mean() if reduction == "mean" else each

    def classifier_form(self) -> ClassifierForm:
        """The logits of the labels."""
        thresholds = self.settings.thresholds
        above = f"the thresholds {', '.join(f'{threshold:.3g}' for threshold in thresholds)}" if thresholds else "0.5"
        meaning = f"Each label has a probability of its own; the run predicts the labels above {above}."
        return ClassifierForm("multi_label_classification", self.space.names, identity_rows(self.width), meaning)

    def formula(self, raw: str) -> str:
        """The probability of each label."""
        return f"P(label) = sigmoid({self.cooled_formula(raw)})"


register("multi-label", "binary-cross-entropy", lambda space, task: MultiLabel(space, Settings.of(task)))
