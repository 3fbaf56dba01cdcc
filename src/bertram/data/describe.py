"""Description of data files: sizes, label balance, token lengths, duplicates, overlap of train and dev, rejected rows.

Two examples count as the same when they have the same words: case, punctuation and the order of a pair do not matter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bertram.data.rows import Reject, Rows, read_further, read_rows
from bertram.data.sources import DataSource, HubUnreachableError, Split, as_source, has_split
from bertram.data.texts import unmarked
from bertram.data.tokenizer import Tokenizer
from bertram.errors import DataError
from bertram.tasks import Task

Form = tuple[str, ...]
HISTOGRAM_BINS = 5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Lengths:
    """Tokens a sequence as the encoder reads it, [CLS] and [SEP] included."""

    sequences: int
    mean: float
    median: float
    percentile95: float
    longest: int
    cut: int  # sequences above the encoder's positions
    unknown: float  # share of tokens that the encoder does not know
    unreadable: int  # rows of nothing else, or without a token


@dataclass(frozen=True)
class Scores:
    """Distribution of the scores of a file."""

    quantiles: tuple[float, ...]  # lowest, 25 %, median, 75 %, highest
    histogram: tuple[int, ...]  # rows in equal parts of the label range
    not_integer: float  # share of the rows


@dataclass(frozen=True)
class PartDescription:
    """Description of one file of a task; of a file that cannot be used, only `problem`."""

    part: str  # train, dev, test, or a place of `Task.further`
    file: Path | None = None
    rows: int = 0
    labels: Mapping[str, int] | None = None
    scores: Scores | None = None
    lengths: Lengths | None = None
    duplicates: int = 0  # rows with the words of an earlier row
    contradictions: int = 0  # of these, rows whose label differs from the earlier row's
    duplicate_ids: int = 0
    excluded: int = 0
    unlabelled: int = 0
    rejects: tuple[Reject, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Overlap:
    """Number of rows of `part` that also occur in `other`."""

    part: str
    other: str
    same: int
    sharing: int  # rows of which at least one text is a text of a row of `other`


@dataclass(frozen=True)
class TaskDescription:
    """The files of a task, and how dev overlaps with what is trained on and with test."""

    name: str
    parts: tuple[PartDescription, ...]
    overlaps: tuple[Overlap, ...]


@dataclass(frozen=True)
class Description:
    """The files of a set of tasks."""

    tasks: tuple[TaskDescription, ...]
    max_tokens: int


def describe(
    tasks: Mapping[str, Task], data: str | DataSource, tokenizer: Tokenizer, max_tokens: int = 512
) -> Description:
    """Read every file of the tasks and say what is in it; a file that cannot be used is described by its problem.

    Args:
        tasks: tasks whose files are read.
        data: a directory, ``hub`` or ``sample``, or a source that knows which dev rows are held out.
        tokenizer: the encoder's, for the lengths.
        max_tokens: positions of the encoder, [CLS] and [SEP] included.

    Raises:
        HubUnreachableError: the files are the Hub's, which does not answer.
    """
    source = as_source(data)
    return Description(
        tuple(_describe_task(task, source, tokenizer, max_tokens) for task in tasks.values()), max_tokens
    )


def _describe_task(task: Task, data: DataSource, tokenizer: Tokenizer, max_tokens: int) -> TaskDescription:
    parts: list[PartDescription] = []
    forms: dict[str, list[Form]] = {}
    for part in ("train", *task.further, "dev", "test"):
        if not _has(task, data, part):
            continue
        try:
            rows = _read(task, data, part)
        except HubUnreachableError:
            raise
        except DataError as error:
            parts.append(PartDescription(part, problem=str(error)))
            continue
        forms[part] = [words_of(texts) for texts in rows.texts]
        parts.append(_describe_rows(task, part, rows, forms[part], _lengths(task, rows, tokenizer, max_tokens)))
    comparable_parts = ("train", *task.further, "test")
    overlaps = tuple(_overlap(forms, part) for part in comparable_parts if part in forms and "dev" in forms)
    return TaskDescription(task.name, tuple(parts), overlaps)


def _has(task: Task, source: DataSource, part: str) -> bool:
    if part in task.further:
        return True
    split = cast(Split, part)
    return has_split(task, source, split) or (part == "dev" and task.name in source.held_out)


def _read(task: Task, data: DataSource, part: str) -> Rows:
    if part in task.further:
        return read_further(task, part, data, allow_rejects=True)
    split = cast(Split, part)
    return read_rows(task, data, split, labelled=split != "test", allow_rejects=True, allow_double_ids=True)


def _describe_rows(task: Task, part: str, rows: Rows, forms: list[Form], lengths: Lengths) -> PartDescription:
    labels = scores = None
    if rows.labels is not None:
        labels = task.label_space.counts(rows.labels.tolist())
        scores = _scores(rows.labels, task.label_space.bounds)
    duplicates, contradictions = _repeated(rows, forms)
    return PartDescription(
        part=part,
        file=rows.file,
        rows=len(rows),
        labels=labels,
        scores=scores,
        lengths=lengths,
        duplicates=duplicates,
        contradictions=contradictions,
        duplicate_ids=len(rows) - len(set(rows.ids)),
        excluded=rows.excluded,
        unlabelled=rows.unlabelled,
        rejects=tuple(rows.rejects),
    )


def _scores(labels: NDArray[Any], bounds: tuple[float, float] | None) -> Scores | None:
    if bounds is None:
        return None
    histogram, _ = np.histogram(labels, bins=HISTOGRAM_BINS, range=bounds)
    return Scores(
        tuple(float(value) for value in np.quantile(labels, (0, 0.25, 0.5, 0.75, 1))),
        tuple(int(count) for count in histogram),
        float(np.mean(labels != np.round(labels))),
    )


def _repeated(rows: Rows, forms: list[Form]) -> tuple[int, int]:
    first: dict[Form, int] = {}
    earlier = [(row, first.setdefault(form, row)) for row, form in enumerate(forms)]
    repeated = [(row, before) for row, before in earlier if row != before]
    labels = rows.labels
    differing = 0 if labels is None else sum(bool(labels[row] != labels[before]) for row, before in repeated)
    return len(repeated), differing


def words_of(texts: tuple[str, ...]) -> Form:
    """Words of an example's texts, by which duplicates are found; a text without words counts as one word."""
    return tuple(sorted(" ".join(_WORD.findall(text.lower())) or text for text in texts))


