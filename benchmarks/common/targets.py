"""What we want to reach, and how far a record is from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """One figure.

    Attributes:
        what: in words.
        at: ``least`` or ``most``.
        wanted: the bound.
        found: where it stands in a record; a KeyError where it was not measured.
    """

    what: str
    at: Literal["least", "most"]
    wanted: float
    found: Callable[[Record], float]


def _ratio(variant: str, precision: str) -> Callable[[Record], float]:
    return lambda record: record["steps"]["variants"][variant][precision]["ratio"]["median"]


def _ours(variant: str) -> Callable[[Record], float]:
    """A variant's cost as a multiple of our plain step."""
    return lambda record: record["steps"]["ours"][record["default_precision"]][variant]["median"]


def _memory(record: Record) -> float:
    return record["memory"]["ours"]["peak"] / record["memory"]["theirs"]["peak"]  # type: ignore[no-any-return]


TARGETS = [
    Target("plain step, times faster", "least", 4.0, _ratio("plain", "default")),
    Target("with SMART on SST, times faster", "least", 4.0, _ratio("smart", "default")),
    Target("with PCGrad, times faster", "least", 8.0, _ratio("pcgrad", "default")),
    Target("with SMART and PCGrad, times faster", "least", 7.0, _ratio("smart+pcgrad", "default")),
    Target("plain step, fp32 against fp32, times faster", "least", 2.2, _ratio("plain", "fp32")),
    Target("with PCGrad, fp32 against fp32, times faster", "least", 4.5, _ratio("pcgrad", "fp32")),
    Target("PCGrad over our plain step", "most", 1.15, _ours("pcgrad")),
    Target("SMART on all three tasks over our plain step", "most", 3.0, _ours("smart on all")),
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
    Target("plain step over the floor in bf16", "most", 2.0, lambda r: r["steps"]["floor"]["bf16"]["ours"]["median"]),
]


def reached(record: Record) -> list[dict[str, Any]]:
    """Each target with what the record has; null where it was not measured."""
    found = []
    for target in TARGETS:
        try:
            value: float | None = round(target.found(record), 3)
        except KeyError:
            value = None
        met = None if value is None else (value >= target.wanted if target.at == "least" else value <= target.wanted)
        found.append({"what": target.what, "at": target.at, "wanted": target.wanted, "found": value, "reached": met})
    return found
