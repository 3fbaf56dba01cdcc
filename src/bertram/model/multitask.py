"""One encoder with a head for each task."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bertram.data.examples import Batch
from bertram.data.packing import Packed, pack
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.encoders import Encoder
from bertram.model.encoders.word_rows import WordRows
from bertram.model.heads import SimilarityHead, TaskHead, head_of
from bertram.model.outputs import Output, output_of
from bertram.model.task_rows import TaskLeaves, TaskRows
from bertram.tasks import Task


@dataclass(frozen=True)
class Inputs:
    """The batches of some tasks as one packed batch."""

    packed: Packed
    sequences: tuple[int, ...]  # how many belong to each batch
    example: Tensor  # [N] which example a token belongs to, counted over all batches
    movable: Tensor  # [N] False for [CLS] and [SEP]
    pooled: Tensor | None = None  # [N] True for the tokens that are pooled, where a batch pools its targets


class _ByTask(nn.ModuleDict):
    """Heads by task, also where a task has the name of a method of PyTorch's, such as ``type``."""

    def add_module(self, name: str, module: nn.Module | None) -> None:
        assert module is not None
        self._modules[name] = module


class Multitask(nn.Module):
    """A shared encoder and the heads of its tasks.

    Args:
        encoder: shared by all tasks.
        tasks: tasks by name.
        pooling: ``cls``, ``mean`` over real tokens, or the pretrained ``pooler``.
    """

    def __init__(self, encoder: Encoder, tasks: Mapping[str, Task], pooling: str) -> None:
        super().__init__()
        self.encoder, self.tasks, self.pooling = encoder, dict(tasks), pooling
        self.heads = _ByTask({name: head_of(task, encoder.config.hidden) for name, task in tasks.items()})
        self._leaves: TaskLeaves | None = None

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.encoder.word_embeddings.device

    def head(self, task: str) -> TaskHead:
        """The head of a task."""
        head = self.heads[task]
        assert isinstance(head, TaskHead)
        return head

    def output(self, task: str) -> Output:
        """The kind of output of a task."""
        return self.head(task).output

    def set_task(self, task: Task) -> None:
        """Give a task another definition, whose head and label space are the same."""
        self.tasks[task.name] = task
        self.head(task.name).output = output_of(task)

    def task_heads(self) -> list[tuple[str, TaskHead]]:
        """The heads by the names of their tasks."""
        return [(name, self.head(name)) for name in self.tasks]

    @contextmanager
    def gradients_to(self, leaves: TaskLeaves | None) -> Iterator[None]:
        """Passes in which each task's gradient of the encoder's parameters goes to its own leaves, if there are any."""
        self._leaves = leaves
        try:
            yield
        finally:
            self._leaves = None

    def inputs(self, batches: Sequence[Batch]) -> Inputs:
        """Pack the batches of one or more tasks together."""
        sequences = [sequence for batch in batches for sequence in batch.sequences]
        packed = pack([tokens for tokens, _ in sequences], [segments for _, segments in sequences])
        return Inputs(
            packed=packed.to(self.device),
            sequences=tuple(len(batch.sequences) for batch in batches),
            example=torch.tensor(_examples(batches))[torch.argsort(packed.inverse_order)][packed.sequence].to(
                self.device
            ),
            movable=_movable(packed, max(batch.separators for batch in batches)).to(self.device),
            pooled=_pooled(batches, packed, self.device),
        )

    def forward(
        self,
        batches: Sequence[Batch],
        inputs: Inputs | None = None,
        dropout: Dropout = NO_DROPOUT,
        *,
        words: WordRows | None = None,
        offset: Tensor | None = None,
    ) -> list[Tensor]:
        """The raw outputs of each batch, all of them encoded in one packed pass.

        Args:
            batches: batches of one or more tasks.
            inputs: `self.inputs(batches)`, where it is at hand.
            dropout: dropout masks.
            words: source of word embeddings; default: the table.
            offset: [N, H], added to the word embeddings.
        """
        vectors = self._vectors(batches, inputs or self.inputs(batches), dropout, words=words, offset=offset)
        return [self.heads[batch.task](pooled, dropout) for batch, pooled in zip(batches, vectors, strict=True)]

    def pooled(self, packed: Packed, dropout: Dropout = NO_DROPOUT) -> Tensor:
        """One vector a sequence, [S, H], in the order given."""
        return self._sequence_vectors(self.encoder(packed, dropout, first_only=self.pooling != "mean"), packed)

    def _vectors(
        self,
        batches: Sequence[Batch],
        inputs: Inputs,
        dropout: Dropout = NO_DROPOUT,
        *,
        words: WordRows | None = None,
        offset: Tensor | None = None,
    ) -> list[Tensor]:
        """Input of each batch's head: [n, H], or [2n, H] with the first texts of all pairs first."""
        packed, sequences = inputs.packed, list(inputs.sequences)
        tasks = None if self._leaves is None else _task_rows(self._leaves, batches, inputs)
        first_only = self.pooling != "mean" and inputs.pooled is None
        hidden: Tensor = self.encoder(packed, dropout, words=words, tasks=tasks, offset=offset, first_only=first_only)
        whole = hidden if first_only or self.pooling == "mean" else hidden[packed.starts]
        vectors = torch.split(self._sequence_vectors(whole, packed, tasks), sequences)
        if inputs.pooled is not None:
            targets = torch.split(_target_means(hidden, packed, inputs.pooled), sequences)
            vectors = tuple(
                vector if batch.targets is None else target
                for batch, vector, target in zip(batches, vectors, targets, strict=True)
            )
        within = [self.tasks[batch.task].compares_within for batch in batches]
        if not any(within):
            return list(vectors)
        text_means = torch.split(_text_means(hidden, packed, inputs.pooled), sequences)
        return [
            torch.cat(means.unbind(1)) if compares else vector  # first texts first
            for vector, means, compares in zip(vectors, text_means, within, strict=True)
        ]

    def _sequence_vectors(self, hidden: Tensor, packed: Packed, tasks: TaskRows | None = None) -> Tensor:
        """[S, H] in the order given, of the hidden states [N, H] or of those of the first tokens [S, H]."""
        if self.pooling == "mean":
            total = hidden.new_zeros(len(packed), hidden.shape[1]).index_add(0, packed.sequence, hidden)
            hidden = total / packed.lengths[:, None]
        elif self.pooling == "pooler":
            assert self.encoder.pooler is not None
            hidden = torch.tanh(self.encoder.pooler(hidden, tasks))
        return hidden[packed.inverse_order]

    @torch.no_grad()
    def similarities(self, batches: Sequence[Batch]) -> Tensor | None:
        """The plain similarities of batches of one task's pairs, [n] in all, where its head is a similarity."""
        head = self.head(batches[0].task)
        if not isinstance(head, SimilarityHead):
            return None
        pairs = (self._vectors([batch], self.inputs([batch]))[0].chunk(2) for batch in batches)
        return torch.cat([head.compare.similarity(u, v) for u, v in pairs])


