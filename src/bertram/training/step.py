"""One training step: gradients of each task, one update.

For each group of tasks: forward, backward, keep the gradient of what is shared, free the graph. Then combine the
groups' gradients into one, clip, update. Without surgery all tasks of a step are one group, packed into one pass;
with surgery each task is a group of its own, so that only one graph is alive at a time.
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
from bertram.model.encoders.base import WordRows
from bertram.model.multitask import Multitask
from bertram.optimizer import AdamW, clip, global_norm
from bertram.training import processes
from bertram.training.objective import Objective, TaskLoss
from bertram.training.parameters import head_parameters, shared_parameters, word_table

Weightings = surgery.Weighting | Sequence[surgery.Weighting]


@dataclass
class StepContext:
    """The network, the losses and the optimizer of a step, and its settings.

    Attributes:
        network: encoder and heads.
        objective: losses of the batches.
        optimizer: optimizer of all parameters.
        weighting: surgery rule for all layers, or one for each; None: the gradients are added up.
        layers: names of the shared parameters of each layer, where surgery goes layer by layer.
        parts: number of parts in which a batch is computed.
        clip_norm: largest norm of the gradient; 0: no limit.
        word_rows: True to differentiate only the word embeddings of the step.
        shared: trained parameters of the encoder by name.
        own: trained parameters of each task's head, and its log-variance, by task and name.
    """

    network: Multitask
    objective: Objective
    optimizer: AdamW
    weighting: Weightings | None
    layers: list[list[str]] | None
    parts: int
    clip_norm: float
    word_rows: bool
    shared: dict[str, nn.Parameter] = field(init=False)
    own: dict[str, dict[str, nn.Parameter]] = field(init=False)

    def __post_init__(self) -> None:
        self.shared = shared_parameters(self.network)
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
    """The gradients of one group of tasks.

    Attributes:
        shared: gradient of each shared parameter by name; None where the group does not touch it.
        own: gradient of each parameter that belongs to one of the tasks.
        losses: loss, penalty and further figures by task.
    """

    shared: dict[str, Tensor | None]
    own: dict[str, Tensor | None]
    losses: dict[str, dict[str, float]]


@dataclass(frozen=True)
class StepReport:
    """The figures of a step for the log.

    Attributes:
        losses: loss, penalty and further figures by task.
        gradient_norm: norm of the gradient before clipping.
        gramians: Gramians of the tasks that surgery looked at, one or layer by layer.
    """

    losses: dict[str, dict[str, float]]
    gradient_norm: float
    gramians: Sequence[Tensor] = ()


def step(context: StepContext, batches: Sequence[Batch]) -> StepReport:
    """One update from one batch of each task given.

    Args:
        context: network, losses and optimizer.
        batches: global batches of one or more tasks; each process computes its share of them.

    Raises:
        TrainingError: a loss or the gradient is not finite; the weights are then as they were.
    """
    words = word_rows(context, batches)
    groups = [batches] if context.weighting is None else [[batch] for batch in batches]
    gradients = [group_gradients(context, group, words) for group in groups]
    shared, gramians = combined(context, [group.shared for group in gradients])
    losses = {task: figures for group in gradients for task, figures in group.losses.items()}
    own = {name: gradient for group in gradients for name, gradient in group.own.items()}
    norm = update(context, batches, {**shared, **own}, words)
    return StepReport(losses, norm, gramians)


def word_rows(context: StepContext, batches: Sequence[Batch]) -> WordRows | None:
    """The word-embedding rows of a step's batches, if only these are to be differentiated."""
    table = context.network.encoder.word_embeddings
    if not (context.word_rows and table.requires_grad):
        return None
    ids = torch.tensor([token for batch in batches for tokens, _ in batch.sequences for token in tokens])
    return WordRows(table, ids.to(table.device))


def group_gradients(context: StepContext, batches: Sequence[Batch], words: WordRows | None) -> Gradients:
    """The gradients of the sum of some tasks' weighted losses: accumulated over parts, summed over processes."""
    own = {name: parameter for batch in batches for name, parameter in context.own[batch.task].items()}
    leaves: dict[str, Tensor] = {**context.shared, **own}
    if words is not None:
        leaves[word_table(context.network)] = words.rows
    total: dict[str, Tensor | None] = dict.fromkeys(leaves)
    figures: dict[str, dict[str, float]] = {}
    for part in _parts(batches, context.parts):
        losses = context.objective(part, words)
        _note(figures, losses)
        cost = torch.stack([loss.batch.share * context.objective.weighted(loss) for loss in losses]).sum()
        gradients = torch.autograd.grad(cost, list(leaves.values()), allow_unused=True)
        total = {name: _plus(past, g) for (name, past), g in zip(total.items(), gradients, strict=True)}
    total = processes.summed(total, leaves)
    figures = _over_processes(figures)
    return Gradients({name: total[name] for name in context.shared}, {name: total[name] for name in own}, figures)


def combined(
    context: StepContext, gradients: Sequence[Mapping[str, Tensor | None]]
) -> tuple[Mapping[str, Tensor | None], list[Tensor]]:
    """One gradient of the shared parameters, and the tasks' Gramians that surgery looked at."""
    if context.weighting is None:
        return gradients[0], []
    gramians: list[Tensor] = []

    def watched(weighting: surgery.Weighting) -> surgery.Weighting:
        def weigh(gramian: Tensor) -> Tensor:
            gramians.append(gramian)
            return weighting(gramian)

        return weigh

    rules = context.weighting if isinstance(context.weighting, Sequence) else [context.weighting]
    weightings = [watched(rule) for rule in rules]
    names = list(context.shared)
    groups = None if context.layers is None else [[names.index(name) for name in layer] for layer in context.layers]
    lists = [[gradient[name] for name in names] for gradient in gradients]
    return dict(zip(names, surgery.combine(lists, weightings, groups=groups, inplace=True), strict=True)), gramians


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
    return a.add_(b)


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
