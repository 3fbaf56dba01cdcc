"""The report of a folder of runs: a reproduction, an ablation, or runs alone."""

from collections.abc import Sequence
from pathlib import Path

from bertram.experiments.ablation_table import TABLE as ABLATION
from bertram.experiments.ablation_table import AblationTable, read_ablation_table
from bertram.experiments.render import (
    LOOKS,
    effect_sentence,
)
from bertram.minbert.table_1_values import TABLE as TABLE_1
from bertram.minbert.table_1_values import Table1, read_table_1
from bertram.report.ablation_sections import design_section, effects_section, seeds_of_cells
from bertram.report.outcomes import Library, RunView
from bertram.report.page import Cell, Column, Page, Section, Table, signed
from bertram.report.runs_sections import arms, learning_section, runs_section, seeds_section
from bertram.report.sanity_checks import Finding, arm_findings, by_level, run_findings, together
from bertram.report.table_1_sections import differences_section, table_section

OF_ONE_RUN = ("one run is one seed",)  # said of a whole study by its comparisons


def study_page(path: Path, runs: Sequence[RunView], library: Library) -> Page:
    """Everything that is known of a folder of runs."""
    table = read_table_1(path / TABLE_1) if (path / TABLE_1).is_file() else None
    ablation = read_ablation_table(path / ABLATION) if (path / ABLATION).is_file() else None
    sections = [
        *([table_section(table), differences_section(table), looks_section(table)] if table else []),
        *([effects_section(ablation), looks_section(ablation), design_section(ablation)] if ablation else []),
        seeds_section(runs),
        learning_section(runs),
        runs_section(runs),
    ]
    kind = "report of a reproduction" if table else "report of an ablation" if ablation else "report of several runs"
    return Page(
        title=next((source.title for source in (table, ablation) if source), path.resolve().name),
        kind=kind,
        facts=list(_facts(runs)),
        findings=findings(runs, library, table, ablation),
        sections=[section for section in sections if not section.empty],
    )


def looks_section(table: Table1 | AblationTable) -> Section:
    """The looks of a study that runs until it is decided; empty for other studies."""
    plan = table.plan
    if plan is None:
        return Section("looks", "Looks")
    columns = [Column("after", number=True), Column("effect"), Column("estimate", number=True), Column("decision")]
    rows: list[list[Cell]] = [
        [f"{look.seeds} seeds", name, signed(value, 4), look.decisions.get(name, "open")]
        for look in table.looks
        for name, value in look.effects.items()
    ]
    lead = (
        f"The study ran seed after seed, at most {plan.max_seeds}, and looked at the open effects on {plan.primary} "
        f"after each. Equivalent: smaller than {plan.smallest_effect:g}. {LOOKS.format(primary=plan.primary)}"
    )
    return Section("looks", "Looks", lead, tables=[Table(columns, rows)])


def _facts(runs: Sequence[RunView]) -> list[str]:
    seconds = sum(run.record.seconds.training for run in runs if run.record is not None)
    encoders = sorted({run.config.encoder for run in runs})
    facts = [f"{len(runs)} runs", f"{seconds / 3600:.1f} hours of training"]
    return [*facts, *(f"encoder {name}" for name in encoders), *(f"data {name}" for name in _sources(runs))]


def _sources(runs: Sequence[RunView]) -> list[str]:
    return sorted({run.config.data for run in runs})


def findings(
    runs: Sequence[RunView], library: Library, table: Table1 | None, ablation: AblationTable | None
) -> list[Finding]:
    """The checks of all runs, each told once, and those of the comparisons."""
    of_runs = {
        run.name: [finding for finding in run_findings(run, library) if finding.check not in OF_ONE_RUN] for run in runs
    }
    checks = together(of_runs)
    if table:
        checks += arm_findings({row.experiment: len(row.seeds) for row in table.rows})
        checks += _untold(table)
    if ablation:
        checks += arm_findings(seeds_of_cells(ablation))
        checks += [
            Finding("warning", "an effect could not be estimated", f"{effect.outcome}: {effect_sentence(effect)}.")
            for effect in ablation.effects
            if effect.effect is None
        ]
    if not table and not ablation:
        checks += arm_findings({name: len(values) for name, values in arms(runs, "overall").items()})
    return by_level(checks)


def _untold(table: Table1) -> list[Finding]:
    """Rows in which an outcome has no score."""
    lacking = [
        f"{row.experiment} ({', '.join(name for name, score in row.ours.items() if score is None)})"
        for row in table.rows
        if None in row.ours.values()
    ]
    if not lacking:
        return []
    return [Finding("note", "rows without a score", f"Undefined, or not a task of the row: {'; '.join(lacking)}.")]
