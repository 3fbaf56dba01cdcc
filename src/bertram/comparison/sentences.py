"""Verdicts in words: for the terminal, the pages of a report and the tables in Markdown."""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil

from bertram.comparison.components import Components
from bertram.comparison.contrast import ADVISED_SEEDS, LEAST_SEEDS
from bertram.comparison.evidence import Evidence
from bertram.comparison.models import ModelDifference
from bertram.comparison.techniques import TechniqueDifference
from bertram.comparison.verdict import Decision, Reason, Verdict, includes_zero
from bertram.evaluation.intervals import Interval

DIGITS, LOSS_DIGITS = 3, 4  # losses differ by less than accuracies do


def model_sentence(row: ModelDifference) -> str:
    """The verdict on two models."""
    verdict = row.verdict
    if verdict.decision is Decision.UNTESTABLE:
        return f"no verdict on {row.run} against {row.baseline}: {verdict.detail or verdict.reason}"
    if verdict.decision is Decision.SAME_PREDICTIONS:
        return f"{row.run} and {row.baseline} have the same predictions"
    assert row.difference is not None
    assert row.ci95 is not None
    chance = _chance(row.p, row.p_holm)
    if not verdict.significant:
        numbers = f"{signed(row.difference)} {interval_text(row.ci95)}, {chance}"
        return f"no significant difference between {row.run} and {row.baseline}: {numbers}"
    better, worse = (row.run, row.baseline) if verdict.decision is Decision.BETTER else (row.baseline, row.run)
    return f"{better} is better than {worse} by {_size(row.difference, row.ci95)}, {chance}"


def technique_sentence(row: TechniqueDifference) -> str:
    """The verdict on two techniques."""
    return pair_sentence((row.technique, row.baseline), row)


def pair_sentence(sides: tuple[str, str], row: Evidence) -> str:
    """The verdict on a pair.

    Args:
        sides: names of A and B.
        row: evidence of A minus B.
    """
    name, baseline = sides
    verdict = row.verdict
    if verdict.decision is Decision.UNTESTABLE:
        return untestable_sentence(f"{name} against {baseline}", row)
    if verdict.decision is Decision.SAME_PREDICTIONS:
        return f"{name} and {baseline} have the same predictions"
    assert row.effect is not None
    assert row.ci95 is not None
    if verdict.decision is Decision.EQUIVALENT:
        assert row.ci90 is not None
        return (
            f"{name} and {baseline} differ by less than {row.smallest:g}: {signed(row.effect, 4)}, 90 % interval "
            f"{interval_text(row.ci90, 4)}, {_tests(row)}{_limits(row)}"
        )
    numbers = _tests(row)
    digits = DIGITS if row.smallest is not None else LOSS_DIGITS
    if verdict.decision is Decision.UNDECIDED and verdict.detail:  # of looks: an interval without them would mislead
        return f"no decision between {name} and {baseline}: {signed(row.effect, digits)}, {verdict.detail}"
    if verdict.decision is Decision.UNDECIDED:
        return (
            f"no significant difference between {name} and {baseline}: {signed(row.effect, digits)} "
            f"{interval_text(row.ci95, digits)}, {numbers}{_excluded(verdict, digits)}"
        )
    better, worse = (name, baseline) if verdict.decision is Decision.BETTER else (baseline, name)
    return f"{better} is better than {worse} by {_size(row.effect, row.ci95, digits)}, {numbers}{_limits(row)}"


def sum_sentence(row: Evidence, name: str) -> str:
    """The verdict on a sum of aliased effects."""
    verdict = row.verdict
    if verdict.decision is Decision.UNTESTABLE:
        return untestable_sentence(name, row)
    if verdict.decision is Decision.SAME_PREDICTIONS:
        return f"the sum {name} is exactly zero"
    assert row.effect is not None
    assert row.ci95 is not None
    if verdict.decision is Decision.UNDECIDED and verdict.detail:  # of looks, as in `pair_sentence`
        return f"no decision on the sum {name}: {signed(row.effect)}, {verdict.detail}"
    numbers = f"{signed(row.effect)} {interval_text(row.ci95)}, {_tests(row)}"
    if verdict.decision is Decision.EQUIVALENT:
        return f"the sum {name} is smaller than {row.smallest:g}: {numbers}{_limits(row)}"
    negation = "" if verdict.significant else "not "
    return f"the sum {name} is {negation}significantly different from zero: {numbers}{_limits(row)}"


def untestable_sentence(subject: str, row: Evidence) -> str:
    """Reason why there is no verdict on a subject, as a sentence."""
    if row.verdict.reason is Reason.TOO_FEW_SEEDS and row.effect is not None:
        return (
            f"no verdict on {subject}: {signed(row.effect)} over {row.seeds} seed{'s' * (row.seeds != 1)} compares "
            f"these models only; a verdict needs {LEAST_SEEDS} seeds, {ADVISED_SEEDS} are advised"
        )
    return f"no verdict on {subject}: {row.verdict.detail or row.verdict.reason}"


