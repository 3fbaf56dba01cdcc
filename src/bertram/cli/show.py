"""Tables of scores on the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from bertram.config import Config
from bertram.runs.directory import Run
from bertram.tasks import Task

METRIC_ORDER = ("accuracy", "f1", "pearson", "spearman")


def console() -> Console:
    """Where results go."""
    return Console(highlight=False)


def run_scores(run: Run, split: str = "dev") -> None:
    """The scores of a finished run beside its trivial baselines."""
    scores = run.record["scores"]
    out = console()
    out.print(score_table(run.config, scores[split], split, run.record.get("baselines", {}), scores.get("train")))
    for note in notes(run):
        out.print(note)


def notes(run: Run) -> list[str]:
    """What a reader of the scores should know."""
    said = []
    if run.config.encoder == "minilm" and "quora" in run.config.tasks:
        said.append("minilm has seen Quora pairs in its pretraining: its Quora scores are not those of unseen data.")
    if run.config.data == "sample":
        said.append("The sample is a toy of the project's own sentences: its scores say nothing about methods.")
    return said


def score_table(
    config: Config,
    scores: Mapping[str, Any],
    split: str,
    baselines: Mapping[str, Any],
    train: Mapping[str, Any] | None = None,
) -> Table:
    """A row for each score, with interval, train score and trivial baseline."""
    table = Table(title=f"Scores on {split}", title_justify="left")
    for heading, justify in (("task", "left"), ("score", "left"), (split, "right"), ("95 % interval", "right"),
                             ("n", "right"), ("train", "right"), ("trivial baseline", "left")):  # fmt: skip
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for name, task in config.tasks.items():
        if name in scores:
            _task_rows(table, task, scores[name], (train or {}).get(name, {}), baselines.get(name, {}))
            table.add_section()
    for name in ("overall", "overall_plain"):
        if name in scores:
            table.add_row(_formula(name), "", *_cells(scores[name]), "", _value((train or {}).get(name)), "")
    return table


def _task_rows(
    table: Table, task: Task, scores: Mapping[str, Any], train: Mapping[str, Any], baselines: Mapping[str, Any]
) -> None:
    first = task.name
    for metric in [name for name in METRIC_ORDER if name in scores]:
        best = _best_baseline(baselines, metric)
        main = metric == task.scored_by
        value, interval = _cells(scores[metric])
        style = "bold" if main else None
        table.add_row(
            first, metric, value, interval, str(scores[metric]["n"]), _value(train.get(metric)), best, style=style
        )
        first = ""


def _best_baseline(baselines: Mapping[str, Any], metric: str) -> str:
    known = {name: s[metric]["value"] for name, s in baselines.items() if s.get(metric, {}).get("value") is not None}
    if not known:
        return "undefined for a constant" if baselines else ""
    name = max(known, key=lambda one: known[one])
    return f"{known[name]:.4f} ({name.replace('_', ' ')})"


def _formula(name: str) -> str:
    return "overall, (r + 1) / 2" if name == "overall" else "overall, plain r"


def _cells(score: Mapping[str, Any]) -> tuple[str, str]:
    if score["value"] is None:
        return "undefined", str(score.get("undefined", ""))
    interval = score.get("ci95")
    return f"{score['value']:.4f}", f"{interval[0]:.4f} – {interval[1]:.4f}" if interval else ""


def _value(score: Mapping[str, Any] | None) -> str:
    return "" if not score or score["value"] is None else f"{score['value']:.4f}"


def confusion_tables(config: Config, confusion: Mapping[str, list[list[int]]]) -> list[Table]:
    """Gold labels by predicted ones, a table for each task with classes."""
    tables = []
    for name, counts in confusion.items():
        names = config.tasks[name].label_names
        table = Table("gold \\ predicted", title=f"{name}: confusion", title_justify="left")
        for label in names:
            table.add_column(label, justify="right")
        for label, row in zip(names, counts, strict=True):
            table.add_row(label, *map(str, row))
        tables.append(table)
    return tables
