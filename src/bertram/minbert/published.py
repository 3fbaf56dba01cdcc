"""All experiments of the study by name, with their published scores."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from bertram.config import Config
from bertram.errors import BertramError
from bertram.minbert import rows as e

Group = Literal["row", "extra", "sentiment", "sweeps", "wishes"]
REFERENCE = "e4"  # differences are taken from this row
AS_PUBLISHED = "-as-published"


@dataclass(frozen=True)
class Published:
    """Published main scores (accuracy, accuracy, Pearson) and their mean; None if not reported."""

    sst: float
    quora: float | None = None
    sts: float | None = None
    overall: float | None = None
    split: Literal["dev", "test"] = "dev"


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
        name: name on the command line and in `Config.recipe`.
        config: function that returns the configuration.
        label: short description, for tables.
        group: part of the study.
        published: published scores.
        constant: True if no model is trained: constant answers, or an untouched encoder.
        submission: True if the predictions of the test files are kept.
    """

    name: str
    config: Callable[[], Config]
    label: str
    group: Group = "row"
    published: Published | None = None
    constant: bool = False
    submission: bool = False


def _row(number: int, config: Callable[[], Config], label: str, published: Published) -> Experiment:
    return Experiment(
        f"e{number}", config, f"{number} {label}", "row", published, constant=number == 1, submission=number in (12, 13)
    )


def _sweep(name: str, config: Callable[[str], Config], text: str, label: str) -> Experiment:
    recipe = partial(config, text)
    recipe.__doc__ = f"{(config.__doc__ or '').removesuffix('.')}: {text}."
    return Experiment(f"{name}-{text}", recipe, f"{label} {text}", "sweeps")


_ROWS = [
    _row(1, e.e1, "always neutral, always no, random", Published(0.208, 0.375, -0.033)),
    Experiment("e1-yes", e.e1_yes, "1 with always yes", "row", constant=True),
    Experiment("untouched", e.untouched, "untouched encoder, cosine of [CLS]", "extra", constant=True),
    Experiment("untouched-mean", e.untouched_mean, "untouched encoder, cosine of means", "extra", constant=True),
    _row(2, e.e2, "frozen, sentiment head only", Published(0.316, 0.376, 0.019, 0.401)),
    _row(3, e.e3, "SST + Quora, plain cosine", Published(0.480, 0.525, 0.217)),
    _row(4, e.e4, "all three, sequential", Published(0.469, 0.526, 0.534, 0.587)),
    _row(5, e.e5, "4 with CosineEmbeddingLoss", Published(0.440, 0.514, 0.429, 0.556)),
    _row(6, e.e6, "4 with SMART on sentiment", Published(0.463, 0.534, 0.548, 0.590)),
    _row(7, e.e7, "6, worst task last", Published(0.500, 0.482, 0.558, 0.587)),
    _row(8, e.e8, "6, rotating, PCGrad per epoch, 9,000 Quora", Published(0.498, 0.524, 0.554, 0.599)),
    _row(9, e.e9, "11 in joint steps", Published(0.490, 0.486, 0.622, 0.595)),
    _row(10, e.e10, "8 with MSE, 8,000 Quora, 20 epochs", Published(0.499, 0.533, 0.572)),
    _row(11, e.e11, "10, 10 epochs", Published(0.516, 0.516, 0.587, 0.608)),
    _row(12, e.e12, "9 with PCGrad per step, 6,040 of each", Published(0.494, 0.522, 0.627, 0.610)),
    _row(13, e.e13, "12, on test", Published(0.500, 0.517, 0.555, 0.598, "test")),
    _row(14, e.e14, "11 with all of Quora", Published(0.521, 0.541, 0.498, 0.604, "test")),
    Experiment("e6-literal", e.e6_literal, "6 with ε = σ = 1e-5 absolute", "extra"),
    Experiment("e6-smart-pytorch", e.e6_smart_pytorch, "6 as smart-pytorch, no Bregman", "extra"),
    Experiment("sentiment", e.sentiment, "sentiment alone", "sentiment", Published(0.515)),
    *(_sweep("rate", e.rate, text, "11 with rate") for text in ("1e-3", "1e-4", "1e-5")),
    *(_sweep("dropout", e.dropout, text, "11 with dropout") for text in ("0.3", "0.4", "0.5")),
    *(_sweep("epochs", e.epochs, text, "11 with epochs") for text in ("10", "15", "20")),
    Experiment("smart-all", e.smart_all, "9 with SMART on all, no Bregman", "wishes"),
    Experiment("smart-all-3", e.smart_all_3, "the same, λ = 3", "wishes"),
    Experiment("smart-all-5", e.smart_all_5, "the same, λ = 5", "wishes"),
    Experiment("smart-all-bregman", e.smart_all_bregman, "SMART and Bregman on all", "wishes"),
]
EXPERIMENTS = {experiment.name: experiment for experiment in _ROWS}
GROUPS = ("extra", "sentiment", "sweeps", "wishes")


def as_published(experiment: Experiment) -> Experiment:
    """The experiment with the cosine itself as the paraphrase logit."""
    return replace(
        experiment,
        name=experiment.name + AS_PUBLISHED,
        config=lambda: e.as_published(experiment.config()),
        label=f"{experiment.label}, cosine as logit",
    )


def applies_as_published(experiment: Experiment) -> bool:
    """True if the experiment trains or scores a paraphrase head, so that `as_published` changes it."""
    return not experiment.constant and "quora" in experiment.config().tasks


def variants() -> list[Experiment]:
    """All experiments, each followed by its as-published variant if it has one."""
    experiments = []
    for experiment in EXPERIMENTS.values():
        experiments.append(experiment)
        if applies_as_published(experiment):
            experiments.append(as_published(experiment))
    return experiments


def select(text: str, *, published_logit: bool = False) -> list[Experiment]:
    """The experiments selected on the command line.

    Args:
        text: numbers (4), ranges (1-14), groups (extra, sentiment, sweeps, wishes, all) and names, separated by commas.
        published_logit: select the variants with the cosine itself as the paraphrase logit.

    Raises:
        BertramError: unknown names; all are listed.
    """
    chosen: dict[str, Experiment] = {}
    unknown_words = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        matches = _experiments_named(word)
        chosen |= {experiment.name: experiment for experiment in matches}
        unknown_words += [] if matches else [word]
    if unknown_words or not chosen:
        fault = f"unknown name {', '.join(map(repr, unknown_words))}" if unknown_words else "no name given"
        choices = ", ".join(dict.fromkeys([*GROUPS, "all", *EXPERIMENTS]))
        raise BertramError(f"--experiments: {fault}; choose from 1-14, {choices}")
    if not published_logit:
        return list(chosen.values())
    return [as_published(experiment) for experiment in chosen.values() if applies_as_published(experiment)]


def _experiments_named(word: str) -> Sequence[Experiment]:
    experiments = list(EXPERIMENTS.values())
    if word == "all":
        return experiments
    if word in GROUPS:
        return [experiment for experiment in experiments if experiment.group == word]
    if match := re.fullmatch(r"(\d+)(?:-(\d+))?", word):
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= 14:
            return []
        names = [f"e{number}" for number in range(first, last + 1)]
        return [
            experiment
            for experiment in experiments
            if experiment.group == "row" and experiment.name.split("-")[0] in names
        ]
    plain = word.removesuffix(AS_PUBLISHED)
    experiment = EXPERIMENTS.get(plain)
    if experiment is None or plain == word:
        return [] if experiment is None else [experiment]
    return [as_published(experiment)] if applies_as_published(experiment) else []