def _task_rows(leaves: TaskLeaves, batches: Sequence[Batch], inputs: Inputs) -> TaskRows:
    """The tasks of the tokens and of the packed sequences of some batches."""
    packed, names = inputs.packed, list(dict.fromkeys(batch.task for batch in batches))
    tasks = torch.tensor([names.index(batch.task) for batch in batches]).repeat_interleave(
        torch.tensor(inputs.sequences)
    )
    sequence_tasks = torch.empty_like(packed.inverse_order)
    sequence_tasks[packed.inverse_order] = tasks.to(sequence_tasks.device)
    return TaskRows(leaves, names, sequence_tasks[packed.sequence], sequence_tasks)


def _target_means(hidden: Tensor, packed: Packed, pooled: Tensor) -> Tensor:
    """The means over the pooled tokens of each sequence, [S, H], in the order given."""
    sequence = packed.sequence[pooled]
    total = hidden.new_zeros(len(packed), hidden.shape[1]).index_add(0, sequence, hidden[pooled])
    tokens = torch.bincount(sequence, minlength=len(packed))
    return (total / tokens[:, None])[packed.inverse_order]


def _text_means(hidden: Tensor, packed: Packed, pooled: Tensor | None) -> Tensor:
    """The means over the pooled tokens of each segment, [S, 2, H], in the order given; separators count as text.

    Args:
        hidden: [N, H].
        packed: S sequences.
        pooled: [N] True for the tokens that are pooled; None: all.
    """
    place = 2 * packed.sequence + packed.segments
    if pooled is not None:
        place, hidden = place[pooled], hidden[pooled]
    total = hidden.new_zeros(2 * len(packed), hidden.shape[1]).index_add(0, place, hidden)
    tokens = torch.bincount(place, minlength=2 * len(packed)).clamp(min=1)
    means = (total / tokens[:, None]).reshape(len(packed), 2, -1)
    return means[packed.inverse_order]


def _pooled(batches: Sequence[Batch], packed: Packed, device: torch.device) -> Tensor | None:
    """True for the tokens of targets, and for all tokens of batches without; None where no batch has targets."""
    if all(batch.targets is None for batch in batches):
        return None
    starts = packed.starts[packed.inverse_order].tolist()
    pooled = torch.zeros(len(packed.token_ids), dtype=torch.bool)
    sequences = ((batch, number) for batch in batches for number in range(len(batch.sequences)))
    for start, (batch, number) in zip(starts, sequences, strict=True):
        length = len(batch.sequences[number][0])
        for begin, end in [(0, length)] if batch.targets is None else batch.targets[number]:
            pooled[start + begin : start + end] = True
    return pooled.to(device)


def _examples(batches: Sequence[Batch]) -> list[int]:
    """The example of each sequence; both texts of a pair are one example."""
    owners, begin = [], 0
    for batch in batches:
        owners += [begin + number % len(batch) for number in range(len(batch.sequences))]
        begin += len(batch)
    return owners


def _movable(packed: Packed, separators: int) -> Tensor:
    """False for special tokens: the ends of a sequence, and as many tokens at the end of its first segment."""
    movable = torch.ones(len(packed.token_ids), dtype=torch.bool)
    movable[packed.starts] = False
    movable[packed.starts + packed.lengths - 1] = False
    ends = ((packed.segments[:-1] == 0) & (packed.segments[1:] == 1)).nonzero().flatten()
    for number in range(separators):
        movable[ends - number] = False
    return movable
