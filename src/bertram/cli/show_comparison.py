"""Comparisons of runs on the terminal: a table for each run or technique, and every verdict in words."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.table import Table

from bertram.cli.show import interval_text, plain_table
from bertram.comparison.arms import Arm
from bertram.comparison.comparison import Comparison
from bertram.comparison.contrast import LEAST_SEEDS
from bertram.comparison.models import ModelDifference
from bertram.comparison.sentences import (
    DIGITS,
    LOSS_DIGITS,
    model_sentence,
    noise_sentence,
    signed,
    superiority_text,
    technique_sentence,
)
from bertram.comparison.techniques import TechniqueDifference

NAME_WIDTH = 12
INTERVAL_WIDTH = 17
INTERVALS = ("95 % interval", "95 %, seeds", "and examples", "P")
TESTS = (
    "Tests: McNemar's (mid-p) for accuracies, Steiger & Hakstian's for Pearson's correlations, else by the influence "
    "of the examples, as wherever examples share texts; Newcombe's interval for accuracies; Holm's correction over all "
    "{rows} rows."
)
MODELS = (
    "This compares these very models, not the techniques behind them: a verdict on a technique needs {least} seeds "
    "of each configuration."
)
TECHNIQUES = (
    "Tests: t, paired by seed, each difference by its own variance. Holm's correction: over the {first} rows on "
    "{primary}, and for every other row over all {rows}. The first interval holds for other seeds on these examples, "
    "the second for other examples too. P: how often a new seed favours the configuration."
)
FEW_SEEDS = (
    "With fewer than {least} common seeds the interval is for other examples and these very models: it says nothing "
    "about the techniques behind them."
)


def parts(comparison: Comparison, split: str) -> Iterator[Table | str]:
    """Parts of a comparison, in the order in which they are printed."""
    if comparison.techniques:
        yield _arms(comparison.arms)
        for technique, rows in groupby(comparison.techniques, lambda row: row.technique):
            yield from _techniques(technique, list(rows), split)
        yield ""
        primary = [row for row in comparison.techniques if row.primary]
        if comparison.noise is not None:
            errors = {row.technique: row.example_error for row in primary}
            yield noise_sentence(primary[0].outcome, comparison.noise, errors)
        if primary and _tested(comparison.techniques):
            yield TECHNIQUES.format(
                first=_tested(primary), primary=primary[0].outcome, rows=_tested(comparison.techniques)
            )
        if any(row.seeds < LEAST_SEEDS and row.ci95_new is not None for row in comparison.techniques):
            yield FEW_SEEDS.format(least=LEAST_SEEDS)
        return
    for run, compared in groupby(comparison.models, lambda row: row.run):
        yield from _models(run, list(compared), split)
    yield "\n" + TESTS.format(rows=_tested(comparison.models))
    yield MODELS.format(least=LEAST_SEEDS)


def _tested(rows: Iterable[ModelDifference | TechniqueDifference]) -> int:
    return sum(row.p is not None for row in rows)


def _models(run: str, rows: list[ModelDifference], split: str) -> Iterator[Table | str]:
    table = plain_table(f"{run} against {rows[0].baseline} on {split}")
    _columns(table, "n", rows[0].baseline, run, "diff.", "95 % interval", "p", "Holm p")
    for row in rows:
        table.add_row(
            row.task,
            "" if row.task == "overall" else row.metric,
            str(row.n),
            _value(row.baseline_value),
            _value(row.value),
            _signed(row.difference),
            interval_text(row.ci95, sign="+"),
            _chance(row.p),
            _chance(row.p_holm),
        )
    yield table
    for row in rows:
        yield f"{row.task}: {model_sentence(row)}"


def _techniques(technique: str, rows: list[TechniqueDifference], split: str) -> Iterator[Table | str]:
    table = plain_table(f"{technique} against {rows[0].baseline} on {split}, means over common seeds")
    _columns(table, "seeds", rows[0].baseline, technique, "diff.", "95 %, seeds", "and examples", "P", "Holm p")
    for row in rows:
        digits = DIGITS if row.smallest is not None else LOSS_DIGITS
        table.add_row(
            row.task,
            "" if row.task == "overall" else row.metric,
            str(row.seeds),
            _value(row.baseline_value),
            _value(row.value),
            _signed(row.effect),
            interval_text(row.ci95, digits, sign="+"),
            interval_text(row.ci95_new, digits, sign="+"),
            superiority_text(row),
            _chance(row.p_holm),
        )
    yield table
    for row in rows:
        yield f"{row.outcome}: {technique_sentence(row)}"


def _arms(arms: list[Arm]) -> Table:
    table = plain_table("Configurations")
    for heading in ("configuration", "seeds", "runs"):
        table.add_column(heading)
    for arm in arms:
        table.add_row(arm.name, ", ".join(map(str, arm.runs)), ", ".join(arm.runs.values()))
    return table


def _columns(table: Table, *headings: str) -> None:
    for heading in ("task", "score"):
        table.add_column(heading)
    for heading in headings:
        widest = INTERVAL_WIDTH if heading in INTERVALS else NAME_WIDTH
        table.add_column(heading, justify="right", max_width=widest, overflow="fold")


def _value(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "" if value is None else signed(value, 4)


def _chance(p: float | None) -> str:
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
