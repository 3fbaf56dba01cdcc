"""Paired comparison of models: the same examples, each run against the first, every difference with a test."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bertram.comparison.outcomes import TaskPredictions
from bertram.comparison.prediction_files import counted_ids
from bertram.comparison.verdict import NO_SCORE, Decision, Reason, Verdict, untestable, verdict
from bertram.errors import DataError
from bertram.evaluation.holm import holm
from bertram.evaluation.intervals import (
    Floats,
    Interval,
    bootstrap,
    bootstrap_p,
    dependent_correlations,
    mcnemar,
    percentile_interval,
)
from bertram.evaluation.metrics import metrics_of, on_unit_scale, overall

RESAMPLES = 10_000


@dataclass(frozen=True)
class ModelDifference:
    """One row of the table: `run` minus `baseline` in the main score of one task, or overall.

    `p` is from `test`; `p_holm` is corrected for all rows of the table. Where a score is undefined, so are the
    difference and its test, and the verdict has the reason.
    """

    task: str
    metric: str
    n: int
    baseline: str
    run: str
    baseline_value: float | None
    value: float | None
    difference: float | None = None
    ci95: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    test: str = ""
    verdict: Verdict = NO_SCORE


def compare_models(
    tasks: Mapping[str, TaskPredictions], *, seed: int = 0, resamples: int = RESAMPLES
) -> list[ModelDifference]:
    """Compare every run with the first, task by task and, where a run has all of several tasks, overall.

    Intervals are from a paired bootstrap of the examples. Tests: McNemar's for accuracies, Steiger and
    Hakstian's for Pearson's correlations, the bootstrap's own for the rest. What is compared are these models: a
    verdict on a technique needs several seeds (`compare_techniques`).

    Args:
        tasks: task -> the predictions; the first run named in the first task is the baseline.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Raises:
        DataError: runs were not evaluated on the same examples, or there is nothing to compare.
    """
    runs = list(dict.fromkeys(run for task in tasks.values() for run in task.predicted))
    if len(runs) < 2:
        raise DataError("a comparison needs the predictions of at least two runs")
    check_same_examples(tasks)
    generator = np.random.default_rng(seed)
    rows = []
    for run in runs[1:]:
        shared = {name: task for name, task in tasks.items() if {run, runs[0]} <= task.predicted.keys()}
        found = [_compare_task(name, task, (runs[0], run), generator, resamples) for name, task in shared.items()]
        rows += [row for row, _ in found]
        if len(found) == len(tasks) > 1:
            rows.append(_compare_overall([row for row, _ in found], [draws for _, draws in found]))
    if not rows:
        raise DataError(f"no run shares a task with {runs[0]!r}: there is nothing to compare")
    return _with_verdicts(rows)


def check_same_examples(tasks: Mapping[str, TaskPredictions]) -> None:
    """Raise DataError with all that differs unless all runs have predicted the same ids, each with a gold label."""
    problems = []
    for name, task in tasks.items():
        first, *others = task.predicted
        ids = task.predicted[first].keys()
        for run in others:
            theirs = task.predicted[run].keys()
            lacking = [id_ for id_ in ids if id_ not in theirs]
            further = [id_ for id_ in theirs if id_ not in ids]
            for whose, only in ((first, lacking), (run, further)):
                problems += [f"{name}: ids only in {whose!r}: {counted_ids(only)}"] if only else []
        if unknown := [id_ for id_ in ids if id_ not in task.gold]:
            problems.append(f"{name}: ids without a gold label: {counted_ids(unknown)}")
        if not ids:
            problems.append(f"{name}: {first!r} has no predictions")
    if problems:
        listed = "\n  - ".join(problems)
        raise DataError(f"the runs are not on the same examples; evaluate them all on one data set:\n  - {listed}")


def _compare_task(
    name: str, task: TaskPredictions, pair: tuple[str, str], generator: np.random.Generator, resamples: int
) -> tuple[ModelDifference, Floats]:
    """Compare a baseline and a run on one task; returns the row and the bootstrapped differences [resamples]."""
    baseline, run = pair
    ids = list(task.predicted[baseline])
    sources = (task.gold, task.predicted[baseline], task.predicted[run])
    gold, a, b = (np.array([source[id_] for id_ in ids], dtype=np.float64) for source in sources)
    metric = metrics_of(task.space)[task.main_metric]
    reasons = [metric.why_undefined(gold, predicted) for predicted in (a, b)]
    before, after = (None if why else metric.value(gold, x) for why, x in zip(reasons, (a, b), strict=True))
    row = ModelDifference(name, task.main_metric, len(ids), baseline, run, before, after)
    if before is None or after is None:
        detail = " and ".join(f"{name}: {reason}" for name, reason in zip(pair, reasons, strict=True) if reason)
        return replace(row, verdict=untestable(Reason.UNDEFINED_SCORE, detail)), np.full(resamples, np.nan)

    def difference(weights: Floats, gold: Floats, a: Floats, b: Floats) -> Floats:
        return metric.compute(gold, b, weights) - metric.compute(gold, a, weights)

    draws = bootstrap(difference, (gold, a, b), generator, resamples)
    row = replace(row, difference=after - before, ci95=percentile_interval(draws))
    if row.ci95 is None:
        return replace(row, verdict=untestable(Reason.TOO_FEW_EXAMPLES)), draws
    p, test = _test(task.main_metric, gold, a, b, draws)
    same = Verdict(Decision.SAME_PREDICTIONS if np.array_equal(a, b) else Decision.UNDECIDED)
    return replace(row, p=p, test=test, verdict=same), draws


def _test(metric: str, gold: Floats, a: Floats, b: Floats, draws: Floats) -> tuple[float, str]:
    if metric == "accuracy":
        a_right, b_right = a == gold, b == gold
        return mcnemar(int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())), "McNemar, mid-p"
    if metric == "pearson":
        p = dependent_correlations(gold, a, b)
        if p is not None:
            return p, "Steiger & Hakstian"
    return bootstrap_p(draws), "paired bootstrap"


def _compare_overall(rows: list[ModelDifference], draws: list[Floats]) -> ModelDifference:
    first = rows[0]
    before = overall({row.task: (row.metric, row.baseline_value) for row in rows})
    after = overall({row.task: (row.metric, row.value) for row in rows})
    row = ModelDifference("overall", "overall", sum(row.n for row in rows), first.baseline, first.run, before, after)
    untested = ", ".join(row.task for row in rows if row.p is None)
    if before is None or after is None or untested:
        return replace(row, verdict=untestable(Reason.UNDEFINED_SCORE, f"no comparison on {untested}"))
    # The tasks' examples are different ones, so their resamples are independent.
    scales = [on_unit_scale(row.metric, 1.0) - on_unit_scale(row.metric, 0.0) for row in rows]
    combined = np.mean([scale * each for scale, each in zip(scales, draws, strict=True)], axis=0)
    ci95, p = percentile_interval(combined), bootstrap_p(combined)
    same = all(row.verdict.decision is Decision.SAME_PREDICTIONS for row in rows)
    decision = Verdict(Decision.SAME_PREDICTIONS if same else Decision.UNDECIDED)
    return replace(row, difference=after - before, ci95=ci95, p=p, test="paired bootstrap", verdict=decision)


def _with_verdicts(rows: list[ModelDifference]) -> list[ModelDifference]:
    """Correct the p-values for all rows together, and decide each tested row."""
    corrected = iter(holm([row.p for row in rows if row.p is not None]))
    return [row if row.p is None else _decided(row, next(corrected)) for row in rows]


def _decided(row: ModelDifference, p_holm: float) -> ModelDifference:
    assert row.difference is not None
    assert row.ci95 is not None
    assert row.p is not None
    if row.verdict.decision is Decision.SAME_PREDICTIONS:
        return replace(row, p_holm=p_holm)
    return replace(row, p_holm=p_holm, verdict=verdict(row.difference, row.ci95, p=p_holm))
