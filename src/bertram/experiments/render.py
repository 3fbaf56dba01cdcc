"""An ablation as Markdown, and the texts of its cells, from its plain values."""

from collections.abc import Mapping
from typing import Any

from bertram.comparison.sentences import pair_sentence, sum_sentence
from bertram.evaluation.intervals import Interval
from bertram.experiments.effects import Measured


def markdown(table: Mapping[str, Any]) -> str:
    """The effects as a Markdown table."""
    lines = [f"**{table['title']}**", "", *(f"- {note}" for note in table["design"]["notes"]), ""]
    lines += ["| outcome | factor | effect | 95 %, other seeds | 95 %, other seeds and examples | p (Holm) | verdict |"]
    lines += ["|---|---|---:|---|---|---:|---|"]
    rows = [Measured.from_json(effect) for effect in table["effects"]]
    lines += [f"| {' | '.join([*cells(row), effect_sentence(row)])} |" for row in rows]
    return "\n".join(lines) + "\n"


def cells(row: Measured) -> list[str]:
    """Outcome, name, value, both intervals and corrected p-value of an effect."""
    value = "–" if row.value is None else f"{row.value:+.4f}"
    p = "–" if row.p_holm is None else f"{row.p_holm:.3f}"
    return [row.outcome, row.name, value, _interval(row.ci95), _interval(row.ci95_new), p]


def effect_sentence(row: Measured) -> str:
    """The verdict on an effect; of an interaction the whole of what both have beyond the sum of their effects."""
    whole = 2.0 if row.order == 2 and not row.aliases else 1.0
    value = None if row.value is None else whole * row.value
    ci95, ci95_new = _scaled(row.ci95, whole), _scaled(row.ci95_new, whole)
    if row.aliases:
        return sum_sentence(
            row.name,
            row.verdict,
            value=value,
            ci95=ci95,
            ci95_new=ci95_new,
            p=row.p,
            p_holm=row.p_holm,
            seeds=row.seeds,
        )
    main = (f"with {row.name}", "without")
    sides = main if row.order == 1 else (f"{row.name} together", "the sum of their effects")
    return pair_sentence(
        sides, row.verdict, difference=value, ci95=ci95, ci95_new=ci95_new, p=row.p, p_holm=row.p_holm, seeds=row.seeds
    )


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"[{interval[0]:+.4f}, {interval[1]:+.4f}]"


def _scaled(interval: Interval | None, factor: float) -> Interval | None:
    return None if interval is None else (factor * interval[0], factor * interval[1])
