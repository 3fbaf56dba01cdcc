"""Groups of examples that share a text and so are not independent, such as Quora's pairs of questions."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


def text_groups(examples: Sequence[Sequence[Hashable]]) -> NDArray[np.intp] | None:
    """Number of each example's group, [n]: examples that share a text, directly or by way of others, are one group.

    Args:
        examples: the texts of each example.

    Returns:
        None where no text is shared.
    """
    parent = list(range(len(examples)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[Hashable, int] = {}
    for row, texts in enumerate(examples):
        for text in texts:
            parent[root(row)] = root(first.setdefault(text, row))
    _, numbers = np.unique([root(row) for row in range(len(examples))], return_inverse=True)
    return None if len(examples) == 0 or numbers.max() + 1 == len(examples) else numbers.astype(np.intp)
