"""All experiments of the study by name, with the figures that were published for them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from bertram.config import Config
from bertram.errors import BertramError
from bertram.minbert import rows as e

Group = Literal["row", "extra", "sentiment", "sweeps", "wishes"]
REFERENCE = "e4"  # the row that differences are taken from
AS_PUBLISHED = "-as-published"


@dataclass(frozen=True)
class Published:
    """What the study reports: main scores (accuracy, accuracy, Pearson) and their mean; None where it gives none."""

    sst: float
    quora: float | None = None
    sts: float | None = None
    overall: float | None = None
    split: Literal["dev", "test"] = "dev"


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
        name: as on the command line and in `Config.recipe`.
        config: its recipe.
        label: in a line, for tables.
        group: which part of the study it belongs to.
        published: the study's figures.
        constant: scored without any model.
        submission: the predictions of the test files are kept.
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
EXPERIMENTS = {one.name: one for one in _ROWS}
GROUPS = ("extra", "sentiment", "sweeps", "wishes")


def as_published(one: Experiment) -> Experiment:
    """The same experiment with the cosine itself as the paraphrase logit."""
    return replace(
        one,
        name=one.name + AS_PUBLISHED,
        config=lambda: e.as_published(one.config()),
        label=f"{one.label}, cosine as logit",
    )


def applies_as_published(one: Experiment) -> bool:
    """Whether that changes anything: there is a paraphrase head that a logit comes from."""
    return not one.constant and "quora" in one.config().tasks


def variants() -> list[Experiment]:
    """Every experiment, each followed by its as-published form where there is one."""
    found = []
    for one in EXPERIMENTS.values():
        found.append(one)
        if applies_as_published(one):
            found.append(as_published(one))
    return found


def select(text: str, *, published_logit: bool = False) -> list[Experiment]:
    """The experiments that a command line names.

    Args:
        text: numbers (4), ranges (1-14), groups (extra, sentiment, sweeps, wishes, all) and names, by commas.
        published_logit: each of them with the cosine itself as the paraphrase logit.

    Raises:
        BertramError: names that nothing has, all of them together.
    """
    chosen: dict[str, Experiment] = {}
    unknown = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        found = _named(word)
        chosen |= {one.name: one for one in found}
        unknown += [] if found else [word]
    if unknown or not chosen:
        what, there = (
            ", ".join(map(repr, unknown)) or "nothing",
            ", ".join(dict.fromkeys([*GROUPS, "all", *EXPERIMENTS])),
        )
        raise BertramError(f"--experiments: there is no {what}; there are 1-14, {there}")
    if not published_logit:
        return list(chosen.values())
    return [as_published(one) for one in chosen.values() if applies_as_published(one)]


def _named(word: str) -> Sequence[Experiment]:
    everything = list(EXPERIMENTS.values())
    if word == "all":
        return everything
    if word in GROUPS:
        return [one for one in everything if one.group == word]
    if match := re.fullmatch(r"(\d+)(?:-(\d+))?", word):
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= 14:
            return []
        wanted = [f"e{number}" for number in range(first, last + 1)]
        return [one for one in everything if one.group == "row" and one.name.split("-")[0] in wanted]
    plain = word.removesuffix(AS_PUBLISHED)
    one = EXPERIMENTS.get(plain)
    if one is None or plain == word:
        return [] if one is None else [one]
    return [as_published(one)] if applies_as_published(one) else []
