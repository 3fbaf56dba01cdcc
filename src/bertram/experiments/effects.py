"""Effects of factors from the scores of a design's runs, each with an interval and a verdict in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bertram.errors import BertramError
from bertram.evaluation.intervals import Effect as Estimate
from bertram.evaluation.intervals import (
    Interval,
    contrast,
    holm,
    interval_for_new_examples,
    told_apart,
    verdict,
    verdict_on_sum,
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
        verdict: in words; of an interaction it says the whole of what both have beyond the sum of their effects.
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
    verdict: str = ""


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
        return replace(
            row, verdict=f"{effect.name}: no score in {len(lacking)} of the {len(weights)} configurations it needs"
        )
    try:
        estimate = contrast({cell: one for cell, one in cells.items() if one}, weights, least_seeds=design.least_seeds)
    except BertramError as error:
        return replace(row, verdict=f"{effect.name}: {error}")
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
    return [row if row.verdict else _in_words(row, next(corrected) if row.p is not None else None) for row in rows]


def _in_words(row: Measured, p_holm: float | None) -> Measured:
    assert row.value is not None
    if row.ci95 is None or row.p is None:
        over = f"{row.seeds} seed{'s' * (row.seeds != 1)}"
        words = f"no verdict on {row.name}: {row.value:+.3f} over {over} compares these models only; run more seeds"
        return replace(row, verdict=words)
    p, scale = row.p, 2.0 if row.order == 2 and not row.aliases else 1.0
    value, ci95 = scale * row.value, (scale * row.ci95[0], scale * row.ci95[1])
    if row.aliases:
        words = verdict_on_sum(row.name, value, ci95, p=p, p_holm=p_holm)
    else:
        alone = (f"with {row.name}", "without")
        sides = alone if row.order == 1 else (f"{row.name} together", "the sum of their effects")
        words = verdict(*sides, value, ci95, p=p, p_holm=p_holm)
    if told_apart(ci95, p=p, p_holm=p_holm) and row.ci95_new is not None and row.ci95_new[0] <= 0 <= row.ci95_new[1]:
        low, high = (scale * end for end in row.ci95_new)
        words += f"; on these examples only: for new ones the interval is [{low:.3f}, {high:.3f}]"
    return replace(row, p_holm=p_holm, verdict=words)
