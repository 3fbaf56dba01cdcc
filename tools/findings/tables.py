"""The tables of the page on the study's techniques."""

from collections.abc import Iterator, Sequence

from bertram.comparison.evidence import Evidence
from bertram.comparison.outcomes import OVERALL
from bertram.comparison.sentences import scaled, signed
from bertram.comparison.verdict import Decision
from bertram.experiments.ablation_table import AblationTable
from bertram.experiments.equal_time import StepCosts
from bertram.experiments.forecast import EffectForecast, Forecast
from bertram.experiments.render import seeds_text
from tools.findings.claims import TECHNIQUES, Technique
from tools.findings.evidence import effect, size, verdict_words
from tools.markdown import table as markdown

OUTCOMES = {OVERALL: "overall", "sst": "sentiment", "quora": "paraphrase", "sts": "similarity"}
LOSSES = {
    "sst": ("sst nll", "sentiment, NLL"),
    "quora": ("quora nll", "paraphrase, NLL"),
    "sts": ("sts mse", "similarity, squared error"),
}


def worth(table: AblationTable, techniques: Sequence[tuple[str, str]]) -> str:
    """Effect of each technique on each outcome, and the verdict on overall.

    Args:
        table: the ablation.
        techniques: name of the factor and its title on the page.
    """
    rows = [
        [title, *(size(effect(table, factor, outcome)) for outcome in OUTCOMES), _verdicts(table, factor)]
        for factor, title in techniques
    ]
    return markdown(["technique", *OUTCOMES.values(), "verdict"], rows)


def _verdicts(table: AblationTable, factor: str) -> str:
    """The verdict on overall, and those on tasks that say something."""
    by_task = [(heading, effect(table, factor, task)) for task, heading in OUTCOMES.items() if task != OVERALL]
    decided = [f"{heading} {verdict_words(row)}" for heading, row in by_task if row is not None and _decided(row)]
    return "; ".join([verdict_words(effect(table, factor, OVERALL)), *decided])


def _decided(row: Evidence) -> bool:
    return row.verdict.significant or row.verdict.decision is Decision.EQUIVALENT


def losses(table: AblationTable, techniques: Sequence[tuple[str, str]]) -> str:
    """Effect of each technique on the losses, with its verdict; lower is better."""
    rows = []
    for factor, title in techniques:
        found = [effect(table, factor, outcome) for outcome, _ in LOSSES.values()]
        rows.append([title, *(f"{size(row)}: {verdict_words(row)}" for row in found)])
    return markdown(["technique", *(heading for _, heading in LOSSES.values())], rows)


def equal_steps_and_time(steps: AblationTable, time: AblationTable | None, costs: StepCosts | None) -> str:
    """Effect of each technique on overall at equal steps and at equal time."""
    rows = []
    for technique in TECHNIQUES:
        at_steps, at_time = (effect(table, technique.factor, OVERALL) for table in (steps, time))
        cost = None if costs is None else _step_cost(costs, technique.factor)
        rows.append([
            technique.title, "–" if cost is None else f"{cost:.2f}", size(at_steps), verdict_words(at_steps),
            size(at_time), verdict_words(at_time),
        ])  # fmt: skip
    heads = ["technique", "cost of a step", "at equal steps", "verdict", "at equal time", "verdict"]
    return markdown(heads, rows)


def _step_cost(costs: StepCosts, factor: str) -> float | None:
    """What a step with a technique costs over one without; that of cross from its reverse."""
    if factor in costs.ratios:
        return costs.ratios[factor]
    return 1 / costs.ratios["bi"] if factor == "cross" and "bi" in costs.ratios else None


def claims(table: AblationTable) -> str:
    """The published differences of the study, one seed each, beside the effects here."""
    rows = []
    for technique in TECHNIQUES:
        published = technique.published()
        cells = [signed(published[name]) if name in published else "–" for name in OUTCOMES]
        rows.append([technique.title, _source(technique), *cells, size(effect(table, technique.factor, OVERALL))])
    return markdown(["technique", "rows of the study", *OUTCOMES.values(), "overall here"], rows)


def _source(technique: Technique) -> str:
    if technique.rows is None:
        return "the study did not try it"
    with_it, without = (name.removeprefix("e") for name in technique.rows)
    return f"{with_it} minus {without} ({technique.caveat})"


def elsewhere() -> Iterator[str]:
    """What others measured, a line each."""
    for technique in TECHNIQUES:
        yield f"- {technique.title}: {technique.elsewhere}"


def interactions(table: AblationTable) -> str:
    """Interactions of two techniques on overall: what both have beyond the sum of their effects."""
    rows = [
        [name, size(both), verdict_words(both)]
        for name, both in (
            (row.name, scaled(row, 2.0)) for row in table.effects if row.outcome == OVERALL and row.order == 2
        )
    ]
    return markdown(["techniques", "together beyond the sum", "verdict"], rows)


def forecast_and_outcome(forecast: Forecast, table: AblationTable) -> str:
    """What was expected before the runs, beside what came, on the primary outcome."""
    rows = [
        [expected.name, *_expected(expected), *_came(effect(table, expected.name, expected.outcome))]
        for expected in forecast.effects
        if expected.outcome == forecast.primary
    ]
    heads = [
        "effect", "sd over seeds, forecast", "visible, forecast", f"seeds to see {forecast.target:g}",
        f"seeds to exclude {forecast.target:g}", "sd that came", "effect that came", "verdict",
    ]  # fmt: skip
    return markdown(heads, rows)


def _expected(row: EffectForecast) -> list[str]:
    visible = "–" if row.visible is None else f"{row.visible:.3f}"
    return [f"{row.noise.sd:.4f}", visible, seeds_text(row.needed), seeds_text(row.equivalence)]


def _came(row: Evidence | None) -> list[str]:
    sd = "–" if row is None or row.sd is None else f"{row.sd:.4f}"
    return [sd, size(row), verdict_words(row)]
