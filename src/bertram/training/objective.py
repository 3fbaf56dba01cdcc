"""The loss of each task's batch, with the penalties that the configuration asks for.

The batches of some tasks are computed together, so that one packed pass serves all of them. A task's loss comes from
one of several task objectives: `TaskLossOnly`, `RDrop`, `Smart` or `SmartPytorch`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from bertram import smart
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.encoders.base import WordRows
from bertram.model.linear import Precision
from bertram.model.multitask import Inputs, Multitask
from bertram.runs.checkpoint import State
from bertram.training.distillation import Teacher, teacher_of

LOWEST_LOG_VARIANCE = -4.0

Outputs = tuple[Tensor, ...]  # raw outputs of each batch


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


@dataclass(frozen=True)
class Penalty:
    """A penalty of one batch and the figures that describe it.

    Attributes:
        value: penalty, a scalar with its graph.
        figures: figures for the log, without a graph.
    """

    value: Tensor
    figures: dict[str, Tensor]


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
            TaskLoss(batch, _loss(self.network, self.teacher, batch, raw))
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
        losses = [_loss(self.network, self.teacher, batch, raw) for raw in (first, second)]
        loss = (losses[0] + losses[1]) / 2
        divergence = self.network.output(batch.task).divergence(first, second)
        return TaskLoss(batch, loss, self.alpha / 4 * divergence, {"rdrop/divergence": divergence.detach()})


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
        return TaskLoss(batch, _loss(self.network, self.teacher, batch, raw), value, figures)

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


class Objective:
    """The losses of a step's batches, each computed by the objective of its task.

    Args:
        network: encoder and heads.
        config: configuration of the run.
        dropout: dropout of the training.
        noise: generator of SMART's random starts.
        total_steps: number of steps of the run.

    Attributes:
        teacher: source of the soft targets; without distillation the gold labels alone count.
        of_task: task objective of each task; tasks that share one are computed in one packed pass.
        proximal: Bregman proximal point of SMART; None without it.
        log_variances: log σ² of each task with uncertainty weighting; None without it.
    """

    def __init__(
        self, network: Multitask, config: Config, dropout: Dropout, noise: torch.Generator, total_steps: int
    ) -> None:
        rdrop_tasks = config.chosen("rdrop")
        idle = config.smart.weight == 0 and config.smart.bregman == "off"  # then no task is to be packed by itself
        smart_tasks = () if idle else config.chosen("smart")
        self.proximal = _proximal(network, config, total_steps) if smart_tasks else None
        self.teacher = teacher_of(config)
        self.of_task: dict[str, TaskObjective] = dict.fromkeys(
            network.tasks, TaskLossOnly(network, dropout, self.teacher)
        )
        self.of_task |= dict.fromkeys(rdrop_tasks, RDrop(network, dropout, self.teacher, config.rdrop.alpha))
        if smart_tasks:
            regularized = SMART_VARIANTS[config.smart.variant](
                network,
                NO_DROPOUT if config.smart.dropout_masks == "off" else dropout,
                self.teacher,
                smart_settings(config).absolute(network.encoder.word_embeddings),
                same_masks=config.smart.dropout_masks == "same",
                generator=noise,
                proximal=self.proximal,
            )
            self.of_task |= dict.fromkeys(smart_tasks, regularized)
        self.log_variances: dict[str, nn.Parameter] | None = None  # a ParameterDict would refuse a task called "type"
        if config.uncertainty_weighting:
            self.log_variances = {name: nn.Parameter(torch.zeros((), device=network.device)) for name in network.tasks}
        self.tasks = network.tasks
        self.regression = {name: network.output(name).regression for name in network.tasks}

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of the batches, in their order."""
        together: dict[int, list[Batch]] = {}
        for batch in batches:
            together.setdefault(id(self.of_task[batch.task]), []).append(batch)
        losses = {
            loss.batch.task: loss for group in together.values() for loss in self.of_task[group[0].task](group, words)
        }
        return [losses[batch.task] for batch in batches]

    def weighted(self, loss: TaskLoss) -> Tensor:
        """A loss times its task's weight, which is learned with uncertainty weighting (Kendall et al., 2018)."""
        task = self.tasks[loss.batch.task]
        if self.log_variances is None:
            return task.weight * loss.total
        s = self.log_variances[task.name]  # log σ²
        half = 0.5 if self.regression[task.name] else 1.0  # regression has ½e^(-s)
        weighted: Tensor = task.weight * (half * torch.exp(-s) * loss.total + s / 2)
        return weighted

    def own_parameters(self, task: str) -> dict[str, nn.Parameter]:
        """The parameters that a task trains beside its head, by name."""
        return {} if self.log_variances is None else {f"log_variances.{task}": self.log_variances[task]}

    def set_teacher_precision(self, precision: Precision) -> None:
        """Set the precision of the Bregman teacher, if there is one, to that of the model."""
        if self.proximal is not None:
            teacher = self.proximal.teacher
            assert isinstance(teacher, Multitask)
            teacher.encoder.set_precision(precision)

    @torch.no_grad()
    def after_update(self) -> None:
        """Let the teacher follow the weights, and keep the log-variances where they may be."""
        if self.log_variances is not None:  # clamped here: in the loss, those below would have no gradient to return by
            torch._foreach_clamp_min_(list(self.log_variances.values()), LOWEST_LOG_VARIANCE)
        if self.proximal is not None:
            self.proximal.update()

    def state_dict(self) -> State:
        """State for a checkpoint, beside weights and generators."""
        state: State = {}
        if self.proximal is not None:
            state["proximal"] = self.proximal.state_dict()
        if self.log_variances is not None:
            state["log_variances"] = {name: s.detach() for name, s in self.log_variances.items()}
        return state

    @torch.no_grad()
    def load_state_dict(self, state: State) -> None:
        """Restore the state of a checkpoint."""
        if self.proximal is not None:
            self.proximal.load_state_dict(state["proximal"])
        for name, s in (self.log_variances or {}).items():
            s.copy_(state["log_variances"][name])


def smart_settings(config: Config) -> smart.Settings:
    """The settings of the penalty as `bertram.smart` takes them."""
    s = config.smart
    return smart.Settings(s.weight, s.radius, s.noise_std, s.step_size, s.ascent_steps, s.unit, s.variant)


def _proximal(network: Multitask, config: Config, total_steps: int) -> smart.BregmanProximal | None:
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


def _loss(network: Multitask, teacher: Teacher, batch: Batch, raw: Tensor) -> Tensor:
    return teacher.losses(network.output(batch.task), raw, batch).mean()


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
