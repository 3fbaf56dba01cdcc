"""Verdicts in words: for the terminal, the pages of a report and the tables in Markdown."""

from bertram.comparison.models import ModelDifference
from bertram.comparison.techniques import TechniqueDifference
from bertram.comparison.verdict import Decision, Reason, Verdict
from bertram.evaluation.intervals import LEAST_SEEDS, Interval


def model_sentence(row: ModelDifference) -> str:
    """The verdict on two models."""
    return pair_sentence(
        (row.run, row.baseline),
        row.verdict,
        difference=row.difference,
        ci95=row.ci95,
        p=row.p,
        p_holm=row.p_holm,
    )


def technique_sentence(row: TechniqueDifference) -> str:
    """The verdict on two techniques."""
    return pair_sentence(
        (row.technique, row.baseline),
        row.verdict,
        difference=row.difference,
        ci95=row.ci95,
        ci95_new=row.ci95_new,
        p=row.p,
        p_holm=row.p_holm,
        seeds=row.seeds,
    )


def pair_sentence(
    sides: tuple[str, str],
    verdict: Verdict,
    *,
    difference: float | None = None,
    ci95: Interval | None = None,
    ci95_new: Interval | None = None,
    p: float | None = None,
    p_holm: float | None = None,
    seeds: int | None = None,
) -> str:
    """The verdict on a pair.

    Args:
        sides: names of A and B.
        verdict: on A against B.
        difference: A minus B.
        ci95: 95 % interval of the difference.
        ci95_new: 95 % interval of the difference for other examples.
        p: p-value of "no difference".
        p_holm: the same after Holm's correction.
        seeds: seeds of each side; None where these very models are compared.
    """
    name, baseline = sides
    if verdict.decision is Decision.UNTESTABLE:
        return untestable_sentence(f"{name} against {baseline}", verdict, difference, seeds)
    if verdict.decision is Decision.SAME_PREDICTIONS:
        return f"{name} and {baseline} have the same predictions"
    assert difference is not None
    assert ci95 is not None
    over = "" if seeds is None else f", {seeds} seeds"
    if not verdict.significant:
        numbers = f"{difference:+.3f} {interval_text(ci95)}, {_chance(p, p_holm)}{over}"
        return f"no significant difference between {name} and {baseline}: {numbers}"
    better, worse = (name, baseline) if verdict.decision is Decision.BETTER else (baseline, name)
    low, high = ci95 if difference > 0 else (-ci95[1], -ci95[0])
    numbers = f"{abs(difference):.3f} {interval_text((low, high))}, {_chance(p, p_holm)}{over}"
    return f"{better} is better than {worse} by {numbers}{_these_examples(verdict, ci95_new)}"


def sum_sentence(
    name: str,
    verdict: Verdict,
    *,
    value: float | None,
    ci95: Interval | None,
    ci95_new: Interval | None = None,
    p: float | None = None,
    p_holm: float | None = None,
    seeds: int | None = None,
) -> str:
    """The verdict on a sum of effects that a design cannot tell apart; for the arguments see `pair_sentence`."""
    if verdict.decision is Decision.UNTESTABLE:
        return untestable_sentence(name, verdict, value, seeds)
    assert value is not None
    assert ci95 is not None
    said = "is" if verdict.significant else "is not"
    numbers = f"{value:+.3f} {interval_text(ci95)}, {_chance(p, p_holm)}"
    return f"the sum {name} {said} significantly different from zero: {numbers}{_these_examples(verdict, ci95_new)}"


def untestable_sentence(subject: str, verdict: Verdict, difference: float | None, seeds: int | None) -> str:
    """Why there is no verdict on a subject."""
    if verdict.reason is Reason.TOO_FEW_SEEDS and difference is not None:
        over = f"{seeds} seed{'s' * (seeds != 1)}"
        return (
            f"no verdict on {subject}: {difference:+.3f} over {over} compares these models only; a verdict needs "
            f"{LEAST_SEEDS} seeds"
        )
    return f"no verdict on {subject}: {verdict.detail or verdict.reason}"


def interval_text(interval: Interval) -> str:
    """Both ends of an interval."""
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _these_examples(verdict: Verdict, ci95_new: Interval | None) -> str:
    if not verdict.these_examples_only or ci95_new is None:
        return ""
    return f"; on these examples only: the interval for other examples is {interval_text(ci95_new)}"


def _chance(p: float | None, p_holm: float | None) -> str:
    assert p is not None
    return f"p{_exactly(p)}" + ("" if p_holm is None else f" (Holm{_exactly(p_holm)})")


def _exactly(p: float) -> str:
    return " < 0.001" if p < 0.001 else f" = {p:.3f}"
