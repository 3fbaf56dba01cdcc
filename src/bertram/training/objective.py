"""The losses of a step's batches, with the penalties that the configuration asks for.

The batches of some tasks are computed together, so that one packed pass serves all of them. A task's loss comes from
one of several task objectives: `TaskLossOnly`, `RDrop`, `Smart` or `SmartPytorch`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bertram.config import Config
from bertram.data.examples import Batch
from bertram.model.dropout import Dropout
from bertram.model.encoders.word_rows import WordRows
from bertram.model.linear import Precision
from bertram.model.multitask import Multitask
from bertram.runs.checkpoint import State
from bertram.training.distillation import teacher_of
from bertram.training.smart_losses import bregman_proximal, smart_objective
from bertram.training.task_losses import RDrop, TaskLoss, TaskLossOnly, TaskObjective

LOWEST_LOG_VARIANCE = -4.0


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
        self.proximal = bregman_proximal(network, config, total_steps) if smart_tasks else None
        self.teacher = teacher_of(config)
        self.of_task: dict[str, TaskObjective] = dict.fromkeys(
            network.tasks, TaskLossOnly(network, dropout, self.teacher)
        )
        self.of_task |= dict.fromkeys(rdrop_tasks, RDrop(network, dropout, self.teacher, config.rdrop.alpha))
        if smart_tasks:
            regularized = smart_objective(network, config, dropout, self.teacher, noise, self.proximal)
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
