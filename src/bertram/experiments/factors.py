"""Factors of an ablation: switches of the configuration with two levels, by name or as ``field=off:on``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bertram import options
from bertram.config import Config, SmartConfig
from bertram.errors import ConfigError
from bertram.options.raw_values import RawValues

Levels = tuple[bool, ...]  # of each factor
_PLUS = re.compile(r"\+(?=[A-Za-z])")  # not the plus of 1e+3


@dataclass(frozen=True)
class Factor:
    """A switch with two levels.

    Attributes:
        name: name in tables and on the command line.
        off: fields of the configuration, as tables, when the factor is off.
        on: fields of the configuration, as tables, when the factor is on.
        text: meaning of the factor, in words.
    """

    name: str
    off: Mapping[str, Any]
    on: Mapping[str, Any]
    text: str


def _pairs(**fields: Any) -> RawValues:
    return {"tasks": {"quora": fields, "sts": fields}}


def _smart(**fields: Any) -> RawValues:
    return {"smart": fields}


def _pcgrad(frequency: str) -> RawValues:
    return {"surgery": {"method": "pcgrad", "frequency": frequency}}


_NO_SURGERY = {"surgery": {"method": "none"}}
_SEQUENTIAL = {"sampling": {"order": "sequential"}}
_ON_SST = {"tasks": ["sst"]}

FACTORS = {
    factor.name: factor
    for factor in (
        Factor("smart", _smart(weight=0.0), _smart(weight=1.0, **_ON_SST), "SMART's adversarial penalty on sentiment"),
        Factor(
            "bregman",
            _smart(bregman="off"),
            _smart(bregman="momentum", **_ON_SST),
            "SMART's Bregman proximal point on sentiment, with or without the penalty",
        ),
        Factor("smart-all", _smart(weight=0.0), _smart(weight=1.0, tasks=["all"]), "SMART's penalty on all tasks"),
        Factor("rdrop", {"rdrop": {"tasks": []}}, {"rdrop": {"tasks": ["all"]}}, "R-Drop on all tasks"),
        Factor("pcgrad", _NO_SURGERY, _pcgrad("epoch"), "one PCGrad update after each epoch, in any order"),
        Factor("pcgrad-step", _NO_SURGERY, _pcgrad("step"), "PCGrad in each step; needs joint steps"),
        Factor(
            "mse",
            {"tasks": {"sts": {"loss": "binary-cross-entropy"}}},
            {"tasks": {"sts": {"loss": "mse"}}},
            "similarity by squared error instead of cross-entropy on score/5",
        ),
        Factor("rotating", _SEQUENTIAL, {"sampling": {"order": "rotating"}}, "the first task changes every epoch"),
        Factor("worst-last", _SEQUENTIAL, {"sampling": {"order": "worst-last"}}, "the worst task comes last"),
        Factor("joint", _SEQUENTIAL, {"sampling": {"order": "joint"}}, "one batch of each task in each step"),
        Factor(
            "cross",
            _pairs(encoding="bi", head="cosine"),
            _pairs(encoding="cross", head="linear"),
            "both texts of a pair in one pass, instead of the cosine of two",
        ),
        Factor(
            "bi",
            _pairs(encoding="cross", head="linear"),
            _pairs(encoding="bi", head="cosine"),
            "the cosine of two texts of a pair instead of both in one pass: the reverse of cross",
        ),
        Factor("mean", {"model": {"pooling": "cls"}}, {"model": {"pooling": "mean"}}, "mean pooling instead of [CLS]"),
        Factor(
            "coral",
            {"tasks": {"sst": {"loss": None}}},  # the usual one
            {"tasks": {"sst": {"loss": "coral"}}},
            "ordinal sentiment head",
        ),
        Factor(
            "uncertainty", {"uncertainty_weighting": False}, {"uncertainty_weighting": True}, "learned task weights"
        ),
        Factor("tail", {"average": {"method": "none"}}, {"average": {"method": "tail"}}, "averaged weights"),
    )
}


def parse(text: str, *, alone: bool = False) -> list[Factor]:
    """The factors of a command line: names, ``field=off:on`` for any field of the configuration, and sums of them.

    Args:
        text: factors, separated by commas; several switches that make one factor are joined by a plus.
        alone: True if no configuration has two factors on, so that factors may decide the same field.

    Raises:
        ConfigError: everything that is wrong with them, together.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    faults = [f"--factors: {word} is named twice" for word in {word for word in words if words.count(word) > 1}]
    factors: list[Factor] = []
    for word in words:
        switches = [_switch(part) for part in _PLUS.split(word)]
        unknown = [part for part, switch in zip(_PLUS.split(word), switches, strict=True) if switch is None]
        faults += [
            f"--factors: there is no {part!r}; there are {', '.join(FACTORS)}, and FIELD=OFF:ON" for part in unknown
        ]
        if not unknown:
            factors.append(_joined(word, [switch for switch in switches if switch is not None]))
    faults += [] if alone else _conflicts(factors)
    if len(words) < 2:
        faults.append("--factors: name at least two; one technique alone is a comparison: bertram compare")
    if faults:
        raise ConfigError(faults)
    names = [factor.name for factor in factors]
    return [
        replace(factor, name=word) if names.count(factor.name) > 1 else factor  # one field with several levels
        for word, factor in zip(words, factors, strict=True)
    ]


