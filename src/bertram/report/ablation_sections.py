"""Sections of an ablation: effects and design."""

from collections.abc import Mapping

from bertram.comparison.outcomes import OVERALL
from bertram.comparison.sentences import superiority_text
from bertram.experiments.ablation_table import AblationTable
from bertram.experiments.effects import Measured
from bertram.experiments.forecast import Forecast
from bertram.experiments.render import (
    FORECAST_HEADINGS,
    effect_sentence,
    family_sentence,
    forecast_cells,
    forecast_lines,
    noise_lines,
    with_examples,
)
from bertram.report import plots
from bertram.report.forests import forests_by_outcome, marked_difference
from bertram.report.page import Cell, Column, Section, Table, shown, shown_interval, signed


def seeds_of_cells(ablation: AblationTable) -> dict[str, int]:
    """Number of seeds of each configuration of the design, by its name."""
    return {_cell_name(cell.levels): len(cell.runs) for cell in ablation.design.cells}


def _cell_name(levels: Mapping[str, bool]) -> str:
    return " + ".join(name for name, on in levels.items() if on) or "none of the factors"


def effects_section(ablation: AblationTable) -> Section:
    """The effects of an ablation: main effects and interactions, a forest for each outcome, and all of them listed."""
    numbers = ("size", "95 %, other seeds", "other seeds and examples", "P(better)", "p (Holm)")
    columns = [
        Column("effect"),
        Column("on"),
        *(Column(name, number=True) for name in numbers),
        Column("verdict", sentence=True),
    ]
    rows = [_effect_row(effect) for effect in ablation.effects]
    lead = (
        "Mean score with the factor minus without it, with 95 % intervals; × is an interaction. Filled: significant "
        "after the correction. P(better): how often a new seed favours the factor. The band is the smallest effect of "
        f"interest. {family_sentence(ablation)}"
    )
    forests = forests_by_outcome(effects_by_outcome(ablation), band=ablation.smallest_effect)
    return Section("effects", "Effects", lead, forests, [Table(columns, rows)])


def _effect_row(row: Measured) -> list[Cell]:
    intervals = [shown_interval(row.ci95), with_examples(row, shown_interval(row.ci95_new))]
    better = superiority_text(row) or "–"
    return [row.name, row.outcome, signed(row.effect), *intervals, better, _chance(row.p_holm), effect_sentence(row)]


def effects_by_outcome(ablation: AblationTable) -> dict[str, list[plots.Marked]]:
    """The effects that have a value, as they are drawn; the main question, overall, first."""
    marks: dict[str, list[plots.Marked]] = {}
    for row in ablation.effects:
        if row.effect is not None:
            marks.setdefault(row.outcome, []).append(marked_difference(row.name, row.effect, row))
    return {name: marks[name] for name in sorted(marks, key=lambda name: name != OVERALL)}


def _chance(p: float | None) -> str:
    return "< 0.001" if p is not None and p < 0.001 else shown(p)


def design_section(ablation: AblationTable) -> Section:
    """Design of an ablation: factors, configurations with their mean scores, and the forecast."""
    design = ablation.design
    outcomes = list(dict.fromkeys(name for cell in design.cells for name in cell.scores))
    columns = [Column("configuration"), Column("seeds", number=True), *(Column(name, number=True) for name in outcomes)]
    rows: list[list[Cell]] = [
        [_cell_name(cell.levels), str(len(cell.runs)), *(_mean_of(cell.scores.get(name)) for name in outcomes)]
        for cell in design.cells
    ]
    factors: list[list[Cell]] = [[factor.name, factor.text] for factor in design.factors]
    sentences = [*design.notes, *noise_lines(ablation)]
    return Section(
        "design",
        "Design",
        " ".join(f"{sentence[0].upper()}{sentence[1:].rstrip('.')}." for sentence in sentences if sentence),
        tables=[
            Table([Column("factor"), Column("what it changes", sentence=True)], factors),
            Table(columns, rows, title="Mean scores of the configurations"),
            *([] if ablation.power is None else [_forecast_table(ablation.power)]),
        ],
    )


def _forecast_table(power: Forecast) -> Table:
    """Forecast of the verdict on each effect, made before the first run."""
    columns = [Column(heading.format(target=power.target)) for heading in FORECAST_HEADINGS]
    rows: list[list[Cell]] = [list(forecast_cells(forecast)) for forecast in power.effects]
    note = " ".join(f"{line}." for line in forecast_lines(power))
    return Table(columns, rows, title=f"Forecast with {power.seeds} seeds", note=note)


def _mean_of(scores: Mapping[int, float] | None) -> str:
    return shown(sum(scores.values()) / len(scores)) if scores else "–"
