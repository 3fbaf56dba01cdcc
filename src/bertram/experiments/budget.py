"""Budget of a study (epochs, share of the data, dev rows), and identity of a run by configuration and data."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from bertram import options
from bertram.config import Config
from bertram.data.checks import check_files
from bertram.data.memory import Tables
from bertram.data.rows import read_rows
from bertram.data.sources import DataSource, Split, as_source, locate, locate_further
from bertram.data.splits import config_source, tasks_to_split
from bertram.errors import ConfigError
from bertram.options.raw_values import RawValues
from bertram.runs.record import Record
from bertram.tasks import ROW_FIELDS, Task

STUDY_EPOCHS = 10  # of a row, unless the row says otherwise


@dataclass(frozen=True)
class Budget:
    """Budget of a study.

    Attributes:
        epochs: epochs of a row that has 10 in the study; rows with more have more in proportion.
        fraction: share of each task's training rows; a row's own limits shrink with it.
        dev_limit: dev rows of each task that are used.
        changes: further fields of every configuration, such as data and encoder, as tables.
    """

    epochs: int | None = None
    fraction: float = 1.0
    dev_limit: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def applied(self, config: Config, seed: int) -> Config:
        """A recipe's configuration at this budget.

        Raises:
            ConfigError: what cannot work, all of it together.
        """
        values = options.merge(options.dump(config), {**self.changes, "seed": seed})
        changed = options.make(values)
        sampling: RawValues = {"fraction": self.fraction * changed.sampling.fraction}
        if self.epochs is not None:
            sampling["epochs"] = max(1, round(changed.sampling.epochs * self.epochs / STUDY_EPOCHS))
        limits = {
            name: {
                "max_train_samples": max(
                    2, round(self.fraction * min(task.max_train_samples, train_rows(task, changed)))
                )
            }
            for name, task in changed.tasks.items()
            if task.max_train_samples is not None and task.trained
        }
        evaluation = {} if self.dev_limit is None else {"max_eval_samples": self.dev_limit}
        return options.change(changed, sampling=sampling, tasks=limits, evaluation=evaluation)

    def in_words(self, applied: Config, all_epochs: str = "the study's epochs") -> str:
        """For titles.

        Args:
            applied: a configuration of the study at this budget.
            all_epochs: an unchanged number of epochs, in words.
        """
        epochs = all_epochs if self.epochs is None else f"{self.epochs} epochs for the study's {STUDY_EPOCHS}"
        share = f"{100 * self.fraction:.3g}% of the training rows"
        parts = [f"encoder {applied.encoder}", f"data {applied.data}", epochs, share]
        parts.append("all dev rows" if self.dev_limit is None else f"{self.dev_limit:,} dev rows a task")
        named_fields = ("data", "encoder")
        changes = {name: value for name, value in self.changes.items() if name not in named_fields}
        return ", ".join([*parts, *(f"{name} = {value}" for name, value in options.leaves(changes))])


def check_data(config: Config, source: DataSource | None = None) -> None:
    """Raise ConfigError with everything for which a training would refuse the data, or tables in memory."""
    problems = check_files(config.tasks, source or config.data, allow_rejects=config.allow_rejects, split=config.split)
    if problems:
        raise ConfigError(problems)


def identity(config: Config, *, constant: bool = False, source: DataSource | None = None) -> str:
    """Identity of a run in a results folder: hash of the configuration and of the contents of the data files.

    So a record that was made from another directory with the same files counts, and one from other files does not.

    Args:
        config: configuration of the run.
        constant: nothing is trained; then the recipe's name counts too.
        source: tables in memory; default: the data of the configuration.
    """
    hashes = held_files(config) if source is None or source.tables is None else held_tables(config, source.tables)
    return _hash(config, hashes, constant=constant)


def identity_of(record: Record) -> str | None:
    """Identity of a recorded run; None if its configuration is no longer valid.

    Fields that were added since have their defaults; a default that was changed since does not matter, because the
    record has the value it was made with.
    """
    try:
        config = options.make(record.config)
    except ConfigError:
        return None
    return _hash(config, held_files_of(record), constant=not record.trained)


def held_files(config: Config) -> frozenset[str]:
    """SHA-256 of the files that a run reads; for the Hub its name, since what it holds is not asked for twice."""
    if config.data == "hub":
        return frozenset({"hub"})
    paths = [locate(task, config.data, "dev") for task in config.tasks.values()]
    for task in config.tasks.values():
        paths += [locate(task, config.data, "train")] if task.trained else []
        paths += [locate_further(task, place, config.data) for place in task.further] if task.trained else []
    return frozenset(_file_digest(path) for path in paths if path is not None)


def held_tables(config: Config, tables: Tables) -> frozenset[str]:
    """SHA-256 of the tables in memory that a run reads."""
    read = [tables.of(name, "dev") for name in config.tasks]
    read += [tables.of(name, "train") for name, task in config.tasks.items() if task.trained]
    return frozenset(table.sha256 for table in read if table is not None)


def held_files_of(record: Record) -> frozenset[str]:
    """The same from a record."""
    hub = record.config.get("data") == "hub"
    return frozenset({"hub"} if hub else {file.sha256 for file in record.data.values()})


def _hash(config: Config, file_hashes: frozenset[str], *, constant: bool) -> str:
    content = " ".join([*sorted(file_hashes), config.recipe if constant else ""])
    data = hashlib.sha256(content.encode()).hexdigest()
    return options.digest(options.change(config, data=data))[:12]


def train_rows(task: Task, config: Config) -> int:
    """Usable training rows of a task."""
    rows = _rows(task, config.data, "train", allow_rejects=config.allow_rejects)
    return rows - _held_out(config).get(task.name, 0)


def dev_rows(task: Task, config: Config) -> int:
    """Dev rows of a task that are used."""
    rows = _held_out(config).get(task.name)
    if rows is None:
        rows = _rows(task, config.data, "dev", allow_rejects=config.allow_rejects)
    return min(rows, config.evaluation.max_eval_samples or rows)


def _held_out(config: Config) -> Mapping[str, int]:
    """Task -> number of its dev rows that are held out of its training file."""
    if not tasks_to_split(config.tasks, as_source(config.data), config.split):
        return {}
    return _counted_held_out(config.model_dump_json(include={"tasks", "data", "split", "allow_rejects"}))


@lru_cache(maxsize=64)
def _counted_held_out(config: str) -> Mapping[str, int]:
    return {
        name: len(dev_rows.lines)
        for name, dev_rows in config_source(Config.model_validate_json(config)).held_out.items()
    }


def _rows(task: Task, data: str, split: Split, *, allow_rejects: bool) -> int:
    meaning = task.model_dump_json(include={"name", "label_names", *ROW_FIELDS})
    return _counted(meaning, data, split, allow_rejects)


@lru_cache(maxsize=64)
def _counted(task: str, data: str, split: Split, allow_rejects: bool) -> int:
    return len(read_rows(Task.model_validate_json(task), data, split, allow_rejects=allow_rejects))


def _file_digest(path: Path) -> str:
    stat = path.stat()
    return _digest_of(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_of(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - keys of the cache
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
