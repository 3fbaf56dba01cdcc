"""The workload of the comparison with the peers: configurations, tokenized examples, batches, sentences."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bertram import options, recipes
from bertram.config import Config
from bertram.data.examples import Batch, Examples
from bertram.data.rows import read_rows
from bertram.data.tokenizer import load_tokenizer
from bertram.evaluation.evaluate import sample
from bertram.model.pretrained import find, read_config
from bertram.training import setup
from bertram.training.run_data import RunData, read_data

Losses = dict[str, float]  # loss of each task, without penalties

PAIR_IN_ONE_PASS = {"encoding": "cross", "head": "linear"}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "smart": {"smart": {"tasks": ["sst"]}},
    "pcgrad": {"surgery": {"method": "pcgrad"}},
    "smart+pcgrad": {"smart": {"tasks": ["sst"]}, "surgery": {"method": "pcgrad"}},
    "cross": {"tasks": {"quora": PAIR_IN_ONE_PASS, "sts": PAIR_IN_ONE_PASS}},
    "smart on all": {"smart": {"tasks": ["all"]}},
}
WITHOUT_PEER = ("smart on all",)  # variants that only BERTram trains
TRAIN_FRACTION = 0.1  # fraction of the training rows: more than the steps use, too little to count as memory
DEV_QUORA = 1000  # pairs of Quora's 20,212 dev pairs; the other two dev sets are taken whole


class Side(Protocol):
    """One side of the comparison: it takes the same training steps as the other."""

    def step(self, batches: Sequence[Batch]) -> Losses:
        """One update; gives the loss of each task before it."""

    def without_dropout(self) -> AbstractContextManager[None]:
        """Dropout switched off, so that losses can be compared."""


@dataclass(frozen=True)
class Workload:
    """The examples that both sides work on.

    Attributes:
        data: tokenized examples, pairs encoded text by text.
        plain: batches of each step, one of each task.
        cross: the same batches with pairs encoded in one pass.
        texts: sentences to predict.
    """

    data: RunData
    plain: list[list[Batch]]
    cross: list[list[Batch]]
    texts: list[str]

    def batches(self, variant: str) -> list[list[Batch]]:
        """The batches of a variant's steps."""
        return self.cross if variant == "cross" else self.plain


def configuration(variant: str, *, data: str, encoder: str, precision: str = "fp32") -> Config:
    """The study's step: batches of 8 of SST, Quora and STS, [CLS], pairs compared by their cosine."""
    fraction = 1.0 if data == "sample" else TRAIN_FRACTION
    joint = {"order": "joint", "steps_per_epoch": 1000, "epochs": 1, "fraction": fraction}
    base = options.change(recipes.baseline(), data=data, encoder=encoder, precision=precision, sampling=joint)
    return options.change(base, **VARIANTS[variant])


def workload(data: str, encoder: str, steps: int) -> Workload:
    """Read and tokenize the sentences, and draw the batches.

    Args:
        data: directory of the course files, or ``sample``.
        encoder: encoder whose tokenizer is used.
        steps: number of batches of each task.
    """
    config = configuration("plain", data=data, encoder=encoder)
    directory = find(encoder)
    plain = read_data(config, load_tokenizer(directory), read_config(directory).max_tokens)
    plain = replace(plain, dev=plain.dev | {"quora": sample(plain.dev["quora"], DEV_QUORA, seed=0)})
    cross = with_tasks_of(configuration("cross", data=data, encoder=encoder), plain)
    sampler = setup.make_sampler(config, plain)
    places = [sampler.next() for _ in range(steps)]
    plain_batches, cross_batches = (
        [[examples.train[name].batch(rows) for name, rows in drawn.items()] for drawn in places]
        for examples in (plain, cross)
    )
    texts = [
        text for name in ("sst", "sts") for row in read_rows(config.tasks[name], data, "dev").texts for text in row
    ]
    return Workload(plain, plain_batches, cross_batches, texts)


def with_tasks_of(config: Config, data: RunData) -> RunData:
    """The same examples, encoded as the tasks of a configuration encode them."""

    def changed(examples: dict[str, Examples]) -> dict[str, Examples]:
        return {name: replace(split, task=config.tasks[name]) for name, split in examples.items()}

    return replace(data, train=changed(data.train), dev=changed(data.dev))
