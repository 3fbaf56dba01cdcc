"""The examples that a run trains on and is scored on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from bertram.config import Config
from bertram.data.checks import cautions, read_files, token_cautions
from bertram.data.examples import Examples, together, tokenized
from bertram.data.rows import Rows, file_facts, limit_rows
from bertram.data.sources import DataSource, HeldOut
from bertram.data.tokenizer import Tokenizer
from bertram.errors import ConfigError
from bertram.evaluation.evaluate import sample
from bertram.runs.record_parts import DataFile
from bertram.task_files import Extra
from bertram.tasks import Task
from bertram.training.pools import Pool, Source, Stratum

OFTEN = 3.0  # draws of a further row for one of an own row, above which it is worth a caution
TRAIN_SAMPLE = 1000  # training examples of each task that are scored, for the train-dev gap


@dataclass(frozen=True)
class RunData:
    """The examples of a run, by task.

    Attributes:
        train: own examples of the trained tasks, followed by further ones, file by file.
        own: number of the task's own examples among them.
        further: the further examples' files, in their order.
        dev: all dev examples.
        watched: dev examples that are scored during training.
        train_sample: fixed sample of the own training examples.
        files: SHA-256 of each file, as the configuration names it, and its rows for each task.
        cautions: sentences on the rows that a reader of the run's scores should know.
        held_out: task -> dev rows that are held out of its training file.
    """

    train: dict[str, Examples]
    own: dict[str, int]
    further: dict[str, tuple[Source, ...]]
    dev: dict[str, Examples]
    watched: dict[str, Examples]
    train_sample: dict[str, Examples]
    files: dict[str, DataFile]
    cautions: list[str]
    held_out: dict[str, HeldOut]

    def own_labels(self, name: str) -> torch.Tensor | None:
        """The training labels of a task's own examples; None where it is not trained."""
        examples = self.train.get(name)
        return None if examples is None or examples.labels is None else examples.labels[: self.own[name]]


def read_data(config: Config, tokenizer: Tokenizer, max_tokens: int, source: DataSource | None = None) -> RunData:
    """Read and tokenize all files of a run, each of them once.

    Args:
        config: configuration of the run.
        tokenizer: tokenizer of the encoder.
        max_tokens: maximum sequence length in tokens.
        source: tables in memory, or dev rows that are held out already; default: the data of the configuration.

    Raises:
        ConfigError: data that cannot be used; all faults are named.
    """
    rows, problems, held_out = read_files(
        config.tasks, source or config.data, allow_rejects=config.allow_rejects, split=config.split
    )
    if problems:
        raise ConfigError(problems)
    for name, task in config.tasks.items():
        if task.trained:
            limit, fraction = task.max_train_samples, config.sampling.fraction
            all_rows = rows[name, "train"]
            rows[name, "train"] = limit_rows(all_rows, limit=limit, fraction=fraction, seed=config.seed, name=name)
    read: list[tuple[str, Rows]] = []
    caution_lines = cautions(config.tasks, rows)

    def examples(task: Task, rows: Rows) -> Examples:
        read.append((task.name, rows))
        task_examples = tokenized(task, rows, tokenizer, max_tokens)
        caution_lines.extend(token_cautions(task.name, rows.part, task_examples.unknown_shares()))
        return task_examples

    train, own, further = {}, {}, {}
    for name, task in config.tasks.items():
        if task.trained:
            train[name], own[name] = examples(task, rows[name, "train"]), len(rows[name, "train"])
            own_rows, further_rows = rows[name, "train"], {place: rows[name, place] for place in task.further}
            for file_rows in further_rows.values():
                train[name] = together(train[name], _with_labels(examples(task, file_rows), train[name]))
            further[name] = tuple(
                further_source(task, place, own_rows, file_rows) for place, file_rows in further_rows.items()
            )
    dev = {name: examples(task, rows[name, "dev"]) for name, task in config.tasks.items()}
    limit = config.evaluation.max_eval_samples
    if limit is not None:
        dev = {name: sample(task_examples, limit, seed=0) for name, task_examples in dev.items()}
    limit = config.evaluation.max_interim_samples
    watched = (
        dev if limit is None else {name: sample(task_examples, limit, seed=0) for name, task_examples in dev.items()}
    )
    train_sample = {name: sample(train[name].at(range(own[name])), TRAIN_SAMPLE, seed=0) for name in train}
    data = RunData(train, own, further, dev, watched, train_sample, file_facts(read), caution_lines, held_out)
    caution_lines.extend(_repetition_cautions(config, data))
    return data


def pools(config: Config, data: RunData) -> dict[str, Pool]:
    """The number of examples of each trained task, and how they make a batch."""
    return {
        name: Pool(
            size=data.own[name],
            batch_size=config.tasks[name].batch_size or config.sampling.batch_size,
            further=data.further[name],
        )
        for name in data.train
    }


def _repetition_cautions(config: Config, data: RunData) -> Iterator[str]:
    """A sentence for each further file so small, or with so few rows of a label, that rows of it are drawn often."""
    for name, pool in pools(config, data).items():
        for place, times in pool.repetitions().items():
            if times > OFTEN:
                file = config.tasks[name].further[place].file
                often = f"some are drawn about {times:.0f} times as often as the task's own"
                yield f"{name}: {file} has so few rows, or so few with one label, that {often}"


def _with_labels(examples: Examples, own: Examples) -> Examples:
    """Examples with placeholder labels where the rows have none; these labels are not used."""
    if examples.labels is not None or own.labels is None:
        return examples
    return replace(examples, labels=own.labels.new_full((len(examples),), own.labels[0].item()))


def further_source(task: Task, place: str, own: Rows, rows: Rows) -> Source:
    """The examples of a further file, and how a batch draws from them."""
    file = task.further[place]
    share = None if file.share == "rows" else file.share
    matched = isinstance(file, Extra) and file.match_labels
    return Source(place, len(rows), share, _strata(own, rows) if matched else None, rows.labels is not None)


def _strata(own: Rows, rows: Rows) -> tuple[Stratum, ...]:
    """Rows of each label in a pass, so that the labels are as frequent as in the task's own rows."""
    assert own.labels is not None
    assert rows.labels is not None
    labels, counts = np.unique(own.labels, return_counts=True)
    places = [np.flatnonzero(rows.labels == label) for label in labels]
    passes = min(len(of_label) / count for of_label, count in zip(places, counts, strict=True))
    return tuple(
        Stratum(of_label, max(1, round(passes * count))) for of_label, count in zip(places, counts, strict=True)
    )
