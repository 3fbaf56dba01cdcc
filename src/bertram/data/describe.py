"""What is in the files: sizes, label balance, token lengths, repeated rows, overlap of train and dev, rejects.

Two examples count as the same when they have the same words: case, punctuation and the order of a pair do not matter.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bertram.data.rows import Reject, Rows, read_extra, read_rows
from bertram.data.sources import HubUnreachableError, Split
from bertram.data.tokenizer import Tokenizer
from bertram.errors import DataError
from bertram.tasks import Task

if TYPE_CHECKING:
    from rich.console import Group

Part = Literal["train", "extra", "dev", "test"]
Form = tuple[str, ...]
PARTS: tuple[Part, ...] = ("train", "extra", "dev", "test")
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


@dataclass(frozen=True)
class Scores:
    """How the scores of a file are spread."""

    quantiles: tuple[float, ...]  # lowest, 25 %, median, 75 %, highest
    histogram: tuple[int, ...]  # rows in equal parts of the label range
    not_integer: float  # share of the rows


@dataclass(frozen=True)
class PartDescription:
    """One file of a task; `problem` says why there is nothing else."""

    part: Part
    file: Path | None = None
    rows: int = 0
    labels: Mapping[str, int] | None = None
    scores: Scores | None = None
    lengths: Lengths | None = None
    duplicates: int = 0  # rows with the words of an earlier row
    contradictions: int = 0  # of these, rows whose label differs from the earlier row's
    duplicate_ids: int = 0
    excluded: int = 0
    rejects: tuple[Reject, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Overlap:
    """How many rows of `part` occur in `other` as well."""

    part: Part
    other: Part
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


def describe(tasks: Mapping[str, Task], data: str, tokenizer: Tokenizer, max_tokens: int = 512) -> Description:
    """Read every file of the tasks and say what is in it; a file that cannot be used is described by its problem.

    Args:
        tasks: what to read.
        data: a directory, ``hub`` or ``sample``.
        tokenizer: the encoder's, for the lengths.
        max_tokens: positions of the encoder, [CLS] and [SEP] included.

    Raises:
        HubUnreachableError: the files are the Hub's, which does not answer.
    """
    return Description(tuple(_describe_task(task, data, tokenizer, max_tokens) for task in tasks.values()), max_tokens)


def _describe_task(task: Task, data: str, tokenizer: Tokenizer, max_tokens: int) -> TaskDescription:
    parts: list[PartDescription] = []
    forms: dict[Part, list[Form]] = {}
    for part in PARTS:
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
    others: tuple[Part, ...] = ("train", "extra", "test")
    overlaps = tuple(_overlap(forms, other) for other in others if other in forms and "dev" in forms)
    return TaskDescription(task.name, tuple(parts), overlaps)


def _has(task: Task, data: str, part: Part) -> bool:
    if part == "extra":
        return task.extra is not None
    files = task.hub if data == "hub" else task.files
    return files is None or getattr(files, part) is not None


def _read(task: Task, data: str, part: Part) -> Rows:
    if part == "extra":
        return read_extra(task, data, allow_rejects=True)
    split: Split = part
    return read_rows(task, data, split, labelled=split != "test", allow_rejects=True)


def _describe_rows(task: Task, part: Part, rows: Rows, forms: list[Form], lengths: Lengths) -> PartDescription:
    labels = scores = None
    if rows.labels is not None and task.kind == "score":
        histogram, _ = np.histogram(rows.labels, bins=HISTOGRAM_BINS, range=task.range)
        scores = Scores(
            tuple(float(value) for value in np.quantile(rows.labels, (0, 0.25, 0.5, 0.75, 1))),
            tuple(int(count) for count in histogram),
            float(np.mean(rows.labels != np.round(rows.labels))),
        )
    elif rows.labels is not None:
        counted = np.bincount(rows.labels.astype(np.int64), minlength=task.classes)
        labels = {name: int(count) for name, count in zip(task.class_names, counted, strict=True)}
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
        rejects=tuple(rows.rejects),
    )


def _repeated(rows: Rows, forms: list[Form]) -> tuple[int, int]:
    first: dict[Form, int] = {}
    earlier = [(row, first.setdefault(form, row)) for row, form in enumerate(forms)]
    repeated = [(row, before) for row, before in earlier if row != before]
    labels = rows.labels
    differing = 0 if labels is None else sum(bool(labels[row] != labels[before]) for row, before in repeated)
    return len(repeated), differing


def words_of(texts: tuple[str, ...]) -> Form:
    """What two examples must have in common to count as the same; a text without words stands for itself."""
    return tuple(sorted(" ".join(_WORD.findall(text.lower())) or text for text in texts))


def _overlap(forms: Mapping[Part, list[Form]], other: Part) -> Overlap:
    whole = set(forms[other])
    single = {text for form in whole for text in form}
    same = sum(form in whole for form in forms["dev"])
    return Overlap("dev", other, same, sum(not single.isdisjoint(form) for form in forms["dev"]))


def _lengths(task: Task, rows: Rows, tokenizer: Tokenizer, max_tokens: int) -> Lengths:
    by_text = [
        np.array([len(ids) for ids in tokenizer.encode([texts[side] for texts in rows.texts])])
        for side in range(2 if task.pair else 1)
    ]
    if task.encodings_per_example == 2:
        tokens = np.concatenate(by_text) + 2
    else:
        tokens = np.stack(by_text).sum(axis=0) + 1 + len(by_text)
    return Lengths(
        sequences=len(tokens),
        mean=float(tokens.mean()),
        median=float(np.median(tokens)),
        percentile95=float(np.quantile(tokens, 0.95)),
        longest=int(tokens.max()),
        cut=int(np.count_nonzero(tokens > max_tokens)),
    )


def render(description: Description, rejects_shown: int = 20) -> "Group":
    """The description as a table and lines for the terminal, with the first rejects of each file."""
    from rich.console import Group  # noqa: PLC0415 - for the terminal only
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415 - what stands in files is no markup

    table = Table(
        *("task", "part", "rows", "rejected", "labels", "tokens: mean, median, 95 %, most", "cut", "repeated"),
        caption=f"cut: sequences above {description.max_tokens} tokens; repeated: same words as an earlier row",
    )
    for task in description.tasks:
        for part in task.parts:
            cells = [Text(cell) for cell in (task.name, part.part, *_cells(part))]
            table.add_row(*cells, end_section=part is task.parts[-1])
    return Group(table, *(Text(note) for note in _notes(description, rejects_shown)))


def _cells(part: PartDescription) -> list[str]:
    if part.lengths is None:
        return ["-", "-", "cannot be read"]
    tokens = part.lengths
    contradicting = f" ({part.contradictions:,} with another label)" if part.contradictions else ""
    spread = f"{tokens.mean:.1f}, {tokens.median:.0f}, {tokens.percentile95:.0f}, {tokens.longest:,}"
    return [
        f"{part.rows:,}",
        f"{len(part.rejects):,}",
        _balance(part),
        spread,
        f"{tokens.cut:,}",
        f"{part.duplicates:,}{contradicting}",
    ]


def _balance(part: PartDescription) -> str:
    if part.labels is not None:
        return "\n".join(f"{name} {count:,} ({count / part.rows:.1%})" for name, count in part.labels.items())
    if part.scores is None:
        return "-"
    quantiles = " ".join(f"{value:g}" for value in part.scores.quantiles)
    histogram = " ".join(f"{count:,}" for count in part.scores.histogram)
    return f"quartiles {quantiles}\nin fifths of the range {histogram}\nnot integers {part.scores.not_integer:.1%}"


def _notes(description: Description, rejects_shown: int) -> Iterator[str]:
    for task in description.tasks:
        for part in task.parts:
            yield from _part_notes(f"{task.name} {part.part}", part, rejects_shown)
        for lap in task.overlaps:
            yield (
                f"{task.name}: {lap.same:,} rows of {lap.part} have the words of a row of {lap.other}, "
                f"{lap.sharing:,} share a text with one"
            )


def _part_notes(name: str, part: PartDescription, rejects_shown: int) -> Iterator[str]:
    if part.problem:
        yield f"{name}: {part.problem}"
    if part.excluded:
        yield f"{name}: rows left out, as the task's definition says: {part.excluded:,}"
    if part.duplicate_ids:
        yield f"{name}: rows with the id of an earlier row: {part.duplicate_ids:,}"
    yield from (f"rejected {reject}" for reject in part.rejects[:rejects_shown])
    if len(part.rejects) > rejects_shown:
        yield f"{name}: and {len(part.rejects) - rejects_shown:,} more rejected"
