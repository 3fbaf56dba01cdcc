"""Groups of examples that share a text and so are not independent, such as Quora's pairs of questions."""

from collections.abc import Hashable, Mapping, Sequence

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
    return within(np.array([root(row) for row in range(len(examples))], dtype=np.intp))


def joint_groups(tasks: Mapping[str, Sequence[Sequence[Hashable]]]) -> dict[str, NDArray[np.intp]]:
    """Number of each example's group over all tasks, [n] for each: tasks may be about the same texts.

    Args:
        tasks: task -> the texts of each example.
    """
    every = [texts for examples in tasks.values() for texts in examples]
    shared = text_groups(every)
    numbers = np.arange(len(every), dtype=np.intp) if shared is None else shared
    return dict(zip(tasks, np.split(numbers, np.cumsum([len(examples) for examples in tasks.values()])), strict=False))


def within(groups: NDArray[np.intp] | None) -> NDArray[np.intp] | None:
    """Groups of one task numbered from 0 without gaps, [n]; None where every example stands alone."""
    if groups is None or len(groups) == 0:
        return None
    _, numbers = np.unique(groups, return_inverse=True)
    return None if numbers.max() + 1 == len(groups) else numbers.astype(np.intp)


def meet(tasks: Sequence[NDArray[np.intp] | None]) -> bool:
    """Whether two tasks have examples of one group, by `joint_groups`; None: every example stands alone."""
    present = [np.unique(groups) for groups in tasks if groups is not None]
    return bool(present) and len(np.unique(np.concatenate(present))) < sum(map(len, present))