def _switch(word: str) -> Factor | None:
    """A factor by its name or as ``field=off:on``; None for neither."""
    name, equals, levels = word.partition("=")
    off, colon, on = levels.partition(":")
    if equals and colon:
        return Factor(name, options.nest([(name, off)]), options.nest([(name, on)]), f"{on} instead of {off}")
    return FACTORS.get(word)


def _joined(word: str, switches: Sequence[Factor]) -> Factor:
    """Several switches as one factor; of two that set one field the last one decides."""
    if len(switches) == 1:
        return switches[0]
    off: RawValues = {}
    on: RawValues = {}
    for switch in switches:
        off, on = options.merge(off, switch.off), options.merge(on, switch.on)
    return Factor(word, off, on, "; ".join(switch.text for switch in switches))


def configuration(base: Config, factors: Sequence[Factor], levels: Levels) -> Config:
    """The base with each factor at its level.

    Raises:
        ConfigError: this combination cannot work.
    """
    values = options.dump(base)
    if _bregman_without_penalty(base, factors):
        values["smart"]["weight"] = 0.0
    by_level = sorted(zip(levels, factors, strict=True), key=lambda pair: pair[0])  # what is on has the last word
    for level, factor in by_level:
        values = options.merge(values, factor.on if level else factor.off)
    smart = values["smart"]
    if not smart["tasks"] or (smart["weight"] == 0 and smart["bregman"] == "off"):
        values["smart"] = options.dump(
            SmartConfig()
        )  # what does nothing is written in one way, so that runs are shared
    return options.make({**values, "recipe": label(factors, levels)})


def _bregman_without_penalty(base: Config, factors: Sequence[Factor]) -> bool:
    """Whether a factor adds the proximal point where neither the base nor a factor asks for SMART's penalty."""
    fields = [{name for name, _ in options.leaves(factor.on)} for factor in factors]
    adds = any({"smart.tasks", "smart.bregman"} <= names for names in fields)
    return adds and not base.smart.tasks and not any("smart.weight" in names for names in fields)


def label(factors: Sequence[Factor], levels: Levels) -> str:
    """A name for a cell: the factors that are on."""
    return "+".join(short_name(factor.name) for factor, on in zip(factors, levels, strict=True) if on) or "none"


def short_name(name: str) -> str:
    """A factor's name as part of the name of a folder; of levels that it names, the one that is on."""
    return "+".join(_short_part(part) for part in _PLUS.split(name))


def _short_part(part: str) -> str:
    field, _, levels = part.partition("=")
    on = levels.partition(":")[2].replace("/", "-")
    return field.replace(".", "-") + (f"={on}" if on else "")


def _conflicts(factors: Sequence[Factor]) -> Iterator[str]:
    """Factors that set one field to different values when they are on: neither level would be their own."""
    for number, first in enumerate(factors):
        for second in factors[number + 1 :]:
            first_fields, second_fields = dict(options.leaves(first.on)), dict(options.leaves(second.on))
            fields = [
                name for name in first_fields.keys() & second_fields.keys() if first_fields[name] != second_fields[name]
            ]
            if fields:
                yield f"--factors: {first.name} and {second.name} both decide {', '.join(sorted(fields))}; choose one"
