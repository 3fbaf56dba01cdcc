"""Ordered classes by CORAL (Cao et al., 2020)."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram import smart
from bertram.label_spaces import Classes
from bertram.model.outputs.base import DEFAULTS, SMALLEST, Output, Settings
from bertram.model.outputs.registry import register
from bertram.smart.divergences import Reduction


class Coral(nn.Module):
    """A last layer with one weight for all thresholds and a bias for each; logits of [y > k]."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.shared = nn.Linear(inputs, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(classes - 1))

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs] to [n, K-1]."""
        return self.shared(x) + self.bias  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Ordinal(Output):
    """One logit for each threshold between two neighbouring classes: [y > k], k = 0 .. K-2."""

    space: Classes
    settings: Settings = DEFAULTS

    @property
    def width(self) -> int:
        """Number of thresholds, K-1."""
        return len(self.space.labels) - 1

    @property
    def ordered(self) -> bool:
        """True."""
        return True

    def layer(self, inputs: int) -> Coral:
        """Layer with one weight vector and K-1 biases."""
        return Coral(inputs, len(self.space.labels))

    @torch.no_grad()
    def start(self, layer: nn.Module, labels: Tensor) -> None:
        """Move the biases to the logits of the label frequencies."""
        assert isinstance(layer, Coral)
        above = torch.stack([(labels > k).double().mean() for k in range(self.width)])
        layer.bias.copy_(torch.logit(above, eps=1e-3))

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Cao et al. (2020), eq. 4: cross-entropy of each [y > k]."""
        levels = (labels[:, None] > torch.arange(raw.shape[1], device=raw.device)).float()
        return F.binary_cross_entropy_with_logits(raw.float(), levels, reduction="none").sum(1)

    def soft_losses(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each [y > k] with the threshold probabilities of the class probabilities [n, K]."""
        levels = _above(targets.float()).clamp(0, 1)  # the sum of all classes may be 1 + 1e-7
        return F.binary_cross_entropy_with_logits(raw.float(), levels, reduction="none").sum(1)

    @property
    def even(self) -> float:
        """Equal probability of each class."""
        return 1 / len(self.space.labels)

    def certain(self, labels: Tensor) -> Tensor:
        """One-hot probabilities, [n, K]."""
        return F.one_hot(labels.long(), len(self.space.labels)).float()

    def soft_losses_at(self, raw: Tensor, targets: Tensor, temperature: float) -> Tensor:
        """T² times the cross-entropy of each [y > k], the logits of its two probabilities divided by T."""
        levels = torch.sigmoid(torch.logit(_above(targets.float()), eps=SMALLEST) / temperature)
        losses = F.binary_cross_entropy_with_logits(raw.float() / temperature, levels, reduction="none")
        return temperature**2 * losses.sum(1)

    def meaning(self, raw: Tensor) -> Tensor:
        """The probability of each class, [n, K]: differences of P(y > k)."""
        above = torch.sigmoid(
            self.cooled(raw)
        )  # P(y > k), falling in k since the weight is shared and the biases ordered
        above = torch.cummin(above, dim=1).values
        ends = above.new_ones(len(above), 1), above.new_zeros(len(above), 1)
        return torch.cat([ends[0], above], dim=1) - torch.cat([above, ends[1]], dim=1)

    def graph(self, raw: Tensor) -> Tensor:
        """Probabilities step by step, because ONNX has no cumulative minimum."""
        above = list(accumulate(torch.sigmoid(self.cooled(raw)).unbind(1), torch.minimum))  # P(y > k)
        ends = [torch.ones_like(above[0]), *above, torch.zeros_like(above[0])]
        return torch.stack([before - after for before, after in pairwise(ends)], dim=1)

    def logits(self, meaning: Tensor) -> Tensor:
        """The logits of P(y > k)."""
        return torch.logit(_above(meaning), eps=1e-7)

    def decide(self, meaning: Tensor) -> Tensor:
        """The rank: the number of thresholds that are likely exceeded."""
        return (_above(meaning) > 0.5).sum(1)

    def divergence(self, p: Tensor, q: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Sum over the thresholds of the symmetric KL divergence."""
        return smart.coral_symmetric_kl(p, q, reduction)

    def formula(self, raw: str) -> str:
        """The probabilities of the thresholds."""
        return f"P(y > k) = sigmoid({self.cooled_formula(raw)})"


def _above(probabilities: Tensor) -> Tensor:
    """P(y > k), [n, K-1], from the probabilities of the classes, [n, K]."""
    return 1 - probabilities.cumsum(1)[:, :-1]


register("class", "coral", lambda space, task: Ordinal(space, Settings.of(task)))
