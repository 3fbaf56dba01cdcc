"""Faults of the files of a training, and cautions for readers of its scores."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from bertram.config import SplitConfig
from bertram.data.describe import words_of
from bertram.data.rows import Part, Rows, above, divided, read_further, read_rows, refuse_double_ids
from bertram.data.sources import DataSource, HeldOut, HubUnreachableError, Split, as_source
from bertram.data.splits import hold_out, tasks_to_split
from bertram.errors import DataError
from bertram.label_spaces import as_number
from bertram.task_files import Extra
from bertram.tasks import Task

FileRows = Mapping[tuple[str, str], Rows]  # by task, and train, dev or a place of `Task.further`
DIVIDED: tuple[Split, ...] = ("train", "dev")
RARE = 0.2  # of the rows that each label would have if all had as many
EVEN_OF_ONE = 3  # rows that each label would have, from which on a single row is few
LISTED = 8
_NO_LETTER = re.compile(r"[^\w+#]+|_+")  # C, C++ and C# are three
COMMON = 0.01  # share of the rows above which something is worth a caution


class FilesRead(NamedTuple):
    """The files of a training.

    Attributes:
        rows: rows by task and part.
        problems: everything for which a training would refuse the data, a message each.
        held_out: task -> dev rows that are held out of its training file.
    """

    rows: dict[tuple[str, str], Rows]
    problems: list[str]
    held_out: dict[str, HeldOut]


def read_files(
    tasks: Mapping[str, Task],
    data: str | DataSource,
    *,
    allow_rejects: bool = False,
    split: SplitConfig | None = None,
) -> FilesRead:
    """The rows of every file that a training needs, each file read once.

    Args:
        tasks: tasks by name; a task that is not trained needs its dev file only.
        data: a directory, ``hub`` or ``sample``, or a source that may know which dev rows are held out.
        allow_rejects: accept files of which more than 1 % of the rows cannot be used.
        split: rule for the dev rows of tasks that name no dev file.

    Returns:
        The rows by task and part (train, dev, or a place of `Task.further`), and everything for which a training would
        refuse the data, a message each.
    """
    source = as_source(data)
    rows: dict[tuple[str, str], Rows] = {}
    problems: list[str] = []
    split_names = tasks_to_split(tasks, source, split or SplitConfig())
    for name, task in tasks.items():
        for part in ("train", "dev", *task.further) if task.trained else ("dev",):
            if part == "dev" and name in split_names:
                continue
            try:
                if part in task.further:
                    rows[name, part] = read_further(task, part, source, allow_rejects=allow_rejects)
                else:
                    whole = replace(source, held_out={}) if part == "train" and name in split_names else source
                    rows[name, part] = read_rows(task, whole, cast(Split, part), allow_rejects=allow_rejects)
            except HubUnreachableError as error:  # it would say the same of every further file
                return FilesRead(rows, [*dict.fromkeys([*problems, str(error)])], {})
            except DataError as error:
                problems.append(str(error))
            else:
                if part == "train" and name not in split_names:
                    problems.extend(_too_few(task, rows[name, part]))
        if name not in split_names:
            problems.extend(_problems(task, rows))
    whole_rows = {name: rows[name, "train"] for name in split_names if (name, "train") in rows}
    try:
        held_out = dict(source.held_out) if source.held_out else hold_out(whole_rows, split or SplitConfig())
        for name, train in whole_rows.items():
            rows[name, "train"], rows[name, "dev"] = (divided(train, held_out[name], part) for part in DIVIDED)
            refuse_double_ids(train.file, rows[name, "dev"].ids, rows[name, "dev"].lines.tolist())
            problems.extend(_too_few(tasks[name], rows[name, "train"]))
            problems.extend(_problems(tasks[name], rows))
    except DataError as error:
        problems.append(str(error))
        held_out = {}
    return FilesRead(rows, list(dict.fromkeys(problems)), held_out)


def _too_few(task: Task, train: Rows) -> list[str]:
    limit = task.max_train_samples
    return [above(train, limit, task.name)] if limit is not None and limit > len(train) else []


def _problems(task: Task, rows: FileRows) -> Iterator[str]:
    """Reasons why the rows of a task cannot be trained on."""
    train = rows.get((task.name, "train"))
    if train is None:
        return
    labels = _trained_labels(train, _further(task, rows))
    if len(labels) == 1:
        only = task.label_space.display(labels.pop())
        yield f"{train.file}: every training row of {task.name} has the label {only}; there is nothing to learn"
    dev = rows.get((task.name, "dev"))
    for place, file in task.further.items():
        further = rows.get((task.name, place))
        if further is None:
            continue
        if further.part == "unlabelled" and dev is not None:
            yield from _leaked(further, dev, f"tasks.{task.name}.{place}")
        if isinstance(file, Extra) and file.match_labels:
            yield from _unmatched(task, train, further, place)


def _leaked(unlabelled: Rows, dev: Rows, field: str) -> Iterator[str]:
    """The reason why rows that teachers label cannot be used: they hold rows of dev."""
    in_dev = set(map(words_of, dev.texts))
    leaked = [line for texts, line in zip(unlabelled.texts, unlabelled.lines, strict=True) if words_of(texts) in in_dev]
    if leaked:
        yield (
            f"{unlabelled.file}: {len(leaked):,} of its rows are rows of dev, the first in line {leaked[0]}; {field} "
            "must not hold what the run is scored on; remove them"
        )


def _unmatched(task: Task, train: Rows, further: Rows, place: str) -> Iterator[str]:
    """The labels whose frequency cannot be matched, since a file has no row with them."""
    for value in sorted(_labels(train) - _labels(further)):
        label = task.label_space.display(value)
        yield f"{further.file}: no row has the label {label}, so tasks.{task.name}.{place}.match_labels must be false"


def check_files(
    tasks: Mapping[str, Task],
    data: str | DataSource,
    *,
    allow_rejects: bool = False,
    split: SplitConfig | None = None,
) -> list[str]:
    """Everything for which a training would refuse the data, over all files of all tasks: a message each."""
    return read_files(tasks, data, allow_rejects=allow_rejects, split=split).problems


def left_out(task: str, rows: Rows) -> list[str]:
    """The rows of a file that do not count for a task, a line each, and a line for those without a label."""
    lines = [f"rejected: {reject}" for reject in rows.rejects]
    if rows.unlabelled:
        lines.append(f"{rows.file}: rows without a label for {task}, left out: {rows.unlabelled:,}")
    return lines


def cautions(tasks: Mapping[str, Task], rows: FileRows) -> list[str]:
    """Cautions about rows that make a run's scores misleading, a sentence each.

    Args:
        tasks: tasks by name.
        rows: rows of their files, as `read_files` gives them.
    """
    return [
        f"{name}: {caution}"
        for name, task in tasks.items()
        if (name, "dev") in rows
        for caution in (
            *_cautions(task, rows.get((name, "train")), _further(task, rows), rows[name, "dev"]),
            *_unused_exclusions(task, rows),
        )
    ]


def _unused_exclusions(task: Task, rows: FileRows) -> Iterator[str]:
    """Sentences about tables of rows to leave out that no row of their file matches."""
    for place, file in task.further.items():
        further = rows.get((task.name, place))
        if file.exclude and further is not None and not further.excluded:
            yield f"no row of {further.name} has a value of {place}.exclude, so none is left out"


def _cautions(task: Task, train: Rows | None, further: Sequence[Rows], dev: Rows) -> Iterator[str]:
    space = task.label_space
    in_dev = _labels(dev)
    if len(in_dev) == 1:
        yield f"every dev row has the label {space.display(next(iter(in_dev)))}, so its scores tell little"
    if train is None:
        return
    if space.names:
        trained = space.counts(_trained_labels(train, further)) or {}
        dev_counts = space.counts([] if dev.labels is None else dev.labels.tolist()) or {}
        for label, count in dev_counts.items():
            if not trained[label]:
                where = f" ({count:,} in dev)" if count else ""
                yield f"the label {label} has no training row{where}; it can never be predicted"
        yield from label_cautions(space.counts([] if train.labels is None else train.labels.tolist()) or {})
    if dev.held_out:
        yield dev.held_out
    elif train.sha256 == dev.sha256:
        yield f"dev is the training file {train.name}; its scores do not show what the model does with new texts"
        return
    train_texts = set(train.texts).union(*(rows.texts for rows in further))
    common = sum(texts in train_texts for texts in dev.texts)
    if common >= COMMON * len(dev):
        yield f"{common:,} of {len(dev):,} dev rows have the texts of a training row"


def token_cautions(name: str, part: Part, unknown_shares: NDArray[np.float64]) -> list[str]:
    """A sentence if many texts of a file mean nothing to the encoder.

    Args:
        name: name of the task.
        part: use of the file.
        unknown_shares: share of each row's tokens that the encoder does not know, [n].
    """
    count = int(np.count_nonzero(unknown_shares > 0.5))
    if count < COMMON * len(unknown_shares):
        return []
    fully_unknown = int(np.count_nonzero(unknown_shares == 1))
    alike = f"; it knows no token of {fully_unknown:,}, and gives all of them the same answer" if fully_unknown else ""
    rows = f"{count:,} of {len(unknown_shares):,} {part} rows"
    return [f"{name}: the encoder knows less than half of the tokens of {rows}{alike}"]


def _further(task: Task, rows: FileRows) -> list[Rows]:
    """The rows of a task's further files, as far as they could be read."""
    return [rows[task.name, place] for place in task.further if (task.name, place) in rows]


