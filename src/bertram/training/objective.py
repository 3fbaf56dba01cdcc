"""The loss of each task's batch, with the penalties that the configuration asks for.

A task's loss is computed in one of three ways, each an object of its own: `Plain`, `Smart` or `RDrop`. They see the
batches of their tasks together, so that one packed pass serves all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bertram import smart
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.encoder import WordRows
from bertram.model.linear import Precision
from bertram.model.multitask import Inputs, Multitask

LOWEST_LOG_VARIANCE = -4.0


@dataclass(frozen=True)
class TaskLoss:
    """What one task's batch costs.

    Attributes:
        batch: of which task and examples.
        loss: its mean loss L_i.
        penalty: what regularizers add to it; None without any.
        figures: what is known of the regularizer, for the log.
    """

    batch: Batch
    loss: Tensor
    penalty: Tensor | None = None
    figures: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """Loss and penalty."""
        return self.loss if self.penalty is None else self.loss + self.penalty


class Way(Protocol):
    """One way to compute losses."""

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of some tasks' batches."""
        ...


class Plain:
    """L_i alone."""

    def __init__(self, network: Multitask, dropout: Dropout) -> None:
        self.network, self.dropout = network, dropout

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of some tasks' batches, from one packed pass."""
        outputs = self.network(batches, dropout=self.dropout, words=words)
        return [TaskLoss(b, _loss(self.network, b, raw)) for b, raw in zip(batches, outputs, strict=True)]


class RDrop:
    """R-Drop (Liang et al., 2021): two passes that differ in dropout, ½(ℓ₁ + ℓ₂) + (α/4)·symKL(p₁, p₂).

    Half the paper's sum, with the same α, so that the loss has its usual size.
    """

    def __init__(self, network: Multitask, dropout: Dropout, alpha: float) -> None:
        self.network, self.dropout, self.alpha = network, dropout, alpha

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """Both passes are packed together."""
        outputs = self.network([*batches, *batches], dropout=self.dropout, words=words)
        return [
            self._loss(batch, first, second)
            for batch, first, second in zip(batches, outputs[: len(batches)], outputs[len(batches) :], strict=True)
        ]

    def _loss(self, batch: Batch, first: Tensor, second: Tensor) -> TaskLoss:
        loss = (_loss(self.network, batch, first) + _loss(self.network, batch, second)) / 2
        apart = self.network.output(batch.task).divergence(first, second)
        return TaskLoss(batch, loss, self.alpha / 4 * apart, {"rdrop/divergence": apart.detach()})


