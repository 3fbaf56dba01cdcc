"""The examples that a run trains on and is scored on."""

from dataclasses import dataclass

import torch

from bertram.config import Config
from bertram.data.checks import cautions, read_files, token_cautions
from bertram.data.examples import Examples, together, tokenized
from bertram.data.rows import Rows, file_facts, limit_rows
from bertram.data.tokenizer import Tokenizer
from bertram.errors import ConfigError
from bertram.evaluation.evaluate import sample
from bertram.runs.record import DataFile
from bertram.tasks import Task
from bertram.training.orders import Pool

TRAIN_SAMPLE = 1000  # training examples of each task that are scored, for the train-dev gap


@dataclass(frozen=True)
class RunData:
    """The examples of a run, by task.

    Attributes:
        train: own examples of the trained tasks, followed by further ones.
        own: number of the task's own examples among them.
        dev: all dev examples.
        watched: dev examples that are scored during training.
        train_sample: fixed sample of the own training examples.
        files: SHA-256 of each file, as the configuration names it, and its rows for each task.
        cautions: sentences on the rows that a reader of the run's scores should know.
    """

    train: dict[str, Examples]
    own: dict[str, int]
    dev: dict[str, Examples]
    watched: dict[str, Examples]
    train_sample: dict[str, Examples]
    files: dict[str, DataFile]
    cautions: list[str]

    def own_labels(self, name: str) -> torch.Tensor | None:
        """The training labels of a task's own examples; None where it is not trained."""
        examples = self.train.get(name)
        return None if examples is None or examples.labels is None else examples.labels[: self.own[name]]


def read_data(config: Config, tokenizer: Tokenizer, max_tokens: int) -> RunData:
    """Read and tokenize all files of a run, each of them once.

    Raises:
        ConfigError: data that cannot be used; all faults are named.
    """
    rows, problems = read_files(config.tasks, config.data, allow_rejects=config.allow_rejects)
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

    train, own = {}, {}
    for name, task in config.tasks.items():
        if task.trained:
            train[name], own[name] = examples(task, rows[name, "train"]), len(rows[name, "train"])
            if task.extra is not None:
                train[name] = together(train[name], examples(task, rows[name, "extra"]))
    dev = {name: examples(task, rows[name, "dev"]) for name, task in config.tasks.items()}
    limit = config.evaluation.max_eval_samples
    if limit is not None:
        dev = {name: sample(task_examples, limit, seed=0) for name, task_examples in dev.items()}
    limit = config.evaluation.max_interim_samples
    watched = (
        dev if limit is None else {name: sample(task_examples, limit, seed=0) for name, task_examples in dev.items()}
    )
    train_sample = {name: sample(train[name].at(range(own[name])), TRAIN_SAMPLE, seed=0) for name in train}
    return RunData(train, own, dev, watched, train_sample, file_facts(read), caution_lines)


def pools(config: Config, data: RunData) -> dict[str, Pool]:
    """The number of examples of each trained task, and how they make a batch."""
    return {
        name: Pool(
            size=data.own[name],
            batch_size=config.tasks[name].batch_size or config.sampling.batch_size,
            extra=len(examples) - data.own[name],
            extra_share=_extra_share(config.tasks[name]),
        )
        for name, examples in data.train.items()
    }


def _extra_share(task: Task) -> float:
    return 0.0 if task.extra is None else task.extra.share