def _trained_labels(train: Rows, further: Iterable[Rows]) -> set[float]:
    return _labels(train).union(*map(_labels, further))


def _labels(rows: Rows) -> set[float]:
    return set() if rows.labels is None else set(rows.labels.tolist())


def label_cautions(counts: Mapping[str, int]) -> Iterator[str]:
    """Sentences about labels that are rare, or nearly equal.

    Args:
        counts: label -> number of training rows.
    """
    even = sum(counts.values()) / max(1, len(counts))
    rare = [
        f"{label} ({count:,})"
        for label, count in counts.items()
        if 0 < count < RARE * even or (count == 1 and even >= EVEN_OF_ONE)
    ]
    if rare:
        yield f"labels with few training rows: {listed(rare)}"
    alike: dict[str, list[str]] = {}
    for label in counts:
        if as_number(label) is not None:
            continue
        alike.setdefault(_NO_LETTER.sub("", label.casefold()) or label, []).append(label)
    for labels in alike.values():
        if len(labels) > 1:
            spellings = " and ".join(f"{label!r} ({counts[label]:,} rows)" for label in labels)
            yield f"the labels {spellings} are nearly equal; if they mean the same, mend the file or set labels"


def listed(labels: Sequence[str]) -> str:
    """The first labels, and how many more there are."""
    rest = f" and {len(labels) - LISTED:,} more" if len(labels) > LISTED else ""
    return ", ".join(labels[:LISTED]) + rest
