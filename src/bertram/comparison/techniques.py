"""Comparison of techniques: runs that differ only by their seed are one arm, and arms are compared over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from scipy.special import ndtr, ndtri

from bertram.comparison.arms import Arm
from bertram.comparison.contrast import common_seeds
from bertram.comparison.equivalence import SMALLEST_EFFECT, margin
from bertram.comparison.evidence import Contrast, Evidence, measure, scores_of
from bertram.comparison.outcomes import Outcome
from bertram.comparison.verdict import SAME_ANSWERS, Reason, untestable, verdict


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
        arms: two or more arms; the first is the baseline.
        primary: the primary outcome; default: overall, or the only task's main score.
        smallest: smallest effect of interest.
    """
    baseline = arms[0].name
    runs = {arm.name: arm.runs for arm in arms}
    merged = [arm for arm in arms[1:] if arm.merged and not arms[0].merged]
    contrasts = [Contrast(arm.name, {arm.name: 1.0, baseline: -1.0}) for arm in arms[1:] if arm not in merged]
    by_name = {outcome.name: outcome for outcome in outcomes}
    rows = [
        _row(baseline, contrast.name, evidence, by_name[evidence.outcome], runs)
        for contrast, evidence in measure(contrasts, outcomes, runs, primary=primary, smallest=smallest)
    ]
    rows += [_against_mean(arms[0], arm, outcome, smallest) for arm in merged for outcome in outcomes]
    return sorted(rows, key=lambda row: list(runs).index(row.technique))


def _against_mean(baseline: Arm, arm: Arm, outcome: Outcome, smallest: float) -> TechniqueDifference:
    """A soup or an ensemble against the mean of the baseline's runs, over examples: it has no seed of its own."""
    merged, runs = next(iter(arm.runs.values())), list(baseline.runs.values())
    row = TechniqueDifference(outcome=outcome.name, task=outcome.task, metric=outcome.metric, baseline=baseline.name,
                              technique=arm.name, smallest=margin(outcome.metric, smallest))  # fmt: skip
    undefined = [f"{run}: {outcome.undefined[run]}" for run in (merged, *runs) if run in outcome.undefined]
    if undefined:
        return replace(row, verdict=untestable(Reason.UNDEFINED_SCORE, " and ".join(undefined)))
    if any(run not in outcome.runs for run in (merged, *runs)):
        return row
    mean = fmean(outcome.runs[run].value for run in runs)
    effect = outcome.runs[merged].value - mean
    weights = {merged: 1.0, **dict.fromkeys(runs, -1 / len(runs))}
    error = outcome.example_error(weights)
    row = replace(row, seeds=len(runs), baseline_value=mean, value=outcome.runs[merged].value, effect=effect)
    if error == 0:  # also where each example, or all that share a text, has the same difference
        same = len({outcome.runs[run].answers for run in weights}) == 1
        return replace(row, verdict=SAME_ANSWERS if same else untestable(Reason.TOO_FEW_EXAMPLES))
    ci95, ci90 = ((effect - z * error, effect + z * error) for z in (float(ndtri(0.975)), float(ndtri(0.95))))
    p = float(2 * ndtr(-abs(effect) / error))
    decision = verdict(outcome.sign * effect, ci95, p=p, ci90=ci90, smallest=row.smallest)
    return replace(row, example_error=error, ci95=ci95, ci90=ci90, ci95_new=ci95, p=p, p_holm=p, verdict=decision)


def _row(
    baseline: str, technique: str, evidence: Evidence, outcome: Outcome, runs: Mapping[str, Mapping[int, str]]
) -> TechniqueDifference:
    scores = scores_of(outcome, runs)
    seeds = common_seeds(scores, {baseline: 1.0, technique: 1.0}) if evidence.effect is not None else []
    means = {arm: fmean(scores[arm][seed] for seed in seeds) if seeds else None for arm in (baseline, technique)}
    return TechniqueDifference(
        **vars(evidence), baseline=baseline, technique=technique, baseline_value=means[baseline], value=means[technique]
    )
