"""Our side of the comparison: the step, the evaluation and the prediction that a training run and its users have."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from bertram import options, recipes
from bertram.config import Config
from bertram.data.examples import Batch, Examples
from bertram.data.rows import read_rows
from bertram.data.tokenizer import load_tokenizer
from bertram.evaluation.evaluate import sample
from bertram.model.pretrained import find, read_config
from bertram.training import setup
from bertram.training.objective import Objective
from bertram.training.setup import Data
from bertram.training.step import step

Losses = dict[str, float]  # of each task, without penalties

PAIR_IN_ONE_PASS = {"encoding": "cross", "head": "linear"}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "smart": {"smart": {"tasks": ["sst"]}},
    "pcgrad": {"surgery": {"method": "pcgrad"}},
    "smart+pcgrad": {"smart": {"tasks": ["sst"]}, "surgery": {"method": "pcgrad"}},
    "cross": {"tasks": {"quora": PAIR_IN_ONE_PASS, "sts": PAIR_IN_ONE_PASS}},
    "smart on all": {"smart": {"tasks": ["all"]}},
}
TRAIN_PART = 0.1  # of the training rows: more than the steps use, and little enough not to count as memory
DEV_QUORA = 1000  # of its 20,212 pairs; the other two dev sets are taken whole


@dataclass(frozen=True)
class Workload:
    """The sentences that both sides work on.

    Attributes:
        data: tokenized examples, pairs encoded text by text.
        plain, cross: the batches of each step, one of each task; the same examples in both.
        texts: sentences to predict.
    """

    data: Data
    plain: list[list[Batch]]
    cross: list[list[Batch]]
    texts: list[str]

    def batches(self, variant: str) -> list[list[Batch]]:
        """The batches of a variant's steps."""
        return self.cross if variant == "cross" else self.plain


def configuration(variant: str, *, data: str, encoder: str, precision: str = "fp32") -> Config:
    """The study's step: batches of 8 of SST, Quora and STS, [CLS], pairs compared by their cosine."""
    part = 1.0 if data == "sample" else TRAIN_PART
    joint = {"order": "joint", "steps_per_epoch": 1000, "epochs": 1, "fraction": part}
    base = options.change(recipes.baseline(), data=data, encoder=encoder, precision=precision, sampling=joint)
    return options.change(base, **VARIANTS[variant])


def workload(data: str, encoder: str, steps: int) -> Workload:
    """Read and tokenize the sentences, and draw the batches.

    Args:
        data: a directory, or ``sample``.
        encoder: whose tokenizer.
        steps: how many batches of each task.
    """
    config = configuration("plain", data=data, encoder=encoder)
    directory = find(encoder)
    found = setup.read_data(config, load_tokenizer(directory), read_config(directory).max_tokens)
    found = replace(found, dev=found.dev | {"quora": sample(found.dev["quora"], DEV_QUORA, seed=0)})
    cross = recast(found, configuration("cross", data=data, encoder=encoder))
    sampler = setup.sampler(config, found)
    places = [sampler.next() for _ in range(steps)]
    plain_batches, cross_batches = (
        [[one.train[name].batch(chosen) for name, chosen in drawn.items()] for drawn in places]
        for one in (found, cross)
    )
    texts = [
        text for name in ("sst", "sts") for row in read_rows(config.tasks[name], data, "dev").texts for text in row
    ]
    return Workload(found, plain_batches, cross_batches, texts)


def recast(data: Data, config: Config) -> Data:
    """The same examples for tasks that encode them otherwise."""

    def renewed(examples: dict[str, Examples]) -> dict[str, Examples]:
        return {name: replace(one, task=config.tasks[name]) for name, one in examples.items()}

    return replace(data, train=renewed(data.train), dev=renewed(data.dev))


class Ours:
    """A training run of ours, without its loop.

    Args:
        config: of the run.
        data: of the workload.
    """

    def __init__(self, config: Config, data: Data) -> None:
        data = recast(data, config)
        device = torch.device("cpu")
        self.config = config
        self.model, _ = setup.build_model(config, device)
        setup.fit_starts(self.model.network, data)
        generators = setup.generators(config.seed, device)
        self.dropout = setup.training_dropout(config, self.model.network.encoder, generators.dropout)
        steps = setup.sampler(config, data).total_steps
        objective = Objective(self.model.network, config, self.dropout, generators.noise, steps)
        self.learner = setup.learner(config, self.model.network, objective, generators.surgery)

    def step(self, batches: Sequence[Batch]) -> Losses:
        """One update."""
        report = step(self.learner, batches)
        self.learner.objective.after_update()
        return {task: figures["loss"] for task, figures in report.losses.items()}

    @contextmanager
    def without_dropout(self) -> Iterator[None]:
        """Dropout switched off, so that losses can be compared."""
        rates = self.dropout.hidden_rate, self.dropout.attention_rate, self.dropout.head_rate
        self.dropout.hidden_rate = self.dropout.attention_rate = self.dropout.head_rate = 0.0
        yield
        self.dropout.hidden_rate, self.dropout.attention_rate, self.dropout.head_rate = rates