def _overlap(forms: Mapping[str, list[Form]], part: str) -> Overlap:
    whole = set(forms[part])
    single = {text for form in whole for text in form}
    whole_count = sum(form in whole for form in forms["dev"])
    return Overlap("dev", part, whole_count, sum(not single.isdisjoint(form) for form in forms["dev"]))


def _lengths(task: Task, rows: Rows, tokenizer: Tokenizer, max_tokens: int) -> Lengths:
    plain = [unmarked(task, texts) for texts in rows.texts]
    pieces = [tokenizer.encode([texts[side] for texts in plain]) for side in range(2 if task.pair else 1)]
    by_text = [np.array([len(ids) for ids in texts]) for texts in pieces]
    total = int(np.sum(by_text))
    unknown_count = sum(ids.count(tokenizer.unk_id) for texts in pieces for ids in texts)
    if task.encodings_per_example == 2:
        tokens = np.concatenate(by_text) + 2
    else:
        between = len(tokenizer.template.between) if task.pair else 0
        tokens = np.stack(by_text).sum(axis=0) + 2 + between
    return Lengths(
        sequences=len(tokens),
        mean=float(tokens.mean()),
        median=float(np.median(tokens)),
        percentile95=float(np.quantile(tokens, 0.95)),
        longest=int(tokens.max()),
        cut=int(np.count_nonzero(tokens > max_tokens)),
        unknown=unknown_count / total if total else 1.0,
        unreadable=int(np.count_nonzero(tokenizer.unknown_shares(list(zip(*pieces, strict=True))) == 1)),
    )
