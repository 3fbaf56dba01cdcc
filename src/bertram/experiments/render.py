"""An ablation as Markdown, and the texts of its cells, from its plain values."""

from collections.abc import Mapping, Sequence
from typing import Any

from bertram.comparison.components import Components
from bertram.comparison.sentences import noise_sentence, pair_sentence, scaled, sum_sentence, superiority_text
from bertram.evaluation.intervals import Interval
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
FORECAST_HEADINGS = (
    "effect",
    "on",
    "sd over seeds",
    "visible",
    "seeds to see {target:g}",
    "seeds to exclude {target:g}",
    "unseen on other examples below",
)


def markdown(table: Mapping[str, Any]) -> str:
    """The effects as a Markdown table."""
    rows = [Measured.from_json(effect) for effect in table["effects"]]
    lines = [f"**{table['title']}**", "", *(f"- {note}" for note in table["design"]["notes"])]
    lines += [*(f"- {line}" for line in noise_lines(table)), ""]
    lines += [f"| {' | '.join(HEADINGS)} | verdict |", "|---|---|---:|---|---|---|---:|---|"]
    lines += [f"| {' | '.join([*cells(row), effect_sentence(row)])} |" for row in rows]
    return "\n".join([*lines, "", family_sentence(table)]) + "\n"


def cells(row: Measured) -> list[str]:
    """Outcome, name, size, both intervals, P(A > B) and corrected p-value of an effect."""
    value = "–" if row.effect is None else f"{row.effect:+.4f}"
    p = "–" if row.p_holm is None else f"{row.p_holm:.3f}"
    better = superiority_text(row) or "–"
    return [row.outcome, row.name, value, _interval(row.ci95), _interval(row.ci95_new), better, p]


def effect_sentence(row: Measured) -> str:
    """The verdict on an effect; of an interaction the whole of what both have beyond the sum of their effects."""
    if row.aliases:
        return sum_sentence(row, row.name)
    if row.order == 1:
        return pair_sentence((f"with {row.name}", "without"), row)
    return pair_sentence((f"{row.name} together", "the sum of their effects"), scaled(row, 2.0))


def family_sentence(table: Mapping[str, Any]) -> str:
    """Which tests were corrected together, and what is too small to matter."""
    rows = [Measured.from_json(effect) for effect in table["effects"]]
    tested = [row for row in rows if row.p is not None]
    first = sum(row.primary for row in tested)
    if not tested:
        return "No tests: with fewer than 3 seeds the intervals hold for other examples and these very models."
    if table.get("looks"):
        return (
            f"Verdicts of the main effects on {table['primary']} are those of the looks, whose spending keeps false "
            "ones below 5 % of the studies. All other rows are not corrected for the looks."
        )
    return (
        f"Holm's correction: over the {first} main effects on {table['primary']}, and for every other row over all "
        f"{len(tested)}. Smallest effect of interest: {table['smallest_effect']:g} of overall, an accuracy or a "
        "correlation."
    )


def noise_lines(table: Mapping[str, Any]) -> list[str]:
    """The parts of the noise of each outcome."""
    rows = [Measured.from_json(effect) for effect in table["effects"]]
    lines = []
    for outcome, values in table.get("noise", {}).items():
        errors = {row.name: row.example_error for row in rows if row.outcome == outcome and row.order == 1}
        lines += [] if values is None else [noise_sentence(outcome, Components(**values), errors)]
    return [*lines, *(look_lines(table["plan"], table["looks"]) if table.get("looks") else [])]


def forecast_lines(forecast: Forecast, primary: str = "overall") -> list[str]:
    """What the verdict on each effect on the primary outcome would need."""
    lines = [f"noise from {forecast.source}; one seed of all configurations takes about {forecast.hours:.1f} hours"]
    for effect in [effect for effect in forecast.effects if effect.outcome == primary] or forecast.effects:
        verdict = (
            f"{forecast.seeds} seed{'s' * (forecast.seeds != 1)} give no verdict"
            if effect.visible is None
            else f"{forecast.seeds} seeds show {effect.visible:.3f}"
        )
        floor = "" if effect.floor is None else f"; on other examples effects below {effect.floor:.3f} stay unseen"
        lines.append(
            f"{effect.name} on {effect.outcome}: {verdict}; to see an effect of {forecast.target:g} takes "
            f"{seeds_text(effect.needed)} seeds; to exclude it, if there is none, "
            f"{seeds_text(effect.equivalence)}{floor}"
        )
    return lines


def forecast_cells(effect: EffectForecast) -> list[str]:
    """A row of the forecast's table."""
    noise = effect.noise
    visible = "–" if effect.visible is None else f"{effect.visible:.3f}"
    floor = "–" if effect.floor is None else f"{effect.floor:.3f}"
    sd = f"{noise.sd:.4f} ({noise.df} df{'' if noise.own else ', of other differences'})"
    return [effect.name, effect.outcome, sd, visible, seeds_text(effect.needed), seeds_text(effect.equivalence), floor]


def seeds_text(bounds: Sequence[int | None]) -> str:
    """Seeds at the estimated noise, and at its upper bound."""
    low, high = bounds
    if low is None:
        return "more than 512"
    if low == high:
        return f"{low}"
    return f"{low} or more" if high is None else f"{low} to {high}"


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"[{interval[0]:+.4f}, {interval[1]:+.4f}]"
