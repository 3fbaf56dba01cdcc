"""The targets of the comparison with the peers, and their state in a record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """A bound on one figure of a record.

    Attributes:
        title: the figure in words.
        direction: side of the bound that is good, ``least`` or ``most``.
        bound: the figure to reach.
        figure: function from a record to the figure; raises KeyError where the record lacks it.
    """

    title: str
    direction: Literal["least", "most"]
    bound: float
    figure: Callable[[Record], float]

    def reached_by(self, value: float) -> bool:
        """Whether a value is on the good side of the bound."""
        return value >= self.bound if self.direction == "least" else value <= self.bound


def _ratio(variant: str, precision: str) -> Callable[[Record], float]:
    return lambda record: record["steps"]["variants"][variant][precision]["ratio"]["median"]


def _over_plain(variant: str, precision: str = "") -> Callable[[Record], float]:
    """Cost of a variant as a multiple of BERTram's plain step; in its default precision unless one is named."""
    return lambda record: record["steps"]["ours"][precision or record["default_precision"]][variant]["median"]


def _memory(record: Record) -> float:
    share: float = record["memory"]["ours"]["peak"] / record["memory"]["theirs"]["peak"]
    return share


TARGETS = [
    Target("plain step, times faster", "least", 4.0, _ratio("plain", "default")),
    Target("with SMART on SST, times faster", "least", 4.0, _ratio("smart", "default")),
    Target("with PCGrad, times faster", "least", 8.0, _ratio("pcgrad", "default")),
    Target("with SMART and PCGrad, times faster", "least", 7.0, _ratio("smart+pcgrad", "default")),
    Target("plain step, fp32 against fp32, times faster", "least", 2.2, _ratio("plain", "fp32")),
    Target("with PCGrad, fp32 against fp32, times faster", "least", 4.5, _ratio("pcgrad", "fp32")),
    Target("PCGrad over our plain step, fp32", "most", 1.2, _over_plain("pcgrad", "fp32")),
    Target("PCGrad over our plain step, bf16", "most", 1.2, _over_plain("pcgrad", "bf16")),
    Target("SMART and PCGrad over our plain step, fp32", "most", 1.9, _over_plain("smart+pcgrad", "fp32")),
    Target("SMART and PCGrad over our plain step, bf16", "most", 1.9, _over_plain("smart+pcgrad", "bf16")),
    Target("SMART on all three tasks over our plain step", "most", 3.0, _over_plain("smart on all")),
    Target("evaluation, times faster", "least", 3.0, lambda r: r["evaluation"]["ratio default"]["median"]),
    Target(
        "prediction of many sentences, times faster",
        "least",
        2.5,
        lambda r: r["prediction"]["throughput"]["ratio default"]["median"],
    ),
    Target(
        "prediction of one sentence, times faster",
        "least",
        1.0,
        lambda r: r["prediction"]["latency"]["ratio default"]["median"],
    ),
    Target("peak memory with SMART and PCGrad, share of the peers'", "most", 0.6, _memory),
    Target("plain step over the floor in bf16", "most", 1.8, lambda r: r["steps"]["floor"]["bf16"]["ours"]["median"]),
]


def states(record: Record) -> list[dict[str, Any]]:
    """Each target as a part of a record; figure and state are null where the figure was not measured."""
    rows = []
    for target in TARGETS:
        try:
            value: float | None = round(target.figure(record), 3)
        except KeyError:
            value = None
        reached = None if value is None else target.reached_by(value)
        rows.append({
            "what": target.title, "at": target.direction, "wanted": target.bound, "found": value, "reached": reached,
        })  # fmt: skip
    return rows
