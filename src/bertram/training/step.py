"""One training step: gradients of each task, one update.

For each group of tasks: forward, backward, keep the gradient of what is shared, free the graph. Then combine the
groups' gradients into one, clip, update. Without surgery all tasks of a step are one group, packed into one pass;
with surgery each task is a group of its own, so that only one graph is alive at a time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import torch
from torch import Tensor, nn

from bertram import surgery
from bertram.data.examples import Batch
from bertram.errors import TrainingError
from bertram.model.encoder import WordRows
from bertram.model.multitask import Multitask
from bertram.optimizer import AdamW, clip, global_norm
from bertram.training import processes
from bertram.training.objective import Objective, TaskLoss

Weightings = surgery.Weighting | Sequence[surgery.Weighting]


@dataclass
class Learner:
    """What a step works on.

    Attributes:
        network: encoder and heads.
        objective: the losses.
        optimizer: of all parameters.
        weighting: from task gradients to one, for all layers or one for each; None: their sum.
        layers: indices of the shared parameters of each layer, where surgery goes layer by layer.
        parts: how many parts a batch is computed in.
        clip_norm: largest norm of the gradient; 0: no limit.
        word_rows: differentiate only the word embeddings of the step.
    """

    network: Multitask
    objective: Objective
    optimizer: AdamW
    weighting: Weightings | None
    layers: list[list[int]] | None
    parts: int
    clip_norm: float
    word_rows: bool
    shared: list[nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        table = self.network.encoder.words
        self.shared = [p for p in self.network.encoder.parameters() if p.requires_grad and p is not table]
        if table.requires_grad:
            self.shared.append(table)  # last: with `word_rows` its place is taken by the rows of the step

    def own(self, task: str) -> list[nn.Parameter]:
        """The parameters of one task's head, and its log-variance."""
        head = [p for p in self.network.heads[task].parameters() if p.requires_grad]
        return [*head, *self.objective.own_parameters(task)]


@dataclass(frozen=True)
class Gradients:
    """The gradients of one group of tasks.

    Attributes:
        shared: of each shared parameter, None where the group does not touch it.
        own: of each parameter of the group's heads.
        losses: by task: its loss, its penalty and further figures.
    """

    shared: list[Tensor | None]
    own: list[tuple[nn.Parameter, Tensor | None]]
    losses: dict[str, dict[str, float]]


@dataclass(frozen=True)
class StepReport:
    """What a step tells the log."""

    losses: dict[str, dict[str, float]]
    gradient_norm: float
    gramians: Sequence[Tensor] = ()  # of the tasks: what surgery looked at, one or layer by layer


def step(learner: Learner, batches: Sequence[Batch]) -> StepReport:
    """One update from one batch of each task given.

    Args:
        learner: what to train.
        batches: the global batches of one or more tasks; each process computes its share of them.

    Raises:
        TrainingError: a loss or the gradient is not finite; the weights are then as they were.
    """
    words = word_rows(learner, batches)
    groups = [batches] if learner.weighting is None else [[batch] for batch in batches]
    found = [group_gradients(learner, group, words) for group in groups]
    shared, gramians = combined(learner, [group.shared for group in found])
    losses = {task: figures for group in found for task, figures in group.losses.items()}
    own = [pair for group in found for pair in group.own]
    norm = update(learner, batches, shared, own, words)
    return StepReport(losses, norm, gramians)


def word_rows(learner: Learner, batches: Sequence[Batch]) -> WordRows | None:
    """The word-embedding rows of a step's batches, if only these are to be differentiated."""
    table = learner.network.encoder.words
    if not (learner.word_rows and table.requires_grad):
        return None
    ids = torch.tensor([token for batch in batches for tokens, _ in batch.sequences for token in tokens])
    return WordRows(table, ids.to(table.device))


