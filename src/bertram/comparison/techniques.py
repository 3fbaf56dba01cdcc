"""Comparison of techniques: runs that differ only by their seed are one arm, and arms are compared over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bertram.comparison.arms import Arm
from bertram.comparison.contrast import common_seeds
from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.evidence import Contrast, Evidence, measure, scores_of
from bertram.comparison.outcomes import Outcome


@dataclass(frozen=True, kw_only=True)
class TechniqueDifference(Evidence):
    """One row of the table: the arm `technique` minus the arm `baseline` on one outcome.

    Attributes:
        baseline: name of the first arm.
        technique: name of the other.
        baseline_value: mean score of the baseline over the common seeds.
        value: mean score of the technique over them.
    """

    baseline: str
    technique: str
    baseline_value: float | None = None
    value: float | None = None


def compare_techniques(
    outcomes: Sequence[Outcome],
    arms: Sequence[Arm],
    *,
    primary: str | None = None,
    smallest: float = SMALLEST_EFFECT,
) -> list[TechniqueDifference]:
    """Compare every arm with the first, arm by arm, on every outcome.

    Args:
        outcomes: scores of all runs on the same examples.
        arms: at least two; the first is the baseline.
        primary: the primary outcome; default: overall, or the only task's main score.
        smallest: smallest effect of interest.
    """
    baseline = arms[0].name
    runs = {arm.name: arm.runs for arm in arms}
    contrasts = [Contrast(arm.name, {arm.name: 1.0, baseline: -1.0}) for arm in arms[1:]]
    by_name = {outcome.name: outcome for outcome in outcomes}
    rows = [
        _row(baseline, contrast.name, evidence, by_name[evidence.outcome], runs)
        for contrast, evidence in measure(contrasts, outcomes, runs, primary=primary, smallest=smallest)
    ]
    return sorted(rows, key=lambda row: list(runs).index(row.technique))


def _row(
    baseline: str, technique: str, evidence: Evidence, outcome: Outcome, runs: Mapping[str, Mapping[int, str]]
) -> TechniqueDifference:
    scores = scores_of(outcome, runs)
    seeds = common_seeds(scores, {baseline: 1.0, technique: 1.0}) if evidence.effect is not None else []
    means = {arm: fmean(scores[arm][seed] for seed in seeds) if seeds else None for arm in (baseline, technique)}
    return TechniqueDifference(
        **vars(evidence), baseline=baseline, technique=technique, baseline_value=means[baseline], value=means[technique]
    )
