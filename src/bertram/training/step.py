"""One training step: gradients of each task, one update.

All tasks of a step are packed into one forward and one backward pass. With surgery, that pass gives the gradient of the
shared parameters task by task (`bertram.model.task_rows`); their Gramian decides on weights, and the update follows
their weighted sum. Then clip, update. Where memory asks for it, each task has a pass of its own instead.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import torch
from torch import Tensor, nn

from bertram import surgery
from bertram.data.examples import Batch
from bertram.errors import TrainingError
from bertram.model.encoders.word_rows import WordRows
from bertram.model.multitask import Multitask
from bertram.model.task_rows import TaskLeaves
from bertram.optimizer import AdamW, clip, global_norm
from bertram.training import processes
from bertram.training.objective import Objective
from bertram.training.parameters import by_layer, head_parameters, shared_parameters, word_table
from bertram.training.task_losses import TaskLoss

Weightings = surgery.Weighting | Sequence[surgery.Weighting]


@dataclass
class StepContext:
    """The network, the losses and the optimizer of a step, and its settings.

    Attributes:
        network: encoder and heads.
        objective: losses of the batches.
        optimizer: optimizer of all parameters.
        weighting: surgery rule for all layers, or one for each; None: the gradients are added up.
        parts: number of parts in which a batch is computed.
        clip_norm: largest norm of the gradient; 0: no limit.
        word_rows: True to differentiate only the word embeddings of the step.
        task_by_task: True for a pass for each task, where the tasks' gradients are wanted, instead of one for all.
        shared: trained parameters of the encoder by name.
        own: trained parameters of each task's head, and its log-variance, by task and name.
        layers: names of the shared parameters of each layer.
    """

    network: Multitask
    objective: Objective
    optimizer: AdamW
    weighting: Weightings | None
    parts: int
    clip_norm: float
    word_rows: bool
    task_by_task: bool = False
    shared: dict[str, nn.Parameter] = field(init=False)
    own: dict[str, dict[str, nn.Parameter]] = field(init=False)
    layers: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.shared, self.layers = shared_parameters(self.network), by_layer(self.network)
        self.own = {
            task: head_parameters(self.network, task) | self.objective.own_parameters(task)
            for task in self.network.tasks
        }

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """All trained parameters by name."""
        return {**self.shared, **{name: p for own in self.own.values() for name, p in own.items()}}


@dataclass(frozen=True)
class Gradients:
    """The gradients of some tasks.

    Attributes:
        shared: gradient of the sum of the losses by shared parameter, where it is asked for; None where no task
            touches it.
        by_task: gradient of each task's loss by task and shared parameter, where it is asked for.
        own: gradient of each parameter that belongs to one of the tasks.
        losses: loss, penalty and further figures by task.
    """

    shared: dict[str, Tensor | None]
    by_task: dict[str, dict[str, Tensor | None]]
    own: dict[str, Tensor | None]
    losses: dict[str, dict[str, float]]


@dataclass(frozen=True)
class StepReport:
    """The figures of a step for the log.

    Attributes:
        losses: loss, penalty and further figures by task.
        gradient_norm: norm of the gradient before clipping.
        gramians: Gramians of the tasks that surgery looked at, one or layer by layer.
        layer_gramians: Gramian of each layer of the encoder, where the tasks' gradients are known.
    """

    losses: dict[str, dict[str, float]]
    gradient_norm: float
    gramians: Sequence[Tensor] = ()
    layer_gramians: Sequence[Tensor] = ()


def step(context: StepContext, batches: Sequence[Batch], *, watch: bool = False, exact: bool = True) -> StepReport:
    """One update from one batch of each task given.

    Args:
        context: network, losses and optimizer.
        batches: global batches of one or more tasks; each process computes its share of them.
        watch: True to report the Gramians of the tasks' gradients without surgery, too.
        exact: True if watching may change no bit of the update, which then has products of its own; False: the update
            follows the sum of the tasks' gradients, which is the same up to rounding.

    Raises:
        TrainingError: a loss or the gradient is not finite; the weights are then as they were.
    """
    words = word_rows(context, batches)
    summed = context.weighting is None and (exact or not watch)  # by the backward pass
    if summed:
        gradients = packed_gradients(context, batches, words, TaskLeaves(with_sum=True) if watch else None)
    else:
        gradients = task_gradients(context, batches, words)
    layer_gramians = gramians_by_layer(context, gradients)
    gramians: Sequence[Tensor] = ()
    if context.weighting is not None:
        shared, gramians = combined(context, gradients, layer_gramians)
    else:
        shared = gradients.shared if summed else summed_over_tasks(context, gradients)
    norm = update(context, batches, {**shared, **gradients.own}, words)
    return StepReport(gradients.losses, norm, gramians, layer_gramians)


def word_rows(context: StepContext, batches: Sequence[Batch]) -> WordRows | None:
    """The word-embedding rows of a step's batches, if only these are to be differentiated."""
    table = context.network.encoder.word_embeddings
    if not (context.word_rows and table.requires_grad):
        return None
    ids = torch.tensor([token for batch in batches for tokens, _ in batch.sequences for token in tokens])
    return WordRows(table, ids.to(table.device))


