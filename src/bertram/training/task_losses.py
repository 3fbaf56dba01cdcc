"""The loss of each task's batch: alone, or with R-Drop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from bertram.data.examples import Batch
from bertram.model.dropout import Dropout
from bertram.model.encoders.word_rows import WordRows
from bertram.model.multitask import Multitask
from bertram.training.distillation import Teacher


@dataclass(frozen=True)
class TaskLoss:
    """The loss of one task's batch.

    Attributes:
        batch: task and examples.
        loss: mean loss L_i of the examples.
        penalty: penalty of the regularizers; None without any.
        figures: figures of the regularizers for the log.
    """

    batch: Batch
    loss: Tensor
    penalty: Tensor | None = None
    figures: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """Loss and penalty."""
        return self.loss if self.penalty is None else self.loss + self.penalty


class TaskObjective(Protocol):
    """One way to compute the losses of tasks."""

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of some tasks' batches, in their order."""
        ...


class TaskLossOnly:
    """L_i alone."""

    def __init__(self, network: Multitask, dropout: Dropout, teacher: Teacher) -> None:
        self.network, self.dropout, self.teacher = network, dropout, teacher

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of some tasks' batches, from one packed pass."""
        outputs = self.network(batches, dropout=self.dropout, words=words)
        return [
            TaskLoss(batch, mean_loss(self.network, self.teacher, batch, raw))
            for batch, raw in zip(batches, outputs, strict=True)
        ]


class RDrop:
    """R-Drop (Liang et al., 2021): two passes that differ in dropout, ½(ℓ₁ + ℓ₂) + (α/4)·symKL(p₁, p₂).

    Half the paper's sum, with the same α, so that the loss has its usual size.
    """

    def __init__(self, network: Multitask, dropout: Dropout, teacher: Teacher, alpha: float) -> None:
        self.network, self.dropout, self.teacher, self.alpha = network, dropout, teacher, alpha

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of some tasks' batches; both passes are packed together."""
        outputs = self.network([*batches, *batches], dropout=self.dropout, words=words)
        return [
            self._loss(batch, first, second)
            for batch, first, second in zip(batches, outputs[: len(batches)], outputs[len(batches) :], strict=True)
        ]

    def _loss(self, batch: Batch, first: Tensor, second: Tensor) -> TaskLoss:
        losses = [mean_loss(self.network, self.teacher, batch, raw) for raw in (first, second)]
        loss = (losses[0] + losses[1]) / 2
        divergence = self.network.output(batch.task).divergence(first, second)
        return TaskLoss(batch, loss, self.alpha / 4 * divergence, {"rdrop/divergence": divergence.detach()})


def mean_loss(network: Multitask, teacher: Teacher, batch: Batch, raw: Tensor) -> Tensor:
    """L_i, the mean loss of a batch."""
    return teacher.losses(network.output(batch.task), raw, batch).mean()
