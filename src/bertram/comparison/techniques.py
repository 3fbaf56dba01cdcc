"""Comparison of techniques: runs that differ only by their seed are one arm, and arms are compared over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from bertram.comparison.arms import Arm
from bertram.comparison.models import TaskPredictions
from bertram.comparison.verdict import NO_RUNS, Reason, Verdict, untestable, verdict
from bertram.evaluation.intervals import (
    LEAST_SEEDS,
    Floats,
    Interval,
    bootstrap,
    holm,
    interval_for_new_examples,
    percentile_interval,
    shared_example_error,
    technique_effect,
)
from bertram.evaluation.metrics import on_unit_scale, overall

RESAMPLES = 2000
OVERALL = "overall"


@dataclass(frozen=True)
class TechniqueDifference:
    """One row of the table: the arm `technique` minus the arm `baseline` in the main score of one task, or overall.

    Values are means over the `seeds` common to both. `ci95` holds for other seeds on these examples, `ci95_new` also
    for other examples; with fewer than 3 seeds `ci95` is None and `ci95_new` holds for other examples and these very
    models. `p_holm` is corrected for all rows of the table.
    """

    task: str
    metric: str
    baseline: str
    technique: str
    seeds: int = 0
    baseline_value: float | None = None
    value: float | None = None
    difference: float | None = None
    ci95: Interval | None = None
    ci95_new: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    verdict: Verdict = NO_RUNS

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The row of a table of results."""
        intervals = {name: None if values[name] is None else tuple(values[name]) for name in ("ci95", "ci95_new")}
        return cls(**{**values, **intervals, "verdict": Verdict.from_json(values["verdict"])})


@dataclass(frozen=True)
class _Scores:
    """Main scores of all runs in one task, or overall: arm -> seed -> score; and why runs have none."""

    metric: str
    values: Mapping[str, Mapping[int, float]]
    undefined: Mapping[str, str]  # arm -> reasons


def compare_techniques(
    tasks: Mapping[str, TaskPredictions], arms: Sequence[Arm], *, seed: int = 0, resamples: int = RESAMPLES
) -> list[TechniqueDifference]:
    """Compare every arm with the first, task by task and, where all runs have all of several tasks, overall.

    The noise of the seeds is pooled over all arms (`statistics.contrast`).

    Args:
        tasks: task -> the predictions of all runs on the same examples.
        arms: at least two; the first is the baseline.
        seed: of the bootstrap of the examples.
        resamples: of the bootstrap.
    """
    generator = np.random.default_rng(seed)
    scores = {name: _task_scores(task, arms) for name, task in tasks.items()}
    if len(tasks) > 1:
        scores[OVERALL] = _overall_scores(scores, arms)
    rows = []
    for arm in arms[1:]:
        pair = (arms[0], arm)
        draws: dict[str, Floats] = {}
        for name, each in scores.items():
            if name != OVERALL:
                draws[name] = _example_draws(tasks[name], pair, generator, resamples)
            else:  # the tasks' examples are different ones, so their resamples are independent
                metrics = {task: scores[task].metric for task in draws}
                draws[name] = np.mean([_unit(metrics[task]) * one for task, one in draws.items()], axis=0)
            rows.append(_compare(name, each, pair, draws[name]))
    return _with_verdicts(rows)


def _unit(metric: str) -> float:
    """What a unit of a main score is on [0, 1]."""
    return on_unit_scale(metric, 1.0) - on_unit_scale(metric, 0.0)


def _task_scores(task: TaskPredictions, arms: Sequence[Arm]) -> _Scores:
    metric = task.scorer
    values: dict[str, dict[int, float]] = {}
    undefined: dict[str, list[str]] = {}
    for arm in arms:
        values[arm.name] = {}
        for seed, run in arm.runs.items():
            if run not in task.predicted:
                undefined.setdefault(arm.name, []).append(f"{run} has no predictions")
                continue
            gold, (predicted,) = _columns(task, [run])
            why = metric.why_undefined(gold, predicted)
            if why:
                undefined.setdefault(arm.name, []).append(f"{run}: {why}")
            else:
                values[arm.name][seed] = metric.value(gold, predicted)
    return _Scores(task.main_metric, values, {arm: ", ".join(whys) for arm, whys in undefined.items()})


