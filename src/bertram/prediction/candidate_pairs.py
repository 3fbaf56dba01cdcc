"""Pairs of training texts that are worth a teacher's label (Augmented SBERT: Thakur et al., 2021).

Each text's nearest neighbours by the encoder's vectors, and up to as many random pairs. Pairs that are rows of the
task's training, dev or test data are left out.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bertram.data.describe import words_of
from bertram.data.rows import Rows, read_further, read_rows
from bertram.data.sources import DataSource, Split, as_source, has_split
from bertram.data.splits import training_side
from bertram.data.texts import unmarked
from bertram.data.tokenizer import Tokenizer
from bertram.errors import ConfigError
from bertram.model.encoders import Encoder
from bertram.prediction.vectors import mean_vectors, normalized
from bertram.runs.files import write_output
from bertram.tasks import Task

HELD_OUT: tuple[Split, ...] = ("dev", "test")
BLOCK = 1024  # texts whose similarities to all others are held at once


@dataclass(frozen=True)
class Candidate:
    """A pair without a label.

    Attributes:
        texts: both texts, as the task normalizes them.
        origin: ``neighbour`` or ``random``.
        similarity: cosine of the texts' vectors.
    """

    texts: tuple[str, str]
    origin: str
    similarity: float


def candidate_pairs(
    task: Task,
    data: str | DataSource,
    encoder: Encoder,
    tokenizer: Tokenizer,
    *,
    neighbours: int = 1,
    seed: int = 0,
    allow_rejects: bool = False,
) -> list[Candidate]:
    """Candidate pairs of the training texts of a task, nearest neighbours first.

    Args:
        task: a task of pairs.
        data: a directory, ``hub`` or ``sample``, or a source that may know which dev rows are held out.
        encoder: source of the vectors, the mean of a text's hidden states.
        tokenizer: tokenizer of the encoder.
        neighbours: number of neighbours of each text.
        seed: random seed of the random pairs.
        allow_rejects: accept a training file of which more than 1 % of the rows cannot be used.

    Raises:
        ConfigError: the task reads single texts, or has fewer than 3 training texts.
        DataError: a file cannot be read.
    """
    if not task.pair:
        raise ConfigError([f"task {task.name} reads single texts; pairs are for tasks of two texts"])
    source = as_source(data)
    training = [training_side(task, source, allow_rejects=allow_rejects)]
    training += [read_further(task, place, source, allow_rejects=True) for place in task.further]
    marked_texts: dict[str, str] = {}  # text without its mark -> text
    for pair in (pair for rows in training for pair in rows.texts):
        for plain, text in zip(unmarked(task, pair), pair, strict=True):
            marked_texts.setdefault(plain, text)
    texts = list(marked_texts.values())
    if len(texts) < 3:
        raise ConfigError([f"task {task.name} has {len(texts)} training texts; pairs need at least 3"])
    vectors = torch.from_numpy(
        normalized(mean_vectors(encoder, tokenizer, list(marked_texts), encoder.config.max_tokens))
    )
    excluded = {words_of(pair) for rows in (*training, *_held_out(task, source)) for pair in rows.texts}
    near = list(_new_pairs(texts, _neighbours(vectors, neighbours), excluded))
    far = list(_new_pairs(texts, _random(len(texts), 4 * len(near), seed), excluded))[: len(near)]
    return [
        Candidate((texts[first], texts[second]), origin, float(vectors[first] @ vectors[second]))
        for origin, places in (("neighbour", near), ("random", far))
        for first, second in places
    ]


def write_pairs(path: Path, task: Task, candidates: Sequence[Candidate]) -> None:
    """Write candidate pairs as a TSV file with the task's text columns.

    Raises:
        RunError: the file cannot be written.
    """
    table = io.StringIO()
    writer = csv.writer(table, delimiter="\t", lineterminator="\n")
    writer.writerow([*task.files.texts, "origin", "similarity"])
    for candidate in candidates:
        writer.writerow([*candidate.texts, candidate.origin, f"{candidate.similarity:.4f}"])
    write_output(path, table.getvalue())


def _neighbours(vectors: Tensor, count: int) -> Iterator[tuple[int, int]]:
    """Each text with its nearest others, nearest first."""
    count = min(count, len(vectors) - 1)
    for begin in range(0, len(vectors), BLOCK):
        similarities = vectors[begin : begin + BLOCK] @ vectors.T
        rows = torch.arange(len(similarities))
        similarities[rows, rows + begin] = -2.0  # a text is not its own neighbour
        for row, nearest in enumerate(similarities.topk(count, dim=1).indices.tolist()):
            yield from ((begin + row, place) for place in nearest)


def _random(size: int, count: int, seed: int) -> Iterator[tuple[int, int]]:
    generator = np.random.default_rng(seed)
    for first, second in generator.integers(size, size=(count, 2)):
        yield int(first), int(second)


def _new_pairs(
    texts: Sequence[str], places: Iterable[tuple[int, int]], excluded: set[tuple[str, ...]]
) -> Iterator[tuple[int, int]]:
    """The pairs of two texts that are not excluded; each is excluded from then on, in either order."""
    for first, second in places:
        words = words_of((texts[first], texts[second]))
        if words[0] != words[1] and words not in excluded:
            excluded.add(words)
            yield first, second


def _held_out(task: Task, source: DataSource) -> Iterator[Rows]:
    """The rows of dev, held out or of a file, and of test, as far as the task has them."""
    for split in HELD_OUT:
        if has_split(task, source, split) or (split == "dev" and task.name in source.held_out):
            yield read_rows(task, source, split, labelled=False, allow_rejects=True, allow_double_ids=True)
