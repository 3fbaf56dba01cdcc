"""What is wrong with the files of a training, and what a reader of its scores should know beforehand."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bertram.data.rows import Part, Rows, above, read_extra, read_rows
from bertram.data.sources import HubUnreachableError
from bertram.errors import DataError
from bertram.tasks import Task

FileRows = Mapping[tuple[str, Part], Rows]  # by task and part
COMMON = 0.01  # share of the rows above which something is worth a caution


def read_files(
    tasks: Mapping[str, Task], data: str, *, allow_rejects: bool = False
) -> tuple[dict[tuple[str, Part], Rows], list[str]]:
    """The rows of every file that a training needs, each file read once.

    Args:
        tasks: tasks by name; a task that is not trained needs its dev file only.
        data: a directory, ``hub`` or ``sample``.
        allow_rejects: accept files of which more than 1 % of the rows cannot be used.

    Returns:
        The rows by task and part, and everything for which a training would refuse the data, a message each.
    """
    rows: dict[tuple[str, Part], Rows] = {}
    problems: list[str] = []
    for name, task in tasks.items():
        parts: tuple[Part, ...] = ("train", "dev", "extra") if task.trained else ("dev",)
        for part in parts:
            try:
                if part == "extra":
                    if task.extra is not None:
                        rows[name, part] = read_extra(task, data, allow_rejects=allow_rejects)
                else:
                    rows[name, part] = read_rows(task, data, part, allow_rejects=allow_rejects)
            except HubUnreachableError as error:  # it would say the same of every further file
                return rows, [*dict.fromkeys([*problems, str(error)])]
            except DataError as error:
                problems.append(str(error))
            else:
                problems.extend(_problems(task, rows, part))
    return rows, list(dict.fromkeys(problems))


def _problems(task: Task, rows: FileRows, part: Part) -> Iterator[str]:
    train, limit = rows.get((task.name, "train")), task.max_train_samples
    if train is None:
        return
    if part == "train" and limit is not None and limit > len(train):
        yield above(train, limit, task.name)
    labels = _trained_labels(train, rows.get((task.name, "extra")))
    if part == ("train" if task.extra is None else "extra") and len(labels) == 1:
        only = task.label_space.display(labels.pop())
        yield f"{train.file}: every training row of {task.name} has the label {only}; there is nothing to learn"


def check_files(tasks: Mapping[str, Task], data: str, *, allow_rejects: bool = False) -> list[str]:
    """Everything for which a training would refuse the data, over all files of all tasks: a message each."""
    _, problems = read_files(tasks, data, allow_rejects=allow_rejects)
    return problems


def left_out(task: str, rows: Rows) -> list[str]:
    """The rows of a file that do not count for a task, a line each, and a line for those without a label."""
    lines = [f"rejected: {reject}" for reject in rows.rejects]
    if rows.unlabelled:
        lines.append(f"{rows.file}: rows without a label for {task}, left out: {rows.unlabelled:,}")
    return lines


def cautions(tasks: Mapping[str, Task], rows: FileRows) -> list[str]:
    """What a reader of a run's scores should know of its rows, a sentence each.

    Args:
        tasks: tasks by name.
        rows: rows of their files, as `read_files` gives them.
    """
    return [
        f"{name}: {caution}"
        for name, task in tasks.items()
        if (name, "dev") in rows
        for caution in _cautions(task, rows.get((name, "train")), rows.get((name, "extra")), rows[name, "dev"])
    ]


def _cautions(task: Task, train: Rows | None, extra: Rows | None, dev: Rows) -> Iterator[str]:
    space = task.label_space
    in_dev = _labels(dev)
    if len(in_dev) == 1:
        yield f"every dev row has the label {space.display(next(iter(in_dev)))}, so its scores tell little"
    if train is None:
        return
    if space.names:
        trained = space.counts(_trained_labels(train, extra)) or {}
        dev_counts = space.counts([] if dev.labels is None else dev.labels.tolist()) or {}
        for label, count in dev_counts.items():
            if not trained[label]:
                where = f" ({count:,} in dev)" if count else ""
                yield f"the label {label} has no training row{where}; it can never be predicted"
    if train.sha256 == dev.sha256:
        yield f"dev is the training file {train.name}; its scores do not show what the model does with new texts"
        return
    train_texts = set(train.texts)
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


def _trained_labels(train: Rows, extra: Rows | None) -> set[float]:
    return _labels(train) | (set() if extra is None else _labels(extra))


def _labels(rows: Rows) -> set[float]:
    return set() if rows.labels is None else set(rows.labels.tolist())
