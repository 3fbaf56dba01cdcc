"""Tables of scores on the terminal."""

from collections.abc import Mapping
from typing import Literal

from rich import box
from rich.table import Table

from bertram.cli.terminal import console
from bertram.comparison.sentences import signed
from bertram.config import Config
from bertram.evaluation.baseline import best_baseline
from bertram.evaluation.caveats import notes
from bertram.evaluation.intervals import Interval
from bertram.runs.decisions import TaskDecision
from bertram.runs.directory import Run
from bertram.runs.record_parts import Contribution, Merged
from bertram.runs.scores import Baselines, Score, SplitScores, TaskScores
from bertram.tasks import Task

INTERVAL_WIDTH = 16
METRIC_ORDER = (
    *("accuracy", "f1", "micro_f1", "macro_f1", "subset_accuracy", "pearson", "spearman", "mse", "mae", "nll", "brier"),
)
MEMBER_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("run", "left"),
    ("recipe", "left"),
    ("seed", "right"),
    ("dev overall", "right"),
    ("in it", "left"),
)
FORMULAS = {"overall": "(r + 1) / 2", "overall_plain": "plain r"}


def run_scores(run: Run) -> None:
    """The dev scores of a finished run beside its trivial baselines."""
    record = run.record
    out = console()
    out.print(score_table(run.config, record.scores.dev, "dev", record.baselines, record.scores.train))
    for note in notes(run):
        out.print(note)


def merged_run(run: Run) -> None:
    """The scores of a soup or ensemble, and the runs it was made of."""
    merged = run.record.merged
    assert merged is not None
    run_scores(run)
    out = console()
    table = plain_table(f"The {merged.how} and its members")
    for heading, justify in MEMBER_COLUMNS:
        table.add_column(heading, justify=justify)
    for membership, members in (("yes", merged.members), ("left out", merged.left_out)):
        for member in members:
            value = "undefined" if member.dev_overall is None else f"{member.dev_overall:.4f}"
            table.add_row(member.run, member.recipe, str(member.seed), value, membership)
    table.add_row(str(run.path), "", "", _cells(run.record.scores.dev.overall)[0], "", style="bold")
    out.print(table)
    if any(member.contributions for member in merged.members):
        out.print(_contribution_table(merged))
        out.print("Intervals are for other examples and these very models.")
    out.print(f"{merged.how}, {merged.choice}")
    out.print(f"run: {run.path}", soft_wrap=True)


def _contribution_table(merged: Merged) -> Table:
    """Table of what each member adds to each score."""
    table = plain_table(f"What each member adds: the {merged.how} minus the same without it")
    table.add_column("run")
    outcomes = list(dict.fromkeys(outcome for member in merged.members for outcome in member.contributions))
    for outcome in outcomes:
        table.add_column(outcome, justify="right")
    for member in merged.members:
        table.add_row(member.run, *(_added(member.contributions.get(outcome)) for outcome in outcomes))
    return table


def _added(contribution: Contribution | None) -> str:
    if contribution is None:
        return "–"
    return f"{signed(contribution.value, 4)}\n{interval_text(contribution.ci95, sign='+')}"


def plain_table(title: str) -> Table:
    """A table with a line below its head and room between its columns."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def score_table(
    config: Config,
    scores: SplitScores,
    split: str,
    baselines: Mapping[str, Baselines],
    train: SplitScores | None = None,
) -> Table:
    """A row for each score, with interval, trivial baseline and, where it is known, train score."""
    table = _score_columns(f"Scores on {split}", split, train is not None)
    for name, task in config.tasks.items():
        if name in scores.tasks:
            own = None if train is None else train.tasks.get(name, {})
            _task_rows(table, task, scores.tasks[name], baselines.get(name, {}), own)
            table.add_section()
    for name, formula in FORMULAS.items():
        middle = [] if train is None else [_value(train.mean(name))]
        cells = [*_cells(scores.mean(name)), "", *middle, ""]
        table.add_row(name.split("_")[0], formula, *cells, style="bold" if name == "overall" else None)
    return table


def metric_table(task: Task, scores: TaskScores, baselines: Baselines, title: str) -> Table:
    """The scores of one task, without those of a training."""
    table = _score_columns(title, "value", with_train=False)
    _task_rows(table, task, scores, baselines, None)
    return table


def _score_columns(title: str, split: str, with_train: bool) -> Table:
    table = plain_table(title)
    justify: Literal["left", "right"]
    train = ["train"] if with_train else []
    for heading in ("task", "score", split, "95 % interval", "n", *train, "trivial"):
        justify = "left" if heading in ("task", "score", "trivial") else "right"
        table.add_column(heading, justify=justify, min_width=INTERVAL_WIDTH if heading == "95 % interval" else None)
    return table


def _task_rows(table: Table, task: Task, scores: TaskScores, baselines: Baselines, train: TaskScores | None) -> None:
    first = task.name
    for metric in [name for name in METRIC_ORDER if name in scores]:
        middle = [] if train is None else [_value(train.get(metric))]
        cells = [*_cells(scores[metric]), str(scores[metric].n), *middle, _best_baseline(baselines, metric)]
        table.add_row(first, metric, *cells, style="bold" if metric == task.scored_by else None)
        first = ""


def _best_baseline(baselines: Baselines, metric: str) -> str:
    best = best_baseline(baselines, metric)
    if best is None:
        return "undefined" if baselines else ""
    return f"{best.value:.4f} {best.words}"


def _cells(score: Score) -> tuple[str, str]:
    if score.value is None:
        return "undefined", score.undefined or ""
    return f"{score.value:.4f}", interval_text(score.ci95, 4)


def interval_text(interval: Interval | None, digits: int = 3, sign: str = "") -> str:
    """Both ends of an interval."""
    if interval is None:
        return ""
    low, high = (round(end, digits) + 0.0 for end in interval)  # no minus before a zero
    return f"{low:{sign}.{digits}f} – {high:{sign}.{digits}f}"


def _value(score: Score | None) -> str:
    return "" if score is None or score.value is None else f"{score.value:.4f}"


def calibration_table(task: Task, decision: TaskDecision) -> Table:
    """The fitted temperature and thresholds of a task, and its scores before and after."""
    thresholds = decision.thresholds
    listed = ", ".join(
        f"{name} {threshold:.2f}" if len(thresholds) > 1 else f"{threshold:.2f}"
        for name, threshold in zip(task.class_names, thresholds, strict=False)
    )
    fitted = f"temperature {decision.temperature:.3f}" + (f", thresholds {listed}" if listed else "")
    table = plain_table(f"{task.name}: {fitted} ({decision.rows:,} rows)")
    table.add_column("score")
    for heading in ("before", "95 % interval", "after", "95 % interval"):
        table.add_column(heading, justify="right")
    for name in ("calibration_error", *METRIC_ORDER):
        if (scores := decision.scores.get(name)) is not None:
            style = "bold" if name in ("calibration_error", task.scored_by) else None
            table.add_row(name.replace("_", " "), *_cells(scores.before), *_cells(scores.after), style=style)
    return table


def confusion_tables(config: Config, confusion: Mapping[str, list[list[int]]]) -> list[Table]:
    """Gold labels by predicted ones, a table for each task with classes."""
    tables = []
    for name, counts in confusion.items():
        names = config.tasks[name].class_names
        table = plain_table(f"{name}: gold labels by predicted ones")
        table.add_column("gold")
        for label in names:
            table.add_column(label, justify="right")
        for label, row in zip(names, counts, strict=True):
            table.add_row(label, *map(str, row))
        tables.append(table)
    return tables