def _overall_scores(scores: Mapping[str, _Scores], arms: Sequence[Arm]) -> _Scores:
    values: dict[str, dict[int, float]] = {}
    for arm in arms:
        complete = [seed for seed in arm.runs if all(seed in each.values[arm.name] for each in scores.values())]
        values[arm.name] = {}
        for seed in complete:
            value = overall({name: (each.metric, each.values[arm.name][seed]) for name, each in scores.items()})
            assert value is not None
            values[arm.name][seed] = value
    undefined = {arm: why for each in scores.values() for arm, why in each.undefined.items()}
    return _Scores(OVERALL, values, undefined)


def _columns(task: TaskPredictions, runs: Sequence[str]) -> tuple[Floats, list[Floats]]:
    """Gold labels and each run's predictions, [n], in one order."""
    ids = list(next(iter(task.predicted.values())))
    gold, *predicted = (
        np.array([source[one] for one in ids], dtype=np.float64)
        for source in (task.gold, *(task.predicted[run] for run in runs))
    )
    return gold, predicted


def _example_draws(
    task: TaskPredictions, pair: tuple[Arm, Arm], generator: np.random.Generator, resamples: int
) -> Floats:
    """The difference of two arms for each common seed, in resamples of the examples [seeds, resamples]."""
    before, after = pair
    seeds = [seed for seed in before.runs if seed in after.runs]
    runs = [arm.runs[seed] for arm in pair for seed in seeds]
    if not seeds or any(run not in task.predicted for run in runs):
        return np.full((max(1, len(seeds)), resamples), np.nan)
    metric = task.scorer

    def difference(weights: Floats, gold: Floats, *predicted: Floats) -> Floats:
        found = np.array([metric.compute(gold, one, weights) for one in predicted])  # [2 seeds, b]
        paired: Floats = found[len(seeds) :] - found[: len(seeds)]
        return paired

    gold, predicted = _columns(task, runs)
    return bootstrap(difference, (gold, *predicted), generator, resamples)


def _compare(name: str, scores: _Scores, pair: tuple[Arm, Arm], draws: Floats) -> TechniqueDifference:
    before, after = pair[0].name, pair[1].name
    row = TechniqueDifference(name, scores.metric, before, after)
    reasons = [scores.undefined[arm] for arm in (before, after) if arm in scores.undefined]
    if reasons:
        return replace(row, verdict=untestable(Reason.UNDEFINED_SCORE, ", ".join(reasons)))
    common = [seed for seed in scores.values[before] if seed in scores.values[after]]
    if not common:
        return replace(row, verdict=untestable(Reason.NO_COMMON_SEED))
    means = [float(np.mean([scores.values[arm][seed] for seed in common])) for arm in (before, after)]
    row = replace(row, seeds=len(common), baseline_value=means[0], value=means[1])
    if len(common) < LEAST_SEEDS:
        few, interval = untestable(Reason.TOO_FEW_SEEDS), percentile_interval(draws.mean(0))
        return replace(row, difference=means[1] - means[0], ci95_new=interval, verdict=few)
    paired = {arm: {seed: scores.values[arm][seed] for seed in common} for arm in (before, after)}
    effect = technique_effect({**scores.values, **paired}, after, before)  # so it is the mean over the common seeds
    new = interval_for_new_examples(effect, shared_example_error(draws))
    return replace(row, difference=effect.value, ci95=effect.ci95, ci95_new=new, p=effect.p)


def _with_verdicts(rows: list[TechniqueDifference]) -> list[TechniqueDifference]:
    """Correct the p-values for all rows together, and decide each tested row."""
    corrected = iter(holm([row.p for row in rows if row.p is not None]))
    return [row if row.p is None else _decided(row, next(corrected)) for row in rows]


def _decided(row: TechniqueDifference, p_holm: float) -> TechniqueDifference:
    assert row.difference is not None
    assert row.ci95 is not None
    assert row.p is not None
    decision = verdict(row.difference, row.ci95, p=row.p, p_holm=p_holm, ci95_new=row.ci95_new)
    return replace(row, p_holm=p_holm, verdict=decision)
