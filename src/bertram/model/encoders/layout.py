"""The tokens of one pass, and attention among them."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from bertram.data.packing import Packed
from bertram.model.attention import attend
from bertram.model.dropout import Dropout
from bertram.model.task_rows import TaskRows


class TokenLayout(ABC):
    """The tokens of one pass: [N] packed ones in training and prediction, [n, L] padded ones in an exported graph.

    Attributes:
        token_ids: token ids, [N] or [n, L].
        segments: number of the text that a token belongs to, of the same shape.
        positions: place of each token in its sequence, [N] or [L].
        dropout: masks of the pass.
        tasks: tasks of the rows, where each task's gradient is wanted.
    """

    token_ids: Tensor
    segments: Tensor
    positions: Tensor
    dropout: Dropout
    tasks: TaskRows | None = None

    @abstractmethod
    def places(self) -> Tensor:
        """0, 1, … up to the end of the longest sequence, [L]."""

    @abstractmethod
    def first_tokens(self, x: Tensor) -> Tensor:
        """The rows of the first token of each sequence."""

    @abstractmethod
    def attend(self, query: Tensor, key_value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        """Attention within each sequence; see `bertram.model.attention.attend`."""


class PackedLayout(TokenLayout):
    """Packed tokens.

    Args:
        batch: S sequences with N tokens.
        dropout: masks of the pass.
        tasks: tasks of the rows, where each task's gradient is wanted.
    """

    def __init__(self, batch: Packed, dropout: Dropout, tasks: TaskRows | None = None) -> None:
        self.batch, self.dropout, self.tasks = batch, dropout, tasks
        self.token_ids, self.segments, self.positions = batch.token_ids, batch.segments, batch.positions

    def places(self) -> Tensor:
        """0, 1, … up to the end of the longest sequence, [L]."""
        return torch.arange(self.batch.groups[-1].length, device=self.token_ids.device)

    def first_tokens(self, x: Tensor) -> Tensor:
        """The rows of the first token of each packed sequence, [S, H]."""
        return x[self.batch.starts]

    def attend(self, query: Tensor, key_value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        """Attention within each sequence, group by group."""
        tasks = None if self.tasks is None else self.tasks.sequence_tasks
        return attend(query, key_value, self.batch, heads, self.dropout, bias, tasks)
