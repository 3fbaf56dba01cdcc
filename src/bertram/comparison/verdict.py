"""Verdicts as values: what the evidence says of a difference. Sentences are made of them in `sentences` alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from bertram.evaluation.intervals import Interval

LEVEL = 0.05  # of every two-sided test


class Decision(StrEnum):
    """The answer to "does A differ from B?"."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    SAME_PREDICTIONS = "same predictions"
    UNTESTABLE = "untestable"


class Reason(StrEnum):
    """Why a difference cannot be tested."""

    TOO_FEW_SEEDS = "too few seeds"
    NO_COMMON_SEED = "no seed in common"
    UNDEFINED_SCORE = "undefined score"
    MISSING_RUNS = "missing runs"
    TOO_FEW_EXAMPLES = "too few examples"


@dataclass(frozen=True)
class Verdict:
    """The decision on a difference.

    Attributes:
        decision: the answer.
        reason: why the difference is untestable; None for every other decision.
        detail: the reason's particulars, such as the names of the runs concerned.
        these_examples_only: the difference is significant, but an interval for other examples includes zero.
    """

    decision: Decision
    reason: Reason | None = None
    detail: str = ""
    these_examples_only: bool = False

    @property
    def significant(self) -> bool:
        """Whether the difference is significantly different from zero."""
        return self.decision in (Decision.BETTER, Decision.WORSE)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The verdict of a table's row."""
        reason = None if values["reason"] is None else Reason(values["reason"])
        return cls(Decision(values["decision"]), reason, values["detail"], values["these_examples_only"])


def untestable(reason: Reason, detail: str = "") -> Verdict:
    """The verdict on a difference that cannot be tested."""
    return Verdict(Decision.UNTESTABLE, reason, detail)


NO_RUNS = untestable(Reason.MISSING_RUNS)
NO_SCORE = untestable(Reason.UNDEFINED_SCORE)


def verdict(
    difference: float, ci95: Interval, *, p: float, p_holm: float | None = None, ci95_new: Interval | None = None
) -> Verdict:
    """Decide whether a difference, higher being better, is significant at the 5 % level.

    Args:
        difference: estimate.
        ci95: its 95 % interval.
        p: p-value of "no difference".
        p_holm: the same after Holm's correction; it decides where it is given.
        ci95_new: 95 % interval for other examples.
    """
    if (p if p_holm is None else p_holm) >= LEVEL or includes_zero(ci95):
        return Verdict(Decision.UNDECIDED)
    only = ci95_new is not None and includes_zero(ci95_new)
    return Verdict(Decision.BETTER if difference > 0 else Decision.WORSE, these_examples_only=only)


def includes_zero(interval: Interval) -> bool:
    """Whether zero lies in an interval."""
    return interval[0] <= 0 <= interval[1]
