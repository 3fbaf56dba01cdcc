"""Recipes: functions that return a complete configuration.

The study's rows are further recipes, see `bertram.minbert.catalogue`.
"""

from collections.abc import Callable
from typing import Any

from bertram import options
from bertram.config import Config
from bertram.task_files import Extra
from bertram.tasks import QUORA, SST, STS, Task

PHRASES = Extra(
    file="extra/sst-train-phrases.tsv",
    texts=("phrase",),
    label="sentiment",
    exclude={"eq_dev_or_test_sentence": "1"},
    share=0.75,
)


QUORA_PAIRS = "extra/quora-more.tsv"


def study_tasks(**pair: Any) -> dict[str, Task]:
    """The three tasks of the study, with the same fields changed in both pair tasks."""
    return {
        "sst": SST,
        "quora": Task.model_validate(QUORA.model_dump() | pair),
        "sts": Task.model_validate(STS.model_dump() | pair),
    }


def baseline() -> Config:
    """The course's model: texts are encoded separately, pairs are compared by cosine, tasks take turns step by step."""
    return options.make(
        {
            "recipe": "baseline",
            "tasks": study_tasks(encoding="bi", head="cosine"),
            "model": {"pooling": "cls"},
            "optimizer": {"lr": 2e-5},
            "sampling": {"order": "round-robin", "epochs": 1},
            "evaluation": {"max_interim_samples": 2000},
        }
    )


def cross() -> Config:
    """Pairs are encoded together; each step has one batch of each task and sums the losses."""
    return options.make(
        {
            "recipe": "cross",
            "tasks": study_tasks(encoding="cross"),
            "model": {"pooling": "mean", "head_dropout": 0.1},
            "optimizer": {"lr": 1e-4, "warmup_ratio": 0.06, "lr_schedule": "linear", "max_grad_norm": 1.0},
            "sampling": {"order": "joint", "epochs": 2, "epoch_of": "sst"},
            "average": {"method": "tail", "tail_start": 0.5},
            "evaluation": {"max_interim_samples": 2000},
        }
    )


def quick() -> Config:
    """A good model in minutes: cross with feature heads, phrases of the SST trees, and no dropout in the encoder."""
    return options.change(
        cross(),
        recipe="quick",
        tasks={
            "sst": {"batch_size": 24, "extra": PHRASES.model_dump()},
            "quora": {"head": "features", "batch_size": 14},
            "sts": {
                "head": "features",
                "batch_size": 4,
                "weight": 0.25,
            },  # its gradient is 4 times as large
        },
        model={"encoder_dropout": 0.0},
        average={"tail_start": 0.8},
        sampling={"epoch_of": None, "steps_per_epoch": 1000, "epochs": 1},
        evaluation={"max_interim_samples": 500},
    )


def best() -> Config:
    """The strongest single model: quick with larger batches and 2,400 steps instead of 1,000."""
    return options.change(
        quick(),
        recipe="best",
        tasks={"sst": {"batch_size": 32}, "quora": {"batch_size": 16}},
        sampling={"steps_per_epoch": 600, "epochs": 4},
        evaluation={"max_interim_samples": 2000},
    )


def best_distilled() -> Config:
    """The recipe best for a student of `bertram distill TEACHER`, with all Quora pairs."""
    return options.change(
        best(),
        recipe="best-distilled",
        tasks={"quora": {"extra": [QUORA_PAIRS]}},
    )


def best_mpnet() -> Config:
    """The recipe quick for the encoder mpnet (109 M), with all Quora pairs: 1,200 steps at a lower learning rate."""
    return options.change(
        quick(),
        recipe="best-mpnet",
        encoder="mpnet",
        tasks={"quora": {"extra": [QUORA_PAIRS]}},
        optimizer={"lr": 5e-5},
        sampling={"steps_per_epoch": 1200},
        evaluation={"max_interim_samples": 2000},
    )


def best_base() -> Config:
    """The recipe best for BERT-base, with learning rates and dropout from the literature; never run by us."""
    return options.change(
        best(),
        recipe="best-base",
        encoder="google-bert/bert-base-uncased",
        model={"encoder_dropout": None},
        optimizer={"lr": 3e-5, "warmup_ratio": 0.1},
    )


RECIPES: dict[str, Callable[[], Config]] = {
    recipe.__name__.replace("_", "-"): recipe
    for recipe in (quick, best, best_distilled, best_mpnet, best_base, cross, baseline)
}


def default_recipe(data: str, *, own_tasks: bool) -> str:
    """Name of the recipe if none is chosen: cross for own tasks and the sample, best for the course's data."""
    return "cross" if own_tasks or data == "sample" else "best"
