"""Tokenized examples of one task, and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bertram.data.rows import Rows
from bertram.data.targets import Span, token_span, window, without_marks
from bertram.data.tokenizer import Tokenizer
from bertram.errors import DataError
from bertram.tasks import Task

Sequences = list[tuple[list[int], list[int]]]  # token ids and segment ids


@dataclass(frozen=True)
class Teaching:
    """Teachers' outputs for some examples.

    Attributes:
        targets: soft targets, [n, K] or [n], as `Output.soft_targets` gives them.
        labelled: [n] bool, whether an example has a gold label; the labels of the others have no meaning.
    """

    targets: Tensor
    labelled: Tensor

    def at(self, places: Tensor) -> "Teaching":
        """The outputs for the examples at these places."""
        return Teaching(self.targets[places], self.labelled[places])


@dataclass(frozen=True)
class Batch:
    """Examples of one task, ready for the encoder.

    `share` is what part of a larger batch this is; a mean over the larger batch is the sum of share times mean.
    `separators` is the number of special tokens between the two texts of one sequence. `teaching` has the teachers'
    outputs in distillation. `targets` are the token spans of the targets in each sequence, where the task pools them.
    """

    task: str
    ids: tuple[str, ...]
    sequences: Sequences  # n, or 2n for pairs encoded text by text: first texts first
    labels: Tensor | None  # [n]
    share: float = 1.0
    separators: int = 1
    teaching: Teaching | None = None
    targets: list[tuple[Span, ...]] | None = None

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.ids)

    def split(self, parts: int) -> list["Batch"]:
        """At most `parts` smaller batches of about equal size, none of them empty."""
        return [self.part(places) for places in np.array_split(np.arange(len(self)), parts) if len(places)]

    def part(self, places: Sequence[int] | npt.NDArray[np.int64]) -> "Batch":
        """Some of the examples, with their share."""
        chosen = [int(place) for place in places]
        texts_per_example = len(self.sequences) // len(self)
        of_chosen = [i + text * len(self) for text in range(texts_per_example) for i in chosen]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in chosen),
            sequences=[self.sequences[number] for number in of_chosen],
            targets=None if self.targets is None else [self.targets[number] for number in of_chosen],
            labels=None if self.labels is None else self.labels[chosen],
            share=self.share * len(chosen) / len(self),
            teaching=None if self.teaching is None else self.teaching.at(torch.tensor(chosen)),
        )


@dataclass(frozen=True)
class Examples:
    """All examples of one task and split, tokenized once.

    Args:
        task: task of the examples.
        ids: one each.
        pieces: the token ids of each text, without special tokens.
        labels: [n], or None.
        tokenizer: tokenizer that made the pieces and joins them.
        max_tokens: longer sequences are cut.
        texts: the normalized texts, where another tokenizer may need them.
        teaching: the teachers' outputs, in distillation.
        targets: the token span of each text's target, where the task pools it; a text is cut around its target.
    """

    task: Task
    ids: Sequence[str]
    pieces: Sequence[tuple[list[int], ...]]
    labels: Tensor | None
    tokenizer: Tokenizer
    max_tokens: int
    texts: Sequence[tuple[str, ...]] = ()
    teaching: Teaching | None = None
    targets: Sequence[tuple[Span, ...]] | None = None

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.ids)

    def batch(self, places: Sequence[int] | npt.NDArray[np.int64], *, swapped: bool = False) -> Batch:
        """The examples at these places; `swapped` puts a pair's second text first."""
        index = torch.as_tensor(np.asarray(places, dtype=np.int64))
        direction = -1 if swapped else 1
        chosen = [self.pieces[int(i)][::direction] for i in places]
        targets = None
        if self.targets is not None:
            chosen, targets = self._around_targets(chosen, [self.targets[int(i)][::direction] for i in places])
        return Batch(
            task=self.task.name,
            ids=tuple(self.ids[int(i)] for i in places),
            sequences=self._sequences(chosen),
            targets=targets,
            labels=None if self.labels is None else self.labels[index],
            separators=len(self.tokenizer.template.between),
            teaching=None if self.teaching is None else self.teaching.at(index),
        )

    def at(self, places: Sequence[int] | npt.NDArray[np.int64]) -> "Examples":
        """Only the examples at these places."""
        index = torch.as_tensor(np.asarray(places, dtype=np.int64))
        return replace(
            self,
            ids=[self.ids[int(i)] for i in places],
            pieces=[self.pieces[int(i)] for i in places],
            targets=None if self.targets is None else [self.targets[int(i)] for i in places],
            labels=None if self.labels is None else self.labels[index],
            texts=[self.texts[int(i)] for i in places] if self.texts else (),
            teaching=None if self.teaching is None else self.teaching.at(index),
        )

    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each example, special tokens left out: what to sort by."""
        return np.array([sum(map(len, pieces)) for pieces in self.pieces], dtype=np.int64)

    def unknown_shares(self) -> npt.NDArray[np.float64]:
        """Share of each example's tokens that the encoder does not know, [n]; 1 for an example without a token."""
        return self.tokenizer.unknown_shares(self.pieces)

    def cut(self) -> int:
        """Number of sequences that are truncated, because they are longer than the encoder's limit."""
        return sum(self._join(texts)[2] for pieces in self.pieces for texts in self._inputs(pieces))

    def _sequences(self, chosen: Sequence[tuple[list[int], ...]]) -> Sequences:
        inputs = [self._inputs(pieces) for pieces in chosen]
        return [self._join(texts[number])[:2] for number in range(self.task.encodings_per_example) for texts in inputs]

    def _around_targets(
        self, pieces: Sequence[tuple[list[int], ...]], targets: Sequence[tuple[Span, ...]]
    ) -> tuple[list[tuple[list[int], ...]], list[tuple[Span, ...]]]:
        """The texts cut around their targets so that they fit, and the targets' places in each sequence."""
        together = self.task.pair and self.task.encodings_per_example == 1
        between = len(self.tokenizer.template.between)
        room = (self.max_tokens - 2 - between) // 2 if together else self.max_tokens - 2
        cut = [
            [window(tokens, target, room) for tokens, target in zip(texts, spans, strict=True)]
            for texts, spans in zip(pieces, targets, strict=True)
        ]
        texts = [tuple(tokens for tokens, _ in example) for example in cut]
        if not together:
            columns = range(len(cut[0]))
            return texts, [(_moved(example[column][1], 1),) for column in columns for example in cut]
        return texts, [
            (_moved(first, 1), _moved(second, 1 + len(tokens) + between)) for (tokens, first), (_, second) in cut
        ]

    def _inputs(self, pieces: tuple[list[int], ...]) -> list[tuple[list[int], ...]]:
        return [(piece,) for piece in pieces] if self.task.encodings_per_example == 2 else [pieces]

    def _join(self, pieces: tuple[list[int], ...]) -> tuple[list[int], list[int], bool]:
        return self.tokenizer.joined(pieces, self.max_tokens)


