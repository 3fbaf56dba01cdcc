"""Verdicts as values: what the evidence says of a difference. Sentences are made of them in `sentences` alone."""

from dataclasses import dataclass
from enum import StrEnum

from bertram.comparison.equivalence import within
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
    """Reason why a difference cannot be tested."""

    TOO_FEW_SEEDS = "too few seeds"
    NO_COMMON_SEED = "no seed in common"
    UNDEFINED_SCORE = "undefined score"
    MISSING_RUNS = "missing runs"
    NO_SPREAD = "every seed gives exactly the same difference, so the noise of seeds is not known"
    TOO_FEW_EXAMPLES = "too few examples"


@dataclass(frozen=True)
class Verdict:
    """The decision on a difference.

    Attributes:
        decision: the answer.
        reason: reason why the difference is untestable; None for every other decision.
        detail: particulars of the reason, such as the names of the runs concerned, or the look that decided.
        these_examples_only: the difference is significant, or smaller than what is of interest, for other seeds on
            these examples, but not for other examples.
        negligible: the difference is significant and also smaller than the smallest effect of interest.
        excluded: size above which effects are excluded (95 % interval), if the difference is undecided.
        more_seeds: seeds that would decide if its size and noise are as estimated; None
            where no number of them up to a thousand would.
    """

    decision: Decision
    reason: Reason | None = None
    detail: str = ""
    these_examples_only: bool = False
    negligible: bool = False
    excluded: float | None = None
    more_seeds: int | None = None

    @property
    def significant(self) -> bool:
        """Whether the difference is significantly different from zero."""
        return self.decision in (Decision.BETTER, Decision.WORSE)


def untestable(reason: Reason, detail: str = "") -> Verdict:
    """The verdict on a difference that cannot be tested."""
    return Verdict(Decision.UNTESTABLE, reason, detail)


NO_RUNS = untestable(Reason.MISSING_RUNS)
NO_SCORE = untestable(Reason.UNDEFINED_SCORE)
SAME_ANSWERS = Verdict(Decision.SAME_PREDICTIONS)


def verdict(
    gain: float,
    ci95: Interval,
    *,
    p: float,
    ci90: Interval | None = None,
    smallest: float | None = None,
    p_new: float | None = None,
    ci90_new: Interval | None = None,
) -> Verdict:
    """Decide whether a difference is significant at the 5 % level, or smaller than what is of interest.

    Args:
        gain: estimate, higher being better.
        ci95: 95 % interval.
        p: p-value of "no difference", corrected where the difference is one of several.
        ci90: 90 % interval, for the two one-sided tests of equivalence; None: they are not made.
        smallest: smallest effect of interest, in the same unit; None where none is set.
        p_new: p-value for other examples, corrected like `p`; None where nothing is known of the examples.
        ci90_new: 90 % interval for other examples, likewise.
    """
    negligible = within(ci90, smallest)
    if p < LEVEL and not includes_zero(ci95):
        only = p_new is not None and p_new >= LEVEL
        return Verdict(Decision.BETTER if gain > 0 else Decision.WORSE, these_examples_only=only, negligible=negligible)
    if negligible:
        only = ci90_new is not None and not within(ci90_new, smallest)
        return Verdict(Decision.EQUIVALENT, these_examples_only=only)
    return Verdict(Decision.UNDECIDED, excluded=max(abs(ci95[0]), abs(ci95[1])))


def includes_zero(interval: Interval) -> bool:
    """Whether zero lies in an interval."""
    return interval[0] <= 0 <= interval[1]