def task_gradients(context: StepContext, batches: Sequence[Batch], words: WordRows | None) -> Gradients:
    """The gradient of each task's weighted loss, without their sum; from one pass, or from one for each task.

    Both give the same gradients up to rounding, but for random numbers: each pass draws its own masks and noise.

    Args:
        context: network and losses.
        batches: global batches of one or more tasks.
        words: word-embedding rows of the step, in place of the table.
    """
    if not context.task_by_task:
        return packed_gradients(context, batches, words, TaskLeaves())
    passes = [packed_gradients(context, [batch], words) for batch in batches]
    return Gradients(
        shared={},
        by_task={batch.task: gradients.shared for batch, gradients in zip(batches, passes, strict=True)},
        own={name: gradient for gradients in passes for name, gradient in gradients.own.items()},
        losses={task: figures for gradients in passes for task, figures in gradients.losses.items()},
    )


def packed_gradients(
    context: StepContext, batches: Sequence[Batch], words: WordRows | None, leaves: TaskLeaves | None = None
) -> Gradients:
    """The gradients of some tasks' weighted losses from one pass: accumulated over parts, summed over processes.

    Args:
        context: network and losses.
        batches: global batches of one or more tasks.
        words: word-embedding rows of the step, in place of the table.
        leaves: leaves of the tasks, to get the gradients of the shared parameters by task; None: their sum alone.
    """
    shared: dict[str, Tensor] = dict(context.shared)
    if words is not None:
        shared[word_table(context.network)] = words.rows
    own = {name: parameter for batch in batches for name, parameter in context.own[batch.task].items()}
    summed = own if leaves is not None and not leaves.with_sum else {**shared, **own}
    total: dict[str, Tensor | None] = dict.fromkeys(summed)
    by_task = {batch.task: dict[str, Tensor | None].fromkeys(shared) for batch in batches if leaves is not None}
    figures: dict[str, dict[str, float]] = {}
    for part in _parts(batches, context.parts):
        with context.network.gradients_to(leaves):
            losses = context.objective(part, words)
        _note(figures, losses)
        cost = torch.stack([loss.batch.share * context.objective.weighted(loss) for loss in losses]).sum()
        apart = [] if leaves is None else [(t, name, x) for name, p in shared.items() for t, x in leaves.by_task(p)]
        inputs = [*summed.values(), *(leaf for _, _, leaf in apart)]
        gradients = torch.autograd.grad(cost, inputs, allow_unused=True)
        for name, gradient in zip(summed, gradients, strict=False):  # those of the leaves follow
            total[name] = _plus(total[name], gradient)
        for (task, name, _), gradient in zip(apart, gradients[len(summed) :], strict=True):
            by_task[task][name] = _plus(by_task[task][name], gradient)
    total = processes.summed(total, summed)
    by_task = {task: processes.summed(of_task, shared) for task, of_task in by_task.items()}
    of_sum = {name: total[name] for name in shared if name in total}
    return Gradients(of_sum, by_task, {name: total[name] for name in own}, _over_processes(figures))


def gramians_by_layer(context: StepContext, gradients: Gradients) -> list[Tensor]:
    """The tasks' Gramian of each layer, [T, T]; nothing where their gradients are not known."""
    if not gradients.by_task:
        return []
    tasks = gradients.by_task.values()
    return [surgery.gramian([[of_task[name] for name in layer] for of_task in tasks]) for layer in context.layers]


