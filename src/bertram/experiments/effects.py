"""Effects of factors from the scores of a design's runs, each with an interval and a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from bertram.comparison.verdict import NO_RUNS, Reason, Verdict, untestable, verdict
from bertram.errors import BertramError
from bertram.evaluation.intervals import Effect as Estimate
from bertram.evaluation.intervals import (
    Interval,
    contrast,
    holm,
    interval_for_new_examples,
)
from bertram.experiments.design import Design, Effect
from bertram.experiments.noise import ExampleDraws, Scores


@dataclass(frozen=True)
class Measured:
    """An effect on one outcome.

    Attributes:
        name: of the effect; sums of effects that cannot be told apart are named as such.
        order: 1 for a main effect, 2 for an interaction.
        aliases: what else is part of it.
        outcome: a task, or overall.
        value: main effects: mean score with the factor minus without; interactions: half the difference between one
            factor's effects with and without the other, that is half of what both together have beyond the sum of their
            effects. In units of the main score; None where it cannot be had.
        seeds: of each cell.
        seed_sd: standard deviation of one run over seeds, pooled over all cells, with `df` degrees of freedom.
        ci95: for other seeds, on these examples.
        ci95_new: for other seeds and other examples.
        p: of "no effect", and `p_holm`, corrected for the effects of its order on its outcome.
        verdict: decision on the effect.
    """

    name: str
    order: int
    aliases: tuple[str, ...]
    outcome: str
    value: float | None = None
    seeds: int = 0
    seed_sd: float | None = None
    df: int = 0
    ci95: Interval | None = None
    ci95_new: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    verdict: Verdict = NO_RUNS

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The row of a table of results."""
        intervals = {name: None if values[name] is None else tuple(values[name]) for name in ("ci95", "ci95_new")}
        aliases, decision = tuple(values["aliases"]), Verdict.from_json(values["verdict"])
        return cls(**{**values, **intervals, "aliases": aliases, "verdict": decision})


def measure(
    design: Design,
    scores: Mapping[str, Scores],
    examples: ExampleDraws | None = None,
    runs: Mapping[str, Mapping[int, str]] | None = None,
) -> list[Measured]:
    """Estimate every effect of a design on every outcome.

    Args:
        design: what was run.
        scores: outcome -> cell (its number as text) -> seed -> score.
        examples: the runs' scores on resampled examples, for intervals beyond these examples.
        runs: cell -> seed -> the run's name in `examples`.
    """
    found = []
    for outcome, cells in scores.items():
        rows = [_measured(design, effect, outcome, cells, examples, runs or {}) for effect in design.effects()]
        for order in (1, 2):
            found += _with_verdicts([row for row in rows if row.order == order])
    return found


def _measured(
    design: Design,
    effect: Effect,
    outcome: str,
    cells: Scores,
    examples: ExampleDraws | None,
    runs: Mapping[str, Mapping[int, str]],
) -> Measured:
    row = Measured(effect.name, effect.order, effect.aliases, outcome)
    weights = {str(number): weight for number, weight in enumerate(effect.weights) if weight}
    lacking = [cell for cell in weights if not cells.get(cell)]
    if lacking:
        detail = f"no score in {len(lacking)} of the {len(weights)} configurations it needs"
        return replace(row, verdict=untestable(Reason.MISSING_RUNS, detail))
    try:
        estimate = contrast({cell: one for cell, one in cells.items() if one}, weights, least_seeds=design.least_seeds)
    except BertramError as error:
        return replace(row, verdict=untestable(Reason.NO_COMMON_SEED, str(error)))
    new = _beyond_these_examples(estimate, outcome, weights, cells, examples, runs)
    return replace(row, value=estimate.value, seeds=estimate.seeds, seed_sd=estimate.seed_sd, df=estimate.df,
                   ci95=estimate.ci95, ci95_new=new, p=estimate.p)  # fmt: skip


def _beyond_these_examples(
    estimate: Estimate,
    outcome: str,
    weights: Mapping[str, float],
    cells: Scores,
    examples: ExampleDraws | None,
    runs: Mapping[str, Mapping[int, str]],
) -> Interval | None:
    if examples is None:
        return None
    common = sorted(set.intersection(*(set(cells[cell]) for cell in weights)))
    by_seed = [{runs[cell][seed]: weight for cell, weight in weights.items()} for seed in common]
    error = examples.shared_error(outcome, by_seed)
    return None if error is None else interval_for_new_examples(estimate, error)


def _with_verdicts(rows: Sequence[Measured]) -> list[Measured]:
    corrected = iter(holm([row.p for row in rows if row.p is not None]))
    return [_decided(row, next(corrected) if row.p is not None else None) for row in rows]


def _decided(row: Measured, p_holm: float | None) -> Measured:
    if row.value is None:
        return row
    if row.ci95 is None or row.p is None:
        return replace(row, verdict=untestable(Reason.TOO_FEW_SEEDS))
    decision = verdict(row.value, row.ci95, p=row.p, p_holm=p_holm, ci95_new=row.ci95_new)
    return replace(row, p_holm=p_holm, verdict=decision)