class Smart:
    """SMART (Jiang et al., 2020): the adversarial penalty, and the Bregman proximal point where it is asked for."""

    def __init__(
        self,
        network: Multitask,
        dropout: Dropout,
        settings: smart.Settings,
        *,
        perturbed_dropout: str,
        generator: torch.Generator,
        proximal: smart.BregmanProximal | None,
    ) -> None:
        self.network, self.settings, self.generator, self.proximal = network, settings, generator, proximal
        self.perturbed_dropout = perturbed_dropout
        self.dropout = NO_DROPOUT if perturbed_dropout == "off" else dropout

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of some tasks' batches; the penalty of a task is that of its own examples."""
        if self.settings.variant == "paper":
            return self._together(batches, words)
        return [loss for batch in batches for loss in self._together([batch], words)]  # it knows no second task

    def _together(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """Clean pass, ascent, perturbed pass, each packed."""
        state = self.dropout.state()
        inputs = self.network.inputs(batches)
        clean = tuple(self.network(batches, inputs, self.dropout, words=words))
        taught = self._taught(batches, inputs)
        return [
            self._loss(number, batches, clean, penalty, taught)
            for number, penalty in enumerate(self._penalties(batches, inputs, words, clean, state))
        ]

    def _penalties(
        self,
        batches: Sequence[Batch],
        inputs: Inputs,
        words: WordRows | None,
        clean: tuple[Tensor, ...],
        state: Tensor,
    ) -> list[tuple[Tensor, dict[str, Tensor]]]:
        """λ_s R_s of each batch with what is known of the offset.

        The ascent looks at the sum over the tasks: an example's offset moves its own task's outputs only, and its
        gradient is normalized by itself, so the tasks do not disturb each other.
        """
        divergences = [self.network.output(batch.task).divergence for batch in batches]

        def f(offset: Tensor) -> tuple[Tensor, ...]:
            if self.perturbed_dropout == "independent":
                return tuple(self.network(batches, inputs, self.dropout, words=words, offset=offset))
            with self.dropout.replayed(state):
                return tuple(self.network(batches, inputs, self.dropout, words=words, offset=offset))

        parts: list[Tensor] = []

        def total(p: tuple[Tensor, ...], q: tuple[Tensor, ...]) -> Tensor:
            parts[:] = [apart(a, b) for apart, a, b in zip(divergences, p, q, strict=True)]
            return torch.stack(parts).sum()

        like = self.network.encoder.words.new_empty(len(inputs.example), self.network.encoder.config.hidden)
        own, generator = self.settings, self.generator
        if own.variant == "paper":
            value, found = smart.penalty(
                f, clean, total, like, own, example=inputs.example, mask=inputs.movable, generator=generator
            )
        else:
            value, found = smart.penalty(
                lambda offset: f(offset)[0], clean[0], divergences[0], like, own, generator=generator
            )
            value = value / batches[0].share  # it is a sum over the batch: the parts' sums add up to that of the whole
        if found is None:
            return [(clean[0].new_zeros(()), {}) for _ in batches]
        values = [value] if len(batches) == 1 else [self.settings.weight * part for part in parts]
        return [(one, _figures(found)) for one in values]

    def _loss(
        self,
        number: int,
        batches: Sequence[Batch],
        clean: tuple[Tensor, ...],
        penalty: tuple[Tensor, dict[str, Tensor]],
        taught: tuple[Tensor, ...] | None,
    ) -> TaskLoss:
        batch, raw = batches[number], clean[number]
        value, figures = penalty
        figures = {**figures, "smart/penalty": value.detach()} if figures else {}
        if self.proximal is not None and taught is not None:
            apart = self.network.output(batch.task).divergence
            distance = self.proximal.loss(apart, raw, taught[number])
            value = value + distance
            figures["bregman/penalty"] = distance.detach()
        return TaskLoss(batch, _loss(self.network, batch, raw), value if figures else None, figures)

    def _taught(self, batches: Sequence[Batch], inputs: Inputs) -> tuple[Tensor, ...] | None:
        if self.proximal is None:
            return None
        with torch.no_grad():
            return tuple(self.proximal.teacher(batches, inputs))


class Objective:
    """The losses of a step's batches, each computed in its task's way.

    Args:
        network: encoder and heads.
        config: of the run.
        dropout: the training's.
        noise: generator of SMART's random starts.
        total_steps: of the run.
    """

    def __init__(
        self, network: Multitask, config: Config, dropout: Dropout, noise: torch.Generator, total_steps: int
    ) -> None:
        rdrop_tasks = config.chosen("rdrop")
        idle = config.smart.weight == 0 and config.smart.bregman == "off"  # then no task is to be packed by itself
        smart_tasks = () if idle else config.chosen("smart")
        self.proximal = _proximal(network, config, total_steps) if smart_tasks else None
        self.ways: dict[str, Way] = dict.fromkeys(network.tasks, Plain(network, dropout))
        self.ways |= dict.fromkeys(rdrop_tasks, RDrop(network, dropout, config.rdrop.alpha))
        if smart_tasks:
            way = Smart(
                network,
                dropout,
                smart_settings(config).absolute(network.encoder.words),
                perturbed_dropout=config.smart.dropout_masks,
                generator=noise,
                proximal=self.proximal,
            )
            self.ways |= dict.fromkeys(smart_tasks, way)
        self.log_variances: dict[str, nn.Parameter] | None = None  # a ParameterDict would refuse a task called "type"
        if config.uncertainty_weighting:
            self.log_variances = {name: nn.Parameter(torch.zeros((), device=network.device)) for name in network.tasks}
        self.tasks = network.tasks
        self.regression = {name: network.output(name).regression for name in network.tasks}

    def __call__(self, batches: Sequence[Batch], words: WordRows | None) -> list[TaskLoss]:
        """The losses of the batches, in their order."""
        by_way: dict[int, list[Batch]] = {}
        for batch in batches:
            by_way.setdefault(id(self.ways[batch.task]), []).append(batch)
        found = [loss for several in by_way.values() for loss in self.ways[several[0].task](several, words)]
        return sorted(found, key=lambda loss: [batch.task for batch in batches].index(loss.batch.task))

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
        """Of the products of the Bregman teacher, where there is one; it must be the model's own."""
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

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs beside weights and generators."""
        state: dict[str, Any] = {}
        if self.proximal is not None:
            state["proximal"] = self.proximal.state_dict()
        if self.log_variances is not None:
            state["log_variances"] = {name: s.detach() for name, s in self.log_variances.items()}
        return state

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
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


def _loss(network: Multitask, batch: Batch, raw: Tensor) -> Tensor:
    assert batch.labels is not None
    return network.output(batch.task).losses(raw, batch.labels.to(raw.device)).mean()


def _figures(found: smart.Perturbation) -> dict[str, Tensor]:
    known = {
        "smart/radius": found.radius,
        "smart/divergence_before": found.divergence_before,
        "smart/divergence_after": found.divergence_after,
        "smart/gradient_cosine": found.gradient_cosine,
    }
    return {name: value.detach() for name, value in known.items() if value is not None}
