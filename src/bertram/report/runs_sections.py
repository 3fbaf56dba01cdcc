"""Sections of a folder of runs: seeds, learning curves and a table of all runs."""

from collections.abc import Sequence

from bertram.comparison.arms import by_configuration
from bertram.report import plots
from bertram.report.drawing import WIDTH, svg
from bertram.report.forests import ROW_HEIGHT
from bertram.report.gradients import dev_curves
from bertram.report.outcomes import RunView
from bertram.report.page import Cell, Column, Picture, Section, Table, shown
from bertram.runs.scores import Score


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
