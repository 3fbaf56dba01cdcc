"""The losses of tasks with SMART's penalty and the Bregman proximal point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bertram import smart
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.encoders.word_rows import WordRows
from bertram.model.multitask import Inputs, Multitask
from bertram.training.distillation import Teacher
from bertram.training.task_losses import TaskLoss, mean_loss

Outputs = tuple[Tensor, ...]  # raw outputs of each batch


@dataclass(frozen=True)
class Penalty:
    """A penalty of one batch and the figures that describe it.

    Attributes:
        value: penalty, a scalar with its graph.
        figures: figures for the log, without a graph.
    """

    value: Tensor
    figures: dict[str, Tensor]


class Smart:
    """SMART (Jiang et al., 2020): the adversarial penalty, and the Bregman proximal point if it is asked for.

    Args:
        network: encoder and heads.
        dropout: dropout of the clean and the perturbed pass.
        teacher: source of the soft targets, in distillation.
        settings: settings of the penalty, in absolute units.
        same_masks: True if the perturbed passes draw the dropout masks of the clean one.
        generator: generator of the random starts.
        proximal: Bregman proximal point; None without it.
    """

    def __init__(
        self,
        network: Multitask,
        dropout: Dropout,
        teacher: Teacher,
        settings: smart.Settings,
        *,
        same_masks: bool,
        generator: torch.Generator,
        proximal: smart.BregmanProximal | None,
    ) -> None:
        self.network, self.dropout, self.teacher, self.settings = network, dropout, teacher, settings
        self.same_masks, self.generator, self.proximal = same_masks, generator, proximal

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of some tasks' batches: clean pass, ascent, perturbed pass, each of them packed."""
        state = self.dropout.state()
        inputs = self.network.inputs(batches)
        clean = tuple(self.network(batches, inputs, self.dropout, words=words))
        earlier = self._earlier_outputs(batches, inputs)

        def perturbed(offset: Tensor) -> Outputs:
            if not self.same_masks:
                return tuple(self.network(batches, inputs, self.dropout, words=words, offset=offset))
            with self.dropout.replayed(state):
                return tuple(self.network(batches, inputs, self.dropout, words=words, offset=offset))

        penalties = self._penalties(batches, inputs, clean, perturbed)
        return [
            self._loss(batch, raw, penalties[number], None if earlier is None else earlier[number])
            for number, (batch, raw) in enumerate(zip(batches, clean, strict=True))
        ]

    def _penalties(
        self, batches: Sequence[Batch], inputs: Inputs, clean: Outputs, perturbed: Callable[[Tensor], Outputs]
    ) -> list[Penalty | None]:
        """λ_s R_s of each batch: λ_s times the mean of its examples' divergences.

        An example's offset moves the outputs of its own task only, and its gradient is normalized by itself, so the
        tasks do not disturb each other.
        """
        outputs = [self.network.output(batch.task) for batch in batches]

        def divergences(p: Outputs, q: Outputs) -> Tensor:
            """[examples], counted over all batches."""
            return torch.cat([out.divergence(a, b, "none") for out, a, b in zip(outputs, p, q, strict=True)])

        values, perturbation = smart.example_penalties(
            perturbed,
            clean,
            divergences,
            self._embeddings_like(inputs),
            self.settings,
            example=inputs.example,
            mask=inputs.movable,
            generator=self.generator,
        )
        if perturbation is None:
            return [None] * len(batches)
        sizes = [len(batch) for batch in batches]
        figures = _figures(perturbation, sizes)
        return [Penalty(part.mean(), figures) for part in torch.split(values, sizes)]

    def _embeddings_like(self, inputs: Inputs) -> Tensor:
        """A tensor of the shape and type of the word embeddings, [N, H]."""
        encoder = self.network.encoder
        table = encoder.word_embeddings
        return table.new_empty(len(inputs.example), table.shape[1])

    def _loss(self, batch: Batch, raw: Tensor, penalty: Penalty | None, earlier: Tensor | None) -> TaskLoss:
        value, figures = None, {}
        if penalty is not None:
            value, figures = penalty.value, {**penalty.figures, "smart/penalty": penalty.value.detach()}
        if self.proximal is not None and earlier is not None:
            distance = self.proximal.loss(self.network.output(batch.task).divergence, raw, earlier)
            value = distance if value is None else value + distance
            figures = {**figures, "bregman/penalty": distance.detach()}
        return TaskLoss(batch, mean_loss(self.network, self.teacher, batch, raw), value, figures)

    def _earlier_outputs(self, batches: Sequence[Batch], inputs: Inputs) -> Outputs | None:
        if self.proximal is None:
            return None
        with torch.no_grad():
            return tuple(self.proximal.teacher(batches, inputs))