def combined(
    context: StepContext, gradients: Gradients, layer_gramians: Sequence[Tensor]
) -> tuple[dict[str, Tensor | None], list[Tensor]]:
    """One gradient of the shared parameters, and the Gramians that surgery looked at."""
    assert context.weighting is not None
    if isinstance(context.weighting, Sequence):
        rules, groups, gramians = context.weighting, context.layers, list(layer_gramians)
    else:
        zero = torch.zeros(len(gradients.by_task), len(gradients.by_task), dtype=torch.float64)
        rules, groups, gramians = [context.weighting], [list(context.shared)], [sum(layer_gramians, zero)]
    total: dict[str, Tensor | None] = {}
    for names, rule, gramian in zip(groups, rules, gramians, strict=True):
        of_tasks = [[of_task[name] for name in names] for of_task in gradients.by_task.values()]
        sums = surgery.weighted_sum(of_tasks, rule(gramian), inplace=True, dtype=torch.float32)
        total |= zip(names, sums, strict=True)
    return total, gramians


def summed_over_tasks(context: StepContext, gradients: Gradients) -> dict[str, Tensor | None]:
    """The sum of the tasks' gradients of each shared parameter."""
    of_tasks = [list(of_task.values()) for of_task in gradients.by_task.values()]
    ones = torch.ones(len(of_tasks))
    sums = surgery.weighted_sum(of_tasks, ones, inplace=True, dtype=torch.float32)
    return dict(zip(context.shared, sums, strict=True))


def update(
    context: StepContext, batches: Sequence[Batch], gradients: Mapping[str, Tensor | None], words: WordRows | None
) -> float:
    """Clip and apply one gradient.

    Args:
        context: network and optimizer.
        batches: batches that the gradient comes from, for an error message.
        gradients: gradient of each parameter by name; that of the word embeddings is of the rows of `words`, if given.
        words: word-embedding rows of the step.

    Returns:
        The norm of the gradient before clipping.

    Raises:
        TrainingError: the gradient is not finite; the weights are then as they were.
    """
    norm = global_norm(gradients.values())
    if not math.isfinite(norm):
        raise TrainingError(f"the gradient is not finite; {_where(batches)}; try a lower rate or --precision fp32")
    clip(list(gradients.values()), norm, context.clip_norm)
    parameters, table = context.parameters, word_table(context.network)
    if words is not None and (rows := gradients[table]) is not None:
        gradients = {**gradients, table: words.sparse(rows, len(parameters[table]))}
    for name, gradient in gradients.items():
        parameters[name].grad = gradient
    context.optimizer.step()
    context.optimizer.zero_grad(set_to_none=True)
    return norm


def _parts(batches: Sequence[Batch], parts: int) -> list[list[Batch]]:
    """This process's share of the batches, in so many parts."""
    shares = [batch.split(processes.count())[processes.rank() :][:1] for batch in batches]
    split = [share[0].split(parts) for share in shares if share]
    return [[batch for batch in part if batch is not None] for part in zip_longest(*split)]


def _plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a.add_(b) if a.dtype != torch.bfloat16 else a.float().add_(b)


def _note(figures: dict[str, dict[str, float]], losses: Sequence[TaskLoss]) -> None:
    """Add a part's figures, each weighted by its share, and see that its loss is finite."""
    for loss in losses:
        of_task = figures.setdefault(loss.batch.task, {})
        values = {"loss": loss.loss.detach(), **loss.figures}
        if loss.penalty is not None:
            values["penalty"] = loss.penalty.detach()
        if not math.isfinite(float(loss.total.detach())):
            raise TrainingError(f"the loss is not finite; {_where([loss.batch])}; try a lower rate or --precision fp32")
        for name, value in values.items():
            of_task[name] = of_task.get(name, 0.0) + loss.batch.share * float(value)


def _over_processes(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    total: dict[str, dict[str, float]] = {}
    for part in processes.collected(figures):
        for task, values in part.items():
            of_task = total.setdefault(task, {})
            for name, value in values.items():
                of_task[name] = of_task.get(name, 0.0) + value
    return total


def _where(batches: Sequence[Batch]) -> str:
    return "; ".join(f"task {batch.task}, examples {', '.join(batch.ids[:16])}" for batch in batches)
