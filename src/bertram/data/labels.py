"""Labels of tasks that name none, read from their training files."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bertram import options
from bertram.config import Config
from bertram.data.checks import check_files, listed
from bertram.data.memory import MemoryTable, named_class
from bertram.data.sources import DataSource, Split, as_source, files_of, table_of
from bertram.data.tables import open_table
from bertram.errors import ConfigError, DataError
from bertram.label_spaces import as_text, is_missing
from bertram.tasks import Task

MANY_LABELS = 50  # more of them, and more than half as many as rows, are no labels


class LabelsRead(NamedTuple):
    """A configuration whose tasks have their labels.

    Attributes:
        config: configuration with the labels.
        notes: sentences on the labels that were read.
    """

    config: Config
    notes: list[str]


def with_labels(config: Config, data: DataSource | None = None) -> LabelsRead:
    """The configuration with the labels of its data in the tasks that name none.

    Args:
        config: configuration.
        data: data; default: those of the configuration.

    Raises:
        ConfigError: labels cannot be read; with all that is wrong in the data of the other tasks.
    """
    source = data or as_source(config.data)
    labels: dict[str, dict[str, object]] = {}
    notes: list[str] = []
    problems: list[str] = []
    readable: dict[str, Task] = {}
    for name, task in config.tasks.items():
        if not task.label_space.labels_from_data:
            readable[name] = task
            continue
        try:
            counts, file, class_names, missing = label_counts(task, source)
        except DataError as error:
            problems.append(str(error))
            continue
        labels_found = task.label_space.labels_among(class_names or counts)
        if labels_found is not None and class_names:
            labels_found = class_names  # in the order in which the data set has them
        faults = [] if labels_found is None else list(_faults(task, labels_found, counts, file))
        problems += faults
        if not faults:
            readable[name] = task.model_copy(update={"labels": labels_found or ()})
        if labels_found is not None:
            labels[name] = {"labels": list(labels_found)}
            notes += _notes(task, labels_found, file, missing)
    if problems:
        problems += check_files(readable, source, allow_rejects=config.allow_rejects, split=config.split)
        raise ConfigError(dict.fromkeys(problems))
    if not labels:
        return LabelsRead(config, notes)
    try:
        return LabelsRead(options.change(config, tasks=labels), notes)
    except ConfigError as error:
        raise ConfigError([f"{problem} (labels read from the data)" for problem in error.problems]) from None


class LabelCounts(NamedTuple):
    """The labels of a training file.

    Attributes:
        counts: number of rows with each spelling of a label.
        file: name of the file.
        class_names: names of the classes, where a Hugging Face data set has them.
        missing: number of rows with each word that is taken for a missing label, such as NA; without empty cells.
    """

    counts: Counter[str]
    file: str
    class_names: tuple[str, ...]
    missing: Counter[str]


def label_counts(task: Task, source: DataSource) -> LabelCounts:
    """The labels of a task's training file as they are spelled.

    Raises:
        DataError: there is no file, or it has no such column.
    """
    part: Split = "train" if task.trained else "dev"
    located = table_of(task, source, part)
    if located is None:
        raise DataError(
            f"tasks.{task.name}.labels: none are given, and no {part} file is named from which they could be read"
        )
    where, _ = located
    files = files_of(task, source.place)
    counts: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    class_names = where.class_names.get(files.label, ()) if isinstance(where, MemoryTable) else ()
    opened = where.open(None) if isinstance(where, MemoryTable) else open_table(where, files.encoding, files.quoting)
    with opened as table:
        table.require([files.label, *files.texts])
        for record in table.read([files.label]):
            text = as_text(named_class(record.values.get(files.label), class_names))
            if not record.fault and text:
                (missing if is_missing(text) else counts)[text] += 1
    return LabelCounts(counts, str(where), class_names, missing)


def _faults(task: Task, labels: tuple[str, ...], counts: Mapping[str, int], file: str) -> Iterator[str]:
    column = f"{file}: column {task.files.label!r}"
    rows = sum(counts.values())
    fewest, words = (1, "a label") if task.label_space.is_set else (2, "at least two labels")
    if len(labels) < fewest:
        yield f"{column} holds {listed(labels) or 'no label'}; {task.name} needs {words} to learn from"
    elif len(labels) > MANY_LABELS and len(labels) > rows / 2:
        yield (
            f"{column} holds {len(labels):,} different values in {rows:,} rows, which are no labels of {task.name}; "
            'name the right column (files.label), set kind = "score" if they are numbers, or set labels'
        )
    elif len(labels) != 2 and task.label_space.one_number:
        yield (
            f"{column} holds {len(labels)} labels ({listed(labels)}), but {task.name} is yes or no; mend them, or set "
            'kind = "class"'
        )


def _notes(task: Task, labels: tuple[str, ...], file: str, missing: Counter[str]) -> Iterator[str]:
    meaning = "; the first means no, the second yes" if task.label_space.one_number else ""
    yield f"{task.name}: labels read from {file}: {listed(labels)}{meaning}"
    if missing:
        yield (
            f"{task.name}: {missing.total():,} cells are taken for missing labels ({listed(list(missing))}); "
            "if they are labels, set labels"
        )
