"""The report of a folder of runs: a reproduction, an ablation, or runs alone."""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from statistics import median

from markupsafe import Markup

from bertram.comparison.arms import by_configuration
from bertram.comparison.contrast import LEAST_SEEDS
from bertram.comparison.evidence import Evidence
from bertram.comparison.outcomes import OVERALL, is_loss
from bertram.comparison.sentences import superiority_text
from bertram.experiments.ablation_table import TABLE as ABLATION
from bertram.experiments.ablation_table import AblationTable, read_ablation_table
from bertram.experiments.effects import Measured
from bertram.experiments.forecast import Forecast
from bertram.experiments.render import (
    FORECAST_HEADINGS,
    LOOKS,
    effect_sentence,
    family_sentence,
    forecast_cells,
    forecast_lines,
    noise_lines,
)
from bertram.minbert.render import row_sentence
from bertram.minbert.table_1_values import TABLE as TABLE_1
from bertram.minbert.table_1_values import Summary, Table1, TableRow, read_table_1
from bertram.report import plots
from bertram.report.drawing import WIDTH, svg
from bertram.report.gradients import dev_curves
from bertram.report.outcomes import Library, RunView
from bertram.report.page import Cell, Column, Page, Picture, Section, Table, shown, shown_interval, signed
from bertram.report.sanity_checks import Finding, arm_findings, by_level, run_findings, together
from bertram.runs.scores import Score

OF_ONE_RUN = ("one run is one seed",)  # said of a whole study by its comparisons
FAR = 6.0  # times the median size of a forest: rows that train nothing, beside those that differ in a technique
ROW_HEIGHT = 26  # px of a line in a forest


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
        checks += arm_findings(_seeds_of_cells(ablation))
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


def _seeds_of_cells(ablation: AblationTable) -> dict[str, int]:
    return {_cell_name(cell.levels): len(cell.runs) for cell in ablation.design.cells}


def _cell_name(levels: Mapping[str, bool]) -> str:
    return " + ".join(name for name, on in levels.items() if on) or "none of the factors"


def table_section(table: Table1) -> Section:
    """Table 1: the study's figures below ours."""
    outcomes = list(dict.fromkeys(name for row in table.rows for name in row.ours))
    columns = [Column("experiment"), *(Column(name, number=True) for name in outcomes),
               Column(f"overall − {table.reference}", number=True), Column("verdict", sentence=True)]  # fmt: skip
    rows = [_table_row(row, outcomes, table.reference) for row in table.rows]
    note = ("Mean ± standard deviation over seeds, 95 % interval, and below it what the study published, on the split "
            "it names.")  # fmt: skip
    return Section("table", "Table 1", " ".join(table.notes), tables=[Table(columns, rows, note=note)])


def _table_row(row: TableRow, outcomes: Sequence[str], reference: str) -> list[Cell]:
    count = len(row.seeds)
    on_test = row.study is not None and row.study.split == "test"
    marks = ["study: test; not comparable"] if on_test else []
    name = _lines(row.label, f"{row.experiment}, {count} seed{'s' * (count != 1)}", *marks)
    scores = [_score_lines(row.ours.get(outcome), _published(row, outcome)) for outcome in outcomes]
    difference = row.differences.get("overall")
    if difference is None:
        return [name, *scores, "", row_sentence(row, reference)]
    interval = shown_interval(difference.ci95_new or difference.ci95)
    return [name, *scores, _lines(signed(difference.effect), interval), row_sentence(row, reference)]


def _published(row: TableRow, outcome: str) -> list[str]:
    """The study's figure on an outcome, as a line of a cell; none where it has none."""
    value = None if row.study is None else getattr(row.study, outcome, None)
    split = "study, test" if row.study is not None and row.study.split == "test" else "study"
    return [] if value is None else [f"{split} {shown(value)}"]


def _score_lines(score: Summary | None, published: Sequence[str]) -> Cell:
    if score is None:
        return _lines("–", *published)
    mean = shown(score.mean) + ("" if score.sd is None else f" ± {shown(score.sd)}")
    return _lines(mean, shown_interval(score.ci95), *published)


def _lines(first: str, *below: str) -> Markup:
    small = Markup("").join(Markup("<small>{}</small>").format(line) for line in below)
    return Markup('<div class="lines"><span>{}</span>{}</div>').format(first, small)


def differences_section(table: Table1) -> Section:
    """Every row minus the reference, a forest for each outcome."""
    by_outcome: dict[str, list[plots.Marked]] = {}
    for row in table.rows:
        for outcome, difference in row.differences.items():
            if difference is not None and difference.effect is not None:
                by_outcome.setdefault(outcome, []).append(_mark(row.experiment, difference.effect, difference))
    lead = (
        f"Difference from {table.reference}, paired by seed and example. Filled: significant, and "
        f"the interval for other examples excludes zero. Hollow: not significant, or fewer than {LEAST_SEEDS} seeds. "
        f"The band is the smallest effect of interest, {table.smallest_effect:g}."
    )
    forests = _forests(by_outcome, FAR, table.smallest_effect)
    return Section("differences", f"Differences from {table.reference}", lead, forests)


def _mark(label: str, value: float, row: Evidence) -> plots.Marked:
    strong = row.verdict.significant and not row.verdict.these_examples_only
    return plots.Marked(label, value, row.ci95_new or row.ci95, strong=strong)


def _forests(
    by_outcome: Mapping[str, Sequence[plots.Marked]], far: float = inf, band: float | None = None
) -> list[Picture]:
    ordered = sorted(by_outcome, key=lambda name: name != "overall")  # the main question first
    return [_forest(name, by_outcome[name], far, band if has_band(name) else None) for name in ordered]