def _moved(span: Span, by: int) -> Span:
    return span[0] + by, span[1] + by


def tokenized(task: Task, rows: Rows, tokenizer: Tokenizer, max_tokens: int) -> Examples:
    """The rows of a task as token ids."""
    labels = None
    if rows.labels is not None:
        labels = torch.from_numpy(rows.labels)
        labels = labels.float() if labels.is_floating_point() else labels
    return replace(make_examples(task, rows.ids, rows.texts, tokenizer, max_tokens), labels=labels, texts=rows.texts)


def make_examples(
    task: Task, ids: Sequence[str], texts: Sequence[tuple[str, ...]], tokenizer: Tokenizer, max_tokens: int
) -> Examples:
    """Texts of a task as token ids, without labels.

    Raises:
        DataError: a target without a token.
    """
    if not task.pools_target:
        return Examples(task, ids, tokenizer.encode_rows(texts), None, tokenizer, max_tokens)
    pieces, targets = tokenize_targets(texts, tokenizer)
    return Examples(task, ids, pieces, None, tokenizer, max_tokens, targets=targets)


def tokenize_targets(
    texts: Sequence[tuple[str, ...]], tokenizer: Tokenizer
) -> tuple[list[tuple[list[int], ...]], list[tuple[Span, ...]]]:
    """The token ids of one or two marked texts each, and the token spans of their targets.

    Raises:
        DataError: a target without a token.
    """
    parts = [[without_marks(text) for text in row] for row in texts]
    columns = range(len(texts[0]))
    encoded = [tokenizer.encode_with_spans([example[column][0] for example in parts]) for column in columns]
    pieces, targets = [], []
    for number, example in enumerate(parts):
        spans = [token_span(encoded[column][number][1], example[column][1]) for column in columns]
        if None in spans:
            raise DataError(f"text {texts[number][spans.index(None)]!r}: its target has no token")
        pieces.append(tuple(encoded[column][number][0] for column in columns))
        targets.append(tuple(span for span in spans if span is not None))
    return pieces, targets


def together(first: Examples, second: Examples) -> Examples:
    """Two sets of examples of one task as one; the second's places follow the first's."""
    assert first.labels is not None
    assert second.labels is not None
    return replace(
        first,
        ids=[*first.ids, *second.ids],
        pieces=[*first.pieces, *second.pieces],
        targets=None if first.targets is None or second.targets is None else [*first.targets, *second.targets],
        labels=torch.cat([first.labels, second.labels]),
        texts=[*first.texts, *second.texts],
    )