def superiority_text(row: Evidence) -> str:
    """P(A > B) with its interval."""
    if row.superiority is None or row.superiority_ci95 is None:
        return ""
    return f"{row.superiority:.2f} [{row.superiority_ci95[0]:.2f}, {row.superiority_ci95[1]:.2f}]"


def noise_sentence(outcome: str, noise: Components, errors: Mapping[str, float | None]) -> str:
    """The parts of an outcome's noise.

    Args:
        outcome: name of the outcome.
        noise: the parts over seeds.
        errors: effect -> standard error over examples.
    """
    own = ", ".join(f"{name} {sd:.4f}" for name, sd in noise.effects.items())
    error_texts = ", ".join(f"{name} {error:.4f}" for name, error in errors.items() if error is not None)
    rest = "" if noise.rest is None else f"; rest of a run {noise.rest:.4f}"
    examples = f"; standard error over examples: {error_texts}" if error_texts else ""
    return (
        f"noise of {outcome}, standard deviations over {noise.seeds} seeds: common to a seed {noise.common:.4f} (no "
        f"contrast has it); seed × factor: {own}{rest}{examples}"
    )


def interval_text(interval: Interval, digits: int = 3) -> str:
    """Both ends of an interval."""
    low, high = (round(end, digits) + 0.0 for end in interval)
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def signed(value: float, digits: int = DIGITS) -> str:
    """A difference with its sign; what is rounded to zero has a plus."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def scaled(row: Evidence, factor: float) -> Evidence:
    """The evidence of a multiple of a contrast; what is of interest and excluded is that of the contrast itself."""
    if row.effect is None or factor == 1:
        return row
    excluded = None if row.verdict.excluded is None else factor * row.verdict.excluded
    smallest = None if row.smallest is None else factor * row.smallest
    return replace(
        row,
        effect=factor * row.effect,
        sd=None if row.sd is None else factor * row.sd,
        example_error=None if row.example_error is None else factor * row.example_error,
        models_error=None if row.models_error is None else factor * row.models_error,
        smallest=smallest,
        ci95=_times(row.ci95, factor),
        ci90=_times(row.ci90, factor),
        ci95_new=_times(row.ci95_new, factor),
        ci90_new=_times(row.ci90_new, factor),
        verdict=replace(row.verdict, excluded=excluded),
    )


def _times(interval: Interval | None, factor: float) -> Interval | None:
    return None if interval is None else (factor * interval[0], factor * interval[1])


def _size(difference: float, interval: Interval, digits: int = DIGITS) -> str:
    """The size of a difference with its interval, turned so that it is positive."""
    low, high = interval if difference > 0 else (-interval[1], -interval[0])
    return f"{abs(difference):.{digits}f} {interval_text((low, high), digits)}"


def _limits(row: Evidence) -> str:
    text = f"; smaller than the smallest effect of interest, {row.smallest:g}" if row.verdict.negligible else ""
    return f"{text}{_these_examples_only(row)}" if row.verdict.these_examples_only else text


def _these_examples_only(row: Evidence) -> str:
    """What other examples could show."""
    if row.verdict.decision is Decision.EQUIVALENT:
        assert row.ci90_new is not None
        return f"; on these examples only: the 90 % interval for other examples is {interval_text(row.ci90_new, 4)}"
    if row.ci95_new is not None and includes_zero(row.ci95_new):
        return f"; on these examples only: the interval for other examples is {interval_text(row.ci95_new)}"
    return "; on these examples only: for other examples it is not significant after the correction"


def _excluded(verdict: Verdict, digits: int) -> str:
    text = "" if verdict.excluded is None else f"; effects above {_upwards(verdict.excluded, digits)} are excluded"
    if verdict.more_seeds is None:
        return text
    further = verdict.more_seeds
    return f"{text}; about {further} more seed{'s' * (further != 1)} would decide"


def _upwards(value: float, digits: int) -> str:
    """A bound, rounded so that it stays one."""
    return f"{ceil(round(value * 10**digits, 6)) / 10**digits:.{digits}f}"


def _tests(row: Evidence) -> str:
    """P-values where they count, the seeds, and the look that decided."""
    if row.verdict.detail:
        return f"{row.seeds} seeds, {row.verdict.detail}"
    chance = [] if row.verdict.decision is Decision.EQUIVALENT else [_chance(row.p, row.p_holm)]
    return ", ".join([*chance, f"{row.seeds} seeds"])


def _chance(p: float | None, p_holm: float | None) -> str:
    assert p is not None
    return f"p{_exactly(p)}" + ("" if p_holm is None else f" (Holm{_exactly(p_holm)})")


def _exactly(p: float) -> str:
    return " < 0.001" if p < 0.001 else f" = {p:.3f}"
