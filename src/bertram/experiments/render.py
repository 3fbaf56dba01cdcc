"""An ablation as Markdown, and the texts of its cells."""

from collections.abc import Sequence

from bertram.comparison.sentences import (
    noise_sentence,
    pair_sentence,
    scaled,
    signed,
    sum_sentence,
    superiority_text,
)
from bertram.evaluation.intervals import Interval
from bertram.experiments.ablation_table import AblationTable
from bertram.experiments.effects import Measured
from bertram.experiments.forecast import EffectForecast, Forecast
from bertram.experiments.looks import look_lines

HEADINGS = (
    "outcome",
    "factor",
    "effect",
    "95 %, other seeds",
    "95 %, other seeds and examples",
    "P(better)",
    "p (Holm)",
)
LOOKS = (
    "The verdicts on {primary} are those of the looks: fewer than 5 % of such studies hold a false one. P-values and "
    "intervals, and all other rows, are not corrected for the looks."
)
PEEKING = (
    "These tests hold for a number of seeds that was chosen before. Adding seeds until a difference is significant "
    "finds too many; --until-decided does not."
)
FORECAST_HEADINGS = (
    "effect",
    "on",
    "sd over seeds",
    "visible",
    "seeds to see {target:g}",
    "seeds to exclude {target:g}",
    "unseen on other examples below",
)


def markdown(table: AblationTable) -> str:
    """The effects as a Markdown table."""
    lines = [f"**{table.title}**", "", *(f"- {note}" for note in table.design.notes)]
    lines += [f"- {line}" for line in noise_lines(table)]
    lines += [*(f"- {line}" for line in look_lines(table.plan, table.looks)), ""]
    lines += [f"| {' | '.join(HEADINGS)} | verdict |", "|---|---|---:|---|---|---|---:|---|"]
    lines += [f"| {' | '.join([*cells(row), effect_sentence(row)])} |" for row in table.effects]
    return "\n".join([*lines, "", family_sentence(table)]) + "\n"


def cells(row: Measured) -> list[str]:
    """Outcome, name, size, both intervals, P(A > B) and corrected p-value of an effect."""
    value = "–" if row.effect is None else signed(row.effect, 4)
    p = "–" if row.p_holm is None else f"{row.p_holm:.3f}"
    better = superiority_text(row) or "–"
    return [row.outcome, row.name, value, _interval(row.ci95), with_examples(row, _interval(row.ci95_new)), better, p]


def with_examples(row: Measured, interval: str) -> str:
    """The interval for other seeds and examples; with too few seeds it holds for other examples, and says so."""
    return f"{interval}, these seeds" if row.ci95 is None and row.ci95_new is not None else interval


def effect_sentence(row: Measured) -> str:
    """The verdict on an effect; of an interaction the whole of what both have beyond the sum of their effects."""
    if row.aliases:
        return sum_sentence(row, row.name)
    if row.order == 1:
        return pair_sentence((f"with {row.name}", "without"), row)
    return pair_sentence((f"{row.name} together", "the sum of their effects"), scaled(row, 2.0))


def family_sentence(table: AblationTable) -> str:
    """Which tests were corrected together, and what is too small to matter."""
    if table.plan is not None:
        return f"{LOOKS.format(primary=table.primary)} Smallest effect of interest: {table.smallest_effect:g}."
    tested = [row for row in table.effects if row.p is not None]
    first = sum(row.primary for row in tested)
    if not tested:
        return "No tests: with fewer than 3 seeds the intervals hold for other examples and these very models."
    return (
        f"Holm's correction: over the {first} main effects on {table.primary}, and for every other row over all "
        f"{len(tested)}. Smallest effect of interest: {table.smallest_effect:g} of overall, an accuracy or a "
        f"correlation. {PEEKING}"
    )


def noise_lines(table: AblationTable, outcome: str | None = None) -> list[str]:
    """The parts of the noise of an outcome, or of each one."""
    lines = []
    for name, noise in table.noise.items():
        if noise is not None and outcome in (None, name):
            errors = {row.name: row.example_error for row in table.effects if row.outcome == name and row.order == 1}
            lines.append(noise_sentence(name, noise, errors))
    return lines


def forecast_lines(forecast: Forecast) -> list[str]:
    """Forecast of the verdict on each effect on the primary outcome, a line each."""
    lines = [f"noise from {forecast.source}; one seed of all configurations takes about {forecast.hours:.1f} hours"]
    primary = [effect for effect in forecast.effects if effect.outcome == forecast.primary]
    return lines + [
        _looks_line(effect, forecast.seeds) if effect.looks else _fixed_line(effect, forecast) for effect in primary
    ]


def _fixed_line(effect: EffectForecast, forecast: Forecast) -> str:
    """Forecast of an effect for a study with a fixed number of seeds."""
    seeds = f"{forecast.seeds} seed{'s' * (forecast.seeds != 1)}"
    visible = f"{seeds} give no verdict" if effect.visible is None else f"{seeds} show {effect.visible:.3f}"
    sizes = (
        ""
        if effect.needed is None or effect.equivalence is None
        else f"; to see an effect of {forecast.target:g} takes {seeds_text(effect.needed)} seeds; to exclude it, if "
        f"there is none, {seeds_text(effect.equivalence)}"
    )
    return f"{effect.name} on {effect.outcome}: {visible}{sizes}{_floor(effect)}"


def _looks_line(effect: EffectForecast, max_seeds: int) -> str:
    """Forecast of an effect for a study that runs until it is decided."""
    parts = []
    for look in effect.looks:
        size = f"an effect of {look.effect:g}" if look.effect else "no effect"
        share = _range([f"{100 * share:.0f}" for share in look.decided])
        seeds = _range([f"{seeds:.1f}" for seeds in look.seeds])
        parts.append(f"{size} is decided within {max_seeds} seeds in {share} % of studies, after {seeds} in the mean")
    return f"{effect.name} on {effect.outcome}: {'; '.join(parts)}{_floor(effect)}"


def _range(texts: Sequence[str]) -> str:
    """Two ends, the lower one first; one of them where they are the same."""
    return " to ".join(sorted(set(texts), key=float))


def _floor(effect: EffectForecast) -> str:
    return "" if effect.floor is None else f"; on other examples effects below {effect.floor:.3f} stay unseen"


def forecast_cells(effect: EffectForecast) -> list[str]:
    """A row of the forecast's table."""
    noise = effect.noise
    visible = "–" if effect.visible is None else f"{effect.visible:.3f}"
    floor = "–" if effect.floor is None else f"{effect.floor:.3f}"
    sd = f"{noise.sd:.4f} ({noise.df} df{'' if noise.own else ', of other differences'})"
    return [effect.name, effect.outcome, sd, visible, seeds_text(effect.needed), seeds_text(effect.equivalence), floor]


def seeds_text(bounds: Sequence[int | None] | None) -> str:
    """Seeds at the estimated noise, and at its upper bound."""
    if bounds is None:
        return "–"
    low, high = bounds
    if low is None:
        return "more than 512"
    if low == high:
        return f"{low}"
    return f"{low} or more" if high is None else f"{low} to {high}"


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"[{signed(interval[0], 4)}, {signed(interval[1], 4)}]"
