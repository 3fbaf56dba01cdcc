"""The engine of all comparisons: contrasts of arms on outcomes of runs, each by its own variance, with a verdict."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.special import ndtri

from bertram.comparison.contrast import Estimate, by_seed, estimate, interval_with_examples, p_with_examples
from bertram.comparison.deciding_seeds import more_seeds
from bertram.comparison.equivalence import SMALLEST_EFFECT, margin
from bertram.comparison.families import corrected
from bertram.comparison.outcomes import OVERALL, Outcome
from bertram.comparison.superiority import probability
from bertram.comparison.verdict import NO_RUNS, SAME_ANSWERS, Decision, Reason, Verdict, untestable, verdict
from bertram.errors import DataError
from bertram.evaluation.intervals import Interval

POWER = 0.8
FLOOR = float(ndtri(0.975) + ndtri(POWER))  # standard errors of the examples below which an effect stays unseen


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arms: a difference of two, or an effect of a design.

    Attributes:
        name: name of the contrast.
        weights: arm -> weight; they sum to 0.
        main: True for a question that the study asks: a technique, or the main effect of a factor.
    """

    name: str
    weights: Mapping[str, float]
    main: bool = True


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Evidence of the runs on a contrast of an outcome: estimate, intervals, tests and verdict.

    Attributes:
        outcome: name of the outcome.
        task: task of the outcome, or overall.
        metric: score of the outcome.
        primary: True for a test of the primary family.
        effect: the contrast, mean over the common seeds; None where it cannot be had.
        seeds: seeds that every arm of it has.
        sd: standard deviation of the contrast over seeds.
        example_error: standard error over examples, of what the seeds have in common; None where only scores are known.
        models_error: standard error over examples of these very models, likewise.
        ci95: interval for other seeds on these examples; None with fewer than 3 seeds.
        ci90: 90 % interval, for the two one-sided tests of equivalence.
        ci95_new: interval for other seeds and other examples; with fewer than 3 seeds for these very models and other
            examples; None where nothing is known of the examples.
        ci90_new: 90 % interval for other seeds and other examples, likewise; None with fewer than 3 seeds.
        p: p-value of "no difference".
        p_holm: p-value corrected for its family of tests.
        superiority: probability that a new seed favours it, that is P(A > B).
        superiority_ci95: interval of that.
        smallest: smallest effect of interest; None for losses.
        verdict: the decision.
    """

    outcome: str
    task: str
    metric: str
    primary: bool = False
    effect: float | None = None
    seeds: int = 0
    sd: float | None = None
    example_error: float | None = None
    models_error: float | None = None
    ci95: Interval | None = None
    ci90: Interval | None = None
    ci95_new: Interval | None = None
    ci90_new: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    superiority: float | None = None
    superiority_ci95: Interval | None = None
    smallest: float | None = None
    verdict: Verdict = NO_RUNS

    @property
    def floor(self) -> float | None:
        """Effect that stays unseen on other examples however many seeds are run (80 % power)."""
        return None if self.example_error is None else FLOOR * self.example_error


def measure(
    contrasts: Sequence[Contrast],
    outcomes: Sequence[Outcome],
    arms: Mapping[str, Mapping[int, str]],
    *,
    primary: str | None = None,
    smallest: float = SMALLEST_EFFECT,
) -> list[tuple[Contrast, Evidence]]:
    """Estimate every contrast on every outcome, outcome by outcome, with corrected verdicts.

    Args:
        contrasts: contrasts to measure.
        outcomes: scores of the runs.
        arms: arm -> seed -> run.
        primary: the primary outcome; default: overall, or the only task's main score.
        smallest: smallest effect of interest.
    """
    pairs = [(contrast, outcome) for outcome in outcomes for contrast in contrasts]
    return measure_pairs(pairs, arms, primary=primary_outcome(outcomes, primary), smallest=smallest)


def measure_pairs(
    pairs: Sequence[tuple[Contrast, Outcome]],
    arms: Mapping[str, Mapping[int, str]],
    *,
    primary: str,
    smallest: float = SMALLEST_EFFECT,
) -> list[tuple[Contrast, Evidence]]:
    """Estimate each contrast on its outcome, with verdicts that are corrected together.

    Args:
        pairs: contrasts, each with the outcome that it is measured on.
        arms: arm -> seed -> run.
        primary: the primary outcome.
        smallest: smallest effect of interest.
    """
    rows = [
        (
            contrast,
            replace(_estimated(contrast, outcome, arms, smallest), primary=contrast.main and outcome.name == primary),
        )
        for contrast, outcome in pairs
    ]
    primaries = [row.primary for _, row in rows]
    adjusted = corrected([row.p for _, row in rows], primaries)
    for_other_examples = corrected([_p_new(row) for _, row in rows], primaries)
    tests = {
        is_primary: sum(row.p is not None and (row.primary or not is_primary) for _, row in rows)
        for is_primary in (True, False)
    }
    signs = {outcome.name: outcome.sign for _, outcome in pairs}
    return [
        (contrast, _decided(row, p, p_new, signs[row.outcome], tests[row.primary]))
        for (contrast, row), p, p_new in zip(rows, adjusted, for_other_examples, strict=True)
    ]


def primary_outcome(outcomes: Sequence[Outcome], requested: str | None = None) -> str:
    """The outcome whose tests are the primary family: the wanted one, else overall, else the only task.

    Raises:
        DataError: there is no such outcome.
    """
    names = [outcome.name for outcome in outcomes]
    if requested is not None and requested not in names:
        raise DataError(f"there is no outcome {requested!r}; choose one of {', '.join(names)}")
    return requested or (OVERALL if OVERALL in names else names[0])


def scores_of(outcome: Outcome, arms: Mapping[str, Mapping[int, str]]) -> dict[str, dict[int, float]]:
    """Arm -> seed -> score of an outcome, undefined ones left out."""
    return {
        arm: {seed: outcome.runs[run].value for seed, run in runs.items() if run in outcome.runs}
        for arm, runs in arms.items()
    }


def _estimated(
    contrast: Contrast, outcome: Outcome, arms: Mapping[str, Mapping[int, str]], smallest: float
) -> Evidence:
    """The numbers of a contrast on an outcome, before any correction."""
    least = margin(outcome.metric, smallest)
    row = Evidence(outcome=outcome.name, task=outcome.task, metric=outcome.metric, smallest=least)
    weights = {arm: weight for arm, weight in contrast.weights.items() if weight}
    reason = _obstacle(weights, outcome, arms)
    if reason is not None:
        return replace(row, verdict=reason)
    differences = by_seed(scores_of(outcome, arms), weights)
    if not differences:
        return replace(row, verdict=_no_seed(weights, outcome, arms))
    sides = _sides(contrast, arms, differences)
    estimated = estimate(list(differences.values()))
    row = replace(row, effect=estimated.value, seeds=estimated.seeds, sd=estimated.sd)
    error, models_error = (
        (outcome.shared_error(sides), outcome.example_error(_mean(sides))) if outcome.n else (None, None)
    )
    row = replace(row, example_error=error, models_error=models_error)
    if all(outcome.same_answers(side) for side in sides):
        return replace(row, verdict=SAME_ANSWERS)
    if not estimated.testable:
        half = 1.96 * (models_error or 0.0)
        interval = (estimated.value - half, estimated.value + half) if half > 0 else None
        return replace(row, ci95_new=interval, verdict=untestable(Reason.TOO_FEW_SEEDS))
    if not estimated.spread:
        return replace(row, verdict=untestable(Reason.NO_SPREAD))
    better = probability(replace(estimated, value=outcome.sign * estimated.value))
    return replace(
        row,
        ci95=estimated.interval(),
        ci90=estimated.interval(0.9),
        ci95_new=None if error is None else interval_with_examples(estimated, error, models_error or 0.0),
        ci90_new=None if error is None else interval_with_examples(estimated, error, models_error or 0.0, 0.9),
        p=estimated.p(),
        superiority=None if better is None else better[0],
        superiority_ci95=None if better is None else better[1],
    )


def same_answers(
    contrast: Contrast, outcome: Outcome, arms: Mapping[str, Mapping[int, str]], seeds: Iterable[int]
) -> bool:
    """Whether both sides of a contrast have the same predictions with every seed."""
    return all(outcome.same_answers(side) for side in _sides(contrast, arms, seeds))


def _sides(contrast: Contrast, arms: Mapping[str, Mapping[int, str]], seeds: Iterable[int]) -> list[dict[str, float]]:
    """Run -> weight of a contrast, for each seed."""
    return [_runs({arm: weight for arm, weight in contrast.weights.items() if weight}, arms, seed) for seed in seeds]


def _obstacle(weights: Mapping[str, float], outcome: Outcome, arms: Mapping[str, Mapping[int, str]]) -> Verdict | None:
    """Reason why a contrast cannot be estimated; None if it can."""
    lacking = [arm for arm in weights if not arms.get(arm)]
    if lacking:
        return untestable(
            Reason.MISSING_RUNS, f"no run of {len(lacking)} of the {len(weights)} configurations it needs"
        )
    runs = [run for arm in weights for run in arms[arm].values()]
    undefined = [f"{run}: {outcome.undefined[run]}" for run in runs if run in outcome.undefined]
    return untestable(Reason.UNDEFINED_SCORE, ", ".join(undefined)) if undefined else None


def _no_seed(weights: Mapping[str, float], outcome: Outcome, arms: Mapping[str, Mapping[int, str]]) -> Verdict:
    """Reason why no seed has a score of every arm."""
    absent = [run for arm in weights for run in arms[arm].values() if run not in outcome.runs]
    if absent:
        return untestable(Reason.MISSING_RUNS, f"{', '.join(absent)}: no score")
    return untestable(Reason.NO_COMMON_SEED)


def _runs(weights: Mapping[str, float], arms: Mapping[str, Mapping[int, str]], seed: int) -> dict[str, float]:
    """Run -> weight of a contrast with one seed."""
    run_weights: dict[str, float] = {}
    for arm, weight in weights.items():
        run_weights[arms[arm][seed]] = run_weights.get(arms[arm][seed], 0.0) + weight
    return run_weights


def _mean(sides: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean over seeds of weighted sums of runs; each run has one seed."""
    return {run: weight / len(sides) for side in sides for run, weight in side.items()}


def _p_new(row: Evidence) -> float | None:
    """The p-value of a row for other seeds and other examples."""
    if row.p is None or row.effect is None or row.example_error is None:
        return None
    return p_with_examples(Estimate(row.effect, row.seeds, row.sd), row.example_error, row.models_error or 0.0)


def _decided(row: Evidence, p_holm: float | None, p_new: float | None, sign: int, tests: int) -> Evidence:
    if row.p is None or p_holm is None or row.effect is None or row.ci95 is None:
        return row
    decision = verdict(
        sign * row.effect,
        row.ci95,
        p=p_holm,
        ci90=row.ci90,
        smallest=row.smallest,
        p_new=p_new,
        ci90_new=row.ci90_new,
    )
    if decision.decision is Decision.UNDECIDED:
        estimated = Estimate(row.effect, row.seeds, row.sd)
        decision = replace(decision, more_seeds=more_seeds(estimated, tests=tests, smallest=row.smallest))
    return replace(row, p_holm=p_holm, verdict=decision)
