"""The loss of gold labels and of teachers' outputs: teacher annealing (Clark et al., 2019, BAM, arXiv 1907.04829).

L = λ · ℓ(gold) + (1 − λ) · ℓ(teacher), where λ rises linearly over the training. An example without a gold label has
ℓ(teacher) alone. The teachers' outputs lie beside the examples (`bertram.training.teachers`).
"""

from typing import Protocol

import torch
from torch import Tensor

from bertram.config import Config, DistillConfig
from bertram.data.examples import Batch
from bertram.model.outputs.base import Output


class Teacher(Protocol):
    """The loss of a batch's examples, from gold labels and teachers' outputs."""

    def begin_step(self, progress: float) -> None:
        """Take the weights of a step.

        Args:
            progress: share of the steps of the run that lie behind it, 0 in the first step and 1 in the last.
        """

    def losses(self, output: Output, raw: Tensor, batch: Batch) -> Tensor:
        """The loss of each example, [n], from the raw outputs."""
        ...


class NoTeacher:
    """Gold labels alone."""

    def begin_step(self, progress: float) -> None:
        """Nothing changes over the training."""

    def losses(self, output: Output, raw: Tensor, batch: Batch) -> Tensor:
        """ℓ(gold), [n]."""
        assert batch.labels is not None
        return output.training_losses(raw, batch.labels.to(raw.device))


class AnnealedTeacher(NoTeacher):
    """Teacher annealing.

    Args:
        config: settings of the distillation.

    Attributes:
        gold_weight: λ of the step.
    """

    def __init__(self, config: DistillConfig) -> None:
        self.config = config
        self.gold_weight = config.gold_weight[0]

    def begin_step(self, progress: float) -> None:
        """Move λ along its line."""
        first, last = self.config.gold_weight
        self.gold_weight = first + (last - first) * progress

    def losses(self, output: Output, raw: Tensor, batch: Batch) -> Tensor:
        """λ · ℓ(gold) + (1 − λ) · ℓ(teacher), [n]; ℓ(teacher) where there is no gold label."""
        assert batch.teaching is not None
        targets = batch.teaching.targets.to(raw.device)
        taught = output.soft_losses_at(raw, targets, self.config.temperature)
        mixed = self.gold_weight * super().losses(output, raw, batch) + (1 - self.gold_weight) * taught
        return torch.where(batch.teaching.labelled.to(raw.device), mixed, taught)


def teacher_of(config: Config) -> Teacher:
    """The teacher that a configuration asks for."""
    return AnnealedTeacher(config.distill) if config.distill.teachers else NoTeacher()
