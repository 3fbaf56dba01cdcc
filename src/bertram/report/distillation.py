"""Teachers and student of a distilled run."""

from bertram.report.outcomes import RunView
from bertram.report.page import Cell, Column, Section, Table, shown, shown_duration, shown_interval, signed
from bertram.runs.record_parts import Distilled

NOTE = (
    "The teachers' score is that of the mean of their outputs, which is what the student learns from. Agreement is the "
    "share of dev rows with the same decision, or the correlation of the scores."
)
COST = "All outputs of the teachers, computed in this run or kept from an earlier one, took {}."


def distillation_section(run: RunView) -> Section:
    """Teachers, student and their agreement on dev; empty for a run without teachers."""
    distilled = None if run.record is None else run.record.distilled
    if distilled is None:
        return Section("distillation", "Teachers and student")
    return Section("distillation", "Teachers and student", tables=[_scores(run, distilled), _teachers(distilled)])


def _scores(run: RunView, distilled: Distilled) -> Table:
    columns = [Column("task"), Column("teachers", number=True), Column("95 % interval", number=True),
               Column("student", number=True), Column("95 % interval", number=True),
               Column("student − teachers", number=True), Column("agreement", number=True)]  # fmt: skip
    rows: list[list[Cell]] = []
    for name, scores in distilled.scores.items():
        metric = run.config.tasks[name].scored_by
        teachers, student, agreement = scores[metric], run.main(name), distilled.agreement[name]
        own = None if student is None else student.value
        rows.append(
            [
                f"{name} {metric}",
                "undefined" if teachers.value is None else shown(teachers.value),
                shown_interval(teachers.ci95),
                "undefined" if own is None else shown(own),
                "" if student is None else shown_interval(student.ci95),
                "" if own is None or teachers.value is None else signed(own - teachers.value),
                "undefined" if agreement.value is None else f"{shown(agreement.value)} {agreement.measure}",
            ]
        )
    return Table(columns, rows, note=NOTE)


def _teachers(distilled: Distilled) -> Table:
    columns = [
        Column("teacher"),
        Column("tasks"),
        Column("overall on dev", number=True),
        Column("SHA-256 of its model"),
    ]
    return Table(
        columns,
        [
            [
                teacher.run,
                ", ".join(teacher.tasks),
                "undefined" if teacher.dev_overall is None else shown(teacher.dev_overall),
                teacher.sha256[:16],
            ]
            for teacher in distilled.teachers
        ],
        note="" if distilled.seconds is None else COST.format(shown_duration(distilled.seconds)),
    )