def group_gradients(learner: Learner, batches: Sequence[Batch], words: WordRows | None) -> Gradients:
    """The gradients of the sum of some tasks' weighted losses: accumulated over parts, summed over processes."""
    own = [parameter for batch in batches for parameter in learner.own(batch.task)]
    leaves: list[Tensor] = [*learner.shared, *own]
    if words is not None:
        leaves[len(learner.shared) - 1] = words.rows
    total: list[Tensor | None] = [None] * len(leaves)
    figures: dict[str, dict[str, float]] = {}
    for part in _parts(batches, learner.parts):
        losses = learner.objective(part, words)
        _note(figures, losses)
        cost = torch.stack([loss.batch.share * learner.objective.weighted(loss) for loss in losses]).sum()
        gradients = torch.autograd.grad(cost, leaves, allow_unused=True)
        total = [_plus(a, b) for a, b in zip(total, gradients, strict=True)]
    total = processes.summed(total, leaves)
    figures = _over_processes(figures)
    count = len(learner.shared)
    return Gradients(total[:count], list(zip(own, total[count:], strict=True)), figures)


def combined(learner: Learner, gradients: list[list[Tensor | None]]) -> tuple[list[Tensor | None], list[Tensor]]:
    """One gradient of the shared parameters, and the tasks' Gramians that surgery looked at."""
    if learner.weighting is None:
        return gradients[0], []
    seen: list[Tensor] = []

    def watched(weighting: surgery.Weighting) -> surgery.Weighting:
        def weigh(gramian: Tensor) -> Tensor:
            seen.append(gramian)
            return weighting(gramian)

        return weigh

    several = learner.weighting if isinstance(learner.weighting, Sequence) else [learner.weighting]
    weightings = [watched(weighting) for weighting in several]
    one = surgery.combine(gradients, weightings, groups=learner.layers, inplace=True)
    return one, seen


def update(
    learner: Learner,
    batches: Sequence[Batch],
    shared: list[Tensor | None],
    own: list[tuple[nn.Parameter, Tensor | None]],
    words: WordRows | None,
) -> float:
    """Clip and apply one gradient; gives its norm before clipping."""
    gradients = [*shared, *(gradient for _, gradient in own)]
    norm = global_norm(gradients)
    if not math.isfinite(norm):
        raise TrainingError(f"the gradient is not finite; {_where(batches)}; try a lower rate or --precision fp32")
    clip(gradients, norm, learner.clip_norm)
    if words is not None and (rows := shared[-1]) is not None:
        gradients[len(shared) - 1] = words.sparse(rows, len(learner.shared[-1]))
    parameters = [*learner.shared, *(parameter for parameter, _ in own)]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    learner.optimizer.step()
    learner.optimizer.zero_grad(set_to_none=True)
    return norm


def _parts(batches: Sequence[Batch], parts: int) -> list[list[Batch]]:
    """This process's share of the batches, in so many parts."""
    mine = [batch.split(processes.count())[processes.rank() :][:1] for batch in batches]
    split = [share[0].split(parts) for share in mine if share]
    return [[batch for batch in part if batch is not None] for part in zip_longest(*split)]


def _plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a.add_(b)


def _note(figures: dict[str, dict[str, float]], losses: Sequence[TaskLoss]) -> None:
    """Add a part's figures, each weighted by its share, and see that its loss is finite."""
    for loss in losses:
        of_task = figures.setdefault(loss.batch.task, {})
        known = {"loss": loss.loss.detach(), **loss.figures}
        if loss.penalty is not None:
            known["penalty"] = loss.penalty.detach()
        if not math.isfinite(float(loss.total.detach())):
            raise TrainingError(f"the loss is not finite; {_where([loss.batch])}; try a lower rate or --precision fp32")
        for name, value in known.items():
            of_task[name] = of_task.get(name, 0.0) + loss.batch.share * float(value)


def _over_processes(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    everyone = processes.collected(figures)
    total: dict[str, dict[str, float]] = {}
    for one in everyone:
        for task, values in one.items():
            of_task = total.setdefault(task, {})
            for name, value in values.items():
                of_task[name] = of_task.get(name, 0.0) + value
    return total


def _where(batches: Sequence[Batch]) -> str:
    return "; ".join(f"task {batch.task}, examples {', '.join(batch.ids[:16])}" for batch in batches)
