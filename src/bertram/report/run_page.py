"""The report of one run."""

from collections.abc import Iterator

from markupsafe import Markup

from bertram.evaluation.baseline import best_baseline
from bertram.evaluation.metrics import is_error
from bertram.report.distillation import distillation_section
from bertram.report.learning import gradients_section, learning_section, smart_section
from bertram.report.origin import config_section
from bertram.report.outcomes import OVERALL, Library, RunView
from bertram.report.page import (
    Cell,
    Column,
    Page,
    Section,
    Table,
    Tile,
    interval_bar,
    shown,
    shown_duration,
    shown_interval,
    signed,
)
from bertram.report.predictions import errors_section, predictions_section
from bertram.report.sanity_checks import run_findings
from bertram.runs.scores import Baselines, Score

FORMULA = {"overall": "with (r + 1) / 2", "overall_plain": "with plain r"}


def run_page(run: RunView, library: Library) -> Page:
    """Everything that is known of a run."""
    sections = [
        scores_section(run),
        distillation_section(run),
        learning_section(run),
        predictions_section(run, library),
        errors_section(run, library),
        gradients_section(run),
        smart_section(run),
        config_section(run),
    ]
    return Page(
        title=f"{run.config.recipe}, seed {run.config.seed}",
        kind="report of a run",
        facts=list(_facts(run)),
        findings=run_findings(run, library),
        sections=[section for section in sections if not section.empty],
        tiles=list(_tiles(run)),
    )


def _facts(run: RunView) -> Iterator[str]:
    yield run.name
    yield f"encoder {run.config.encoder}"
    yield f"data {run.config.data}"
    if run.record is None:
        return
    if (steps := run.record.steps) is not None:
        yield f"{steps.taken:,} steps, weights of step {steps.best:,}"
    if seconds := run.record.seconds.training:
        yield f"trained in {shown_duration(seconds)}"
    yield f"finished {run.record.provenance.finished[:10]}"


def _tiles(run: RunView) -> Iterator[Tile]:
    for name in [*run.config.tasks, OVERALL]:
        score = run.main(name)
        if score is None:
            continue
        metric = "" if name == OVERALL else run.config.tasks[name].scored_by
        best = best_baseline(run.baselines(name), metric)
        yield Tile(
            label=f"{name} {metric}".strip(),
            value="undefined" if score.value is None else shown(score.value),
            interval=f"95 %: {shown_interval(score.ci95)}" if score.ci95 else score.undefined or "",
            bar=interval_bar(score.value, score.ci95, best.value if best else None),
            note=f"trivial: {shown(best.value)}, {best.words}" if best else "",
            low=best is not None and score.value is not None and best.beats(score.value),
        )


def scores_section(run: RunView) -> Section:
    """Every score with its interval, beside its train score and the best trivial answer."""
    rows: list[list[Cell]] = []
    strong = set()
    dev, train = run.scores, run.train_scores
    for name, task in run.config.tasks.items():
        for metric, score in ({} if dev is None else dev.tasks.get(name, {})).items():
            if metric == task.scored_by:
                strong.add(len(rows))
            on_train = None if train is None else train.score(name, metric)
            rows.append(_score_row(name, metric, score, on_train, run.baselines(name)))
    if dev is not None:
        for name, formula in FORMULA.items():
            on_train = None if train is None else train.mean(name)
            rows.append(_score_row("overall", formula, dev.mean(name), on_train, {}))
    columns = [Column("score"), Column("dev", number=True), Column("95 % interval", number=True),
               Column("between 0 and 1"), Column("n", number=True), Column("train", number=True),
               Column("train − dev", number=True), Column("trivial baseline")]  # fmt: skip
    note = (
        "Intervals hold for other examples, not for other seeds. Each task's main score is in bold; the red tick is "
        "the best answer that needs no model."
    )
    tables = [Table(columns, rows, note=note, strong=frozenset(strong))] if rows else []
    return Section("scores", "Scores", tables=tables)


def _score_row(name: str, metric: str, score: Score, train: Score | None, baselines: Baselines) -> list[Cell]:
    value, best = score.value, best_baseline(baselines, metric)
    trained = None if train is None else train.value
    trivial: Cell = "" if best is None else f"{shown(best.value)} {best.words}"
    if best is not None and value is not None and best.beats(value):
        trivial = Markup('<span class="below">{}: better than the model</span>').format(trivial)
    return [
        f"{name} {metric}",
        "undefined" if value is None else shown(value),
        score.undefined or "" if value is None else shown_interval(score.ci95),
        "" if is_error(metric) else interval_bar(value, score.ci95, best.value if best else None),
        "" if score.n is None else f"{score.n:,}",
        "" if trained is None else shown(trained),
        "" if trained is None or value is None else signed(trained - value),
        trivial,
    ]
