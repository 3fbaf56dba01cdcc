"""Embeddings: rows of a table, and the word-embedding rows that a step differentiates."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bertram.model.task_rows import TaskRows


class WordRows:
    """The distinct word-embedding rows of a step, gathered once, so that only these are differentiated.

    Args:
        table: [vocabulary, E], the word embeddings.
        token_ids: all token ids of the step.
    """

    def __init__(self, table: Tensor, token_ids: Tensor) -> None:
        self.ids = torch.unique(token_ids)
        self.rows = table.detach()[self.ids].requires_grad_()

    def __call__(self, token_ids: Tensor, tasks: TaskRows | None = None) -> Tensor:
        """The embeddings [N, E] of token ids that are among the step's."""
        return embedding(torch.searchsorted(self.ids, token_ids), self.rows, tasks)

    def sparse(self, grad: Tensor, vocabulary: int) -> Tensor:
        """The rows' gradient as a sparse gradient of the whole table."""
        size = (vocabulary, grad.shape[1])
        return torch.sparse_coo_tensor(self.ids[None], grad, size, is_coalesced=True, check_invariants=False)


def embedding(index: Tensor, table: Tensor, tasks: TaskRows | None = None) -> Tensor:
    """Rows of a table.

    Args:
        index: rows to take, [...].
        table: [rows, E].
        tasks: tasks of the tokens, where each task's gradient is wanted.
    """
    return F.embedding(index, table) if tasks is None else tasks.embedding(index, table)