def has_band(outcome: str) -> bool:
    """Whether the smallest effect of interest is in the unit of an outcome; a loss has a unit of its own."""
    return not is_loss(outcome.rpartition(" ")[2])


def _forest(outcome: str, marks: Sequence[plots.Marked], far: float, band: float | None = None) -> Picture:
    """Marks so far off that the others could not be told apart beside them are named below the picture instead."""
    usual = median(abs(mark.value) for mark in marks)
    near = [mark for mark in marks if usual == 0 or abs(mark.value) <= far * usual]
    distant = [f"{mark.label} {signed(mark.value)}" for mark in marks if mark not in near]
    note = f"Far beyond the picture: {', '.join(distant)}." if distant else ""
    return Picture(outcome, svg(plots.forest, WIDTH, 60 + ROW_HEIGHT * len(near), near, band), note)


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
    forests = _forests(effects_by_outcome(ablation), band=ablation.smallest_effect)
    return Section("effects", "Effects", lead, forests, [Table(columns, rows)])


def _effect_row(row: Measured) -> list[Cell]:
    intervals = [shown_interval(row.ci95), shown_interval(row.ci95_new)]
    better = superiority_text(row) or "–"
    return [row.name, row.outcome, signed(row.effect), *intervals, better, _chance(row.p_holm), effect_sentence(row)]


def effects_by_outcome(ablation: AblationTable) -> dict[str, list[plots.Marked]]:
    """The effects that have a value, as they are drawn; the main question, overall, first."""
    marks: dict[str, list[plots.Marked]] = {}
    for row in ablation.effects:
        if row.effect is not None:
            marks.setdefault(row.outcome, []).append(_mark(row.name, row.effect, row))
    return {name: marks[name] for name in sorted(marks, key=lambda name: name != OVERALL)}


def _chance(p: float | None) -> str:
    return "< 0.001" if p is not None and p < 0.001 else shown(p)


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


def design_section(ablation: AblationTable) -> Section:
    """What was run, and what it could see."""
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
    """What the verdict on each effect was expected to need, before the start."""
    columns = [Column(heading.format(target=power.target)) for heading in FORECAST_HEADINGS]
    rows: list[list[Cell]] = [list(forecast_cells(forecast)) for forecast in power.effects]
    note = " ".join(f"{line}." for line in forecast_lines(power))
    return Table(columns, rows, title=f"Forecast with {power.seeds} seeds", note=note)


def _mean_of(scores: Mapping[int, float] | None) -> str:
    return shown(sum(scores.values()) / len(scores)) if scores else "–"


def arms(runs: Sequence[RunView], outcome: str) -> dict[str, list[float]]:
    """The scores of runs that differ by their seed alone, by the name of the arm; a soup or ensemble stands alone."""
    by_name = {run.name: run for run in runs}
    scores_of_arms: dict[str, list[float]] = {}
    for group in by_configuration(by_name):
        arm_runs = [by_name[name] for name in group.values()]
        scores = [run.main(outcome) for run in arm_runs]
        values = [score.value for score in scores if score is not None and score.value is not None]
        name = arm_runs[0].name if arm_runs[0].merged else arm_runs[0].config.recipe
        if values:
            scores_of_arms[name if name not in scores_of_arms else arm_runs[0].name] = values
    return scores_of_arms


def seeds_section(runs: Sequence[RunView]) -> Section:
    """Every run's main scores, a line for each configuration."""
    by_outcome = {name: arms(runs, name) for name in ["overall", *_tasks(runs)]}
    pictures = [
        Picture(name, svg(plots.seeds, WIDTH, 64 + ROW_HEIGHT * len(values), values))
        for name, values in by_outcome.items()
        if values
    ]
    lead = "Dev scores of the single runs. Those of a line differ by their seed alone; the bar is their mean."
    return Section("seeds", "Runs and their seeds", lead, pictures)


def _tasks(runs: Sequence[RunView]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.config.tasks))


def learning_section(runs: Sequence[RunView]) -> Section:
    """The overall dev score of all runs over time."""
    curves = {run.name: dev_curves(run.lines).get("overall", []) for run in runs}
    present = {name: curve for name, curve in curves.items() if len(curve) > 1}
    if not present:
        return Section("learning", "Learning")
    picture = svg(plots.many_curves, WIDTH, 300, list(present.values()))
    caption = "Overall dev score of each run while it was trained, against its share of the steps."
    return Section("learning", "Learning", pictures=[Picture("Overall while training", picture, caption)])


def runs_section(runs: Sequence[RunView]) -> Section:
    """A line for each run."""
    outcomes = [*_tasks(runs), "overall"]
    numbers = ["seed", *outcomes, "minutes"]
    columns = [Column("run"), Column("recipe"), *(Column(name, number=True) for name in numbers)]
    rows: list[list[Cell]] = []
    for run in runs:
        minutes = "" if run.record is None else f"{run.record.seconds.training / 60:.1f}"
        scores = [_value(run.main(name)) for name in outcomes]
        rows.append([run.name, run.config.recipe, str(run.config.seed), *scores, minutes])
    note = "Write the report of one of them with: bertram report RUN"
    return Section("runs", "All runs", tables=[Table(columns, rows, note=note, cards=False)] if rows else [])


def _value(score: Score | None) -> str:
    if score is None:
        return "–"
    return "undefined" if score.value is None else shown(score.value)