class SmartPytorch(Smart):
    """The penalty of the package smart-pytorch, which knows one task of classes and sums over the batch."""

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of some tasks' batches, one after the other."""
        return [loss for batch in batches for loss in super(SmartPytorch, self).__call__([batch], words)]

    def _penalties(
        self, batches: Sequence[Batch], inputs: Inputs, clean: Outputs, perturbed: Callable[[Tensor], Outputs]
    ) -> list[Penalty | None]:
        """The package's penalty of the one batch."""
        (batch,) = batches
        value, perturbation = smart.penalty(
            lambda offset: perturbed(offset)[0],
            clean[0],
            self.network.output(batch.task).divergence,
            self._embeddings_like(inputs),
            self.settings,
            generator=self.generator,
        )
        if perturbation is None:
            return [None]
        # Every part of a batch counts by its share, and the parts' sums must add up to the sum of the whole batch.
        return [Penalty(value / batch.share, _figures(perturbation, [len(batch)]))]


SMART_VARIANTS: dict[str, type[Smart]] = {"paper": Smart, "smart-pytorch": SmartPytorch}


def smart_settings(config: Config) -> smart.Settings:
    """The settings of the penalty as `bertram.smart` takes them."""
    s = config.smart
    return smart.Settings(s.weight, s.radius, s.noise_std, s.step_size, s.ascent_steps, s.unit, s.variant)


def bregman_proximal(network: Multitask, config: Config, total_steps: int) -> smart.BregmanProximal | None:
    """The Bregman proximal point that a configuration names; None without it."""
    s = config.smart
    if s.bregman == "off":
        return None
    return smart.BregmanProximal(
        network,
        s.bregman,
        mu=s.bregman_weight,
        betas=s.bregman_beta,
        total_steps=total_steps,
        every=s.bregman_update_steps,
    )


def smart_objective(
    network: Multitask,
    config: Config,
    dropout: Dropout,
    teacher: Teacher,
    noise: torch.Generator,
    proximal: smart.BregmanProximal | None,
) -> Smart:
    """The task objective of the tasks that SMART applies to; arguments as `bertram.training.objective.Objective`'s."""
    return SMART_VARIANTS[config.smart.variant](
        network,
        NO_DROPOUT if config.smart.dropout_masks == "off" else dropout,
        teacher,
        smart_settings(config).absolute(network.encoder.word_embeddings),
        same_masks=config.smart.dropout_masks == "same",
        generator=noise,
        proximal=proximal,
    )


def _figures(perturbation: smart.Perturbation, sizes: Sequence[int]) -> dict[str, Tensor]:
    """The figures of a packed pass; a divergence is the sum over its batches of each batch's mean."""

    def summed(values: Tensor | None) -> Tensor | None:
        if values is None or values.dim() == 0:
            return values
        return torch.stack([part.mean() for part in torch.split(values, list(sizes))]).sum()

    figures = {
        "smart/radius": perturbation.radius,
        "smart/divergence_before": summed(perturbation.divergence_before),
        "smart/divergence_after": summed(perturbation.divergence_after),
        "smart/gradient_cosine": perturbation.gradient_cosine,
    }
    return {name: value.detach() for name, value in figures.items() if value is not None}
