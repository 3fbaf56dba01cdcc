"""Tables of scores on the terminal."""

from collections.abc import Mapping
from typing import Any, Literal

from rich import box
from rich.table import Table

from bertram.cli.terminal import console
from bertram.config import Config
from bertram.evaluation.caveats import notes
from bertram.evaluation.metrics import best_baseline
from bertram.runs.directory import Run
from bertram.tasks import Task

INTERVAL_WIDTH = 16
METRIC_ORDER = ("accuracy", "f1", "pearson", "spearman", "mse", "mae")
MEMBER_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("run", "left"),
    ("recipe", "left"),
    ("seed", "right"),
    ("dev overall", "right"),
    ("in it", "left"),
)
FORMULAS = {"overall": "(r + 1) / 2", "overall_plain": "plain r"}


def run_scores(run: Run, split: str = "dev") -> None:
    """The scores of a finished run beside its trivial baselines."""
    scores = run.record["scores"]
    out = console()
    out.print(score_table(run.config, scores[split], split, run.record.get("baselines", {}), scores.get("train")))
    for note in notes(run):
        out.print(note)


def merged_run(run: Run) -> None:
    """The scores of a soup or ensemble, and the runs it was made of."""
    merged = run.record["merged"]
    run_scores(run)
    out = console()
    table = plain_table(f"The {merged['how']} and its members")
    for heading, justify in MEMBER_COLUMNS:
        table.add_column(heading, justify=justify)
    for membership, members in (("yes", merged["members"]), ("left out", merged["left_out"])):
        for member in members:
            value = "undefined" if member["dev_overall"] is None else f"{member['dev_overall']:.4f}"
            table.add_row(member["run"], member["recipe"], str(member["seed"]), value, membership)
    overall = run.record["scores"]["dev"]["overall"]
    table.add_row(str(run.path), "", "", _cells(overall)[0], "", style="bold")
    out.print(table)
    out.print(f"{merged['how']}, {merged['choice']}")
    out.print(f"run: {run.path}", soft_wrap=True)


def plain_table(title: str) -> Table:
    """A table with a line below its head and room between its columns."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def score_table(
    config: Config,
    scores: Mapping[str, Any],
    split: str,
    baselines: Mapping[str, Any],
    train: Mapping[str, Any] | None = None,
) -> Table:
    """A row for each score, with interval, trivial baseline and, where it is known, train score."""
    table = _score_columns(f"Scores on {split}", split, train is not None)
    for name, task in config.tasks.items():
        if name in scores:
            _task_rows(table, task, scores[name], baselines.get(name, {}), train and train.get(name, {}))
            table.add_section()
    for name, formula in FORMULAS.items():
        if name in scores:
            cells = [*_cells(scores[name]), "", *([_value(train.get(name))] if train is not None else []), ""]
            table.add_row(name.split("_")[0], formula, *cells, style="bold" if name == "overall" else None)
    return table


def metric_table(task: Task, scores: Mapping[str, Any], baselines: Mapping[str, Any], title: str) -> Table:
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


def _task_rows(
    table: Table,
    task: Task,
    scores: Mapping[str, Any],
    baselines: Mapping[str, Any],
    train: Mapping[str, Any] | None,
) -> None:
    first = task.name
    for metric in [name for name in METRIC_ORDER if name in scores]:
        middle = [] if train is None else [_value(train.get(metric))]
        cells = [*_cells(scores[metric]), str(scores[metric]["n"]), *middle, _best_baseline(baselines, metric)]
        table.add_row(first, metric, *cells, style="bold" if metric == task.scored_by else None)
        first = ""


def _best_baseline(baselines: Mapping[str, Any], metric: str) -> str:
    best = best_baseline(baselines, metric)
    if best is None:
        return "undefined" if baselines else ""
    name, value = best
    return f"{value:.4f} {name.replace('_', ' ')}"


def _cells(score: Mapping[str, Any]) -> tuple[str, str]:
    if score["value"] is None:
        return "undefined", str(score.get("undefined", ""))
    return f"{score['value']:.4f}", interval_text(score.get("ci95"), 4)


def interval_text(interval: Any, digits: int = 3, sign: str = "") -> str:
    """Both ends of an interval."""
    if interval is None:
        return ""
    low, high = (round(end, digits) + 0.0 for end in interval)  # no minus before a zero
    return f"{low:{sign}.{digits}f} – {high:{sign}.{digits}f}"


def _value(score: Mapping[str, Any] | None) -> str:
    return "" if not score or score["value"] is None else f"{score['value']:.4f}"


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
