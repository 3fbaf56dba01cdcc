"""Paired comparison of models: the same examples, each run against the first, every difference with a test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

from bertram.comparison.outcomes import TaskPredictions, joint_numbers, unit
from bertram.comparison.prediction_files import counted_ids
from bertram.comparison.verdict import NO_SCORE, SAME_ANSWERS, Decision, Reason, Verdict, untestable, verdict
from bertram.errors import DataError
from bertram.evaluation.groups import meet
from bertram.evaluation.holm import holm
from bertram.evaluation.influence import by_group, correlations, influence, standard_error
from bertram.evaluation.intervals import Floats, Interval, dependent_correlations, mcnemar
from bertram.evaluation.mean_interval import error_of_mean, mean_interval
from bertram.evaluation.metrics import metrics_of
from bertram.evaluation.paired_accuracy import newcombe
from bertram.evaluation.score_intervals import Z
from bertram.evaluation.scoring import overall

ROUNDING = 1e-9  # standard errors and differences below it are rounding


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


def compare_models(tasks: Mapping[str, TaskPredictions]) -> list[ModelDifference]:
    """Compare every run with the first, task by task and, where a run has all of several tasks, overall.

    Accuracies have Newcombe's interval and McNemar's test, Pearson's correlations Steiger and Hakstian's test; all else
    has the t-test of the examples' influence, and so have all scores where examples share texts. Where no example has
    an influence, as for an F1 of 0 against one of 1, the sign test of the disagreements stands in. What is compared are
    these models: a verdict on a technique needs several seeds (`compare_techniques`).

    Args:
        tasks: task -> the predictions; the first run named in the first task is the baseline.

    Raises:
        DataError: runs were not evaluated on the same examples, or there is nothing to compare.
    """
    runs = list(dict.fromkeys(run for task in tasks.values() for run in task.predicted))
    if len(runs) < 2:
        raise DataError("a comparison needs the predictions of at least two runs")
    check_same_examples(tasks)
    rows = []
    for run in runs[1:]:
        shared = {name: task for name, task in tasks.items() if {run, runs[0]} <= task.predicted.keys()}
        compared = [_compare_task(name, task, (runs[0], run)) for name, task in shared.items()]
        rows += compared
        if len(compared) == len(tasks) > 1:
            rows.append(_compare_overall(compared, list(shared.values())))
    if not rows:
        raise DataError(f"no run shares a task with {runs[0]!r}: there is nothing to compare")
    return _with_verdicts(rows)


def check_same_examples(tasks: Mapping[str, TaskPredictions]) -> None:
    """Raise DataError with all that differs unless all runs have predicted the same ids, each with a gold label."""
    problems = []
    for name, task in tasks.items():
        first, *remaining = task.predicted
        ids = task.predicted[first].keys()
        for run in remaining:
            run_ids = task.predicted[run].keys()
            lacking = [id_ for id_ in ids if id_ not in run_ids]
            further = [id_ for id_ in run_ids if id_ not in ids]
            for owner, only in ((first, lacking), (run, further)):
                problems += [f"{name}: ids only in {owner!r}: {counted_ids(only)}"] if only else []
        if unlabelled := [id_ for id_ in ids if id_ not in task.gold]:
            problems.append(f"{name}: ids without a gold label: {counted_ids(unlabelled)}")
        if not ids:
            problems.append(f"{name}: {first!r} has no predictions")
    if problems:
        listed = "\n  - ".join(problems)
        raise DataError(f"the runs are not on the same examples; evaluate them all on one data set:\n  - {listed}")


def _compare_task(name: str, task: TaskPredictions, pair: tuple[str, str]) -> ModelDifference:
    """Compare a baseline and a run on one task."""
    gold, metric = task.labels(), metrics_of(task.space)[task.main_metric]
    sides = [task.predictions(run) for run in pair]
    reasons = [metric.why_undefined(gold, predicted) for predicted in sides]
    before, after = (
        None if why else metric.value(gold, predicted) for why, predicted in zip(reasons, sides, strict=True)
    )
    row = ModelDifference(name, task.main_metric, len(gold), *pair, before, after)
    if before is None or after is None:
        detail = " and ".join(f"{run}: {why}" for run, why in zip(pair, reasons, strict=True) if why)
        return replace(row, verdict=untestable(Reason.UNDEFINED_SCORE, detail))
    row = replace(row, difference=after - before)
    if np.array_equal(sides[0], sides[1]):
        return replace(row, p=1.0, verdict=SAME_ANSWERS)
    groups = task.group_numbers()
    count = len(gold) if groups is None else int(groups.max()) + 1  # of independent examples
    if count < 2:
        return replace(row, verdict=untestable(Reason.TOO_FEW_EXAMPLES))
    values = _influence(task, pair)
    error = standard_error(by_group(values, groups))
    if error > ROUNDING:
        ci95, p, test = _t_test(after - before, error, count)
    else:
        intervals = [metric.ci95(metric.value(gold, side), gold, side, groups) for side in sides]
        units = np.arange(len(gold)) if groups is None else groups
        disagreeing = len(np.unique(units[sides[0] != sides[1]]))
        ci95, p, test = _sign_test((before, after), intervals, disagreeing)
    if task.main_metric in SPECIAL:
        alone = standard_error(by_group(values, None))
        share = (alone / error) ** 2 if error > ROUNDING else count / len(gold)  # of the examples that count
        special = SPECIAL[task.main_metric](gold, sides[0], sides[1], share)
        ci95 = special[0] or ci95
        p, test = (p, test) if special[1] is None or groups is not None else (special[1], special[2])
    return replace(row, ci95=ci95, p=p, test=test, verdict=Verdict(Decision.UNDECIDED))


def _influence(task: TaskPredictions, pair: tuple[str, str]) -> Floats:
    """The influence of each example on the difference of a run from a baseline, [n]."""
    compute, gold = metrics_of(task.space)[task.main_metric].compute, task.labels()
    before, after = (influence(compute, gold, task.predictions(run)) for run in pair)
    return after - before


def _t_test(difference: float, error: float, n: int) -> tuple[Interval, float, str]:
    """Interval and test of a difference from its standard error over examples."""
    half = float(stdtrit(n - 1, 0.975)) * error
    p = float(2 * stdtr(n - 1, -abs(difference) / error))
    return (difference - half, difference + half), p, "t, over examples"


def _sign_test(values: Interval, intervals: Sequence[Interval], disagreeing: int) -> tuple[Interval, float, str]:
    """Interval and test where no example tells of another difference: one model always right, the other always wrong.

    The interval is made of those of both scores; the test is of all disagreements favouring one side.
    """
    (before, after), (first, second) = values, intervals
    low, high = mean_interval((after, -before), (second, (-first[1], -first[0])))
    p = mcnemar(0, disagreeing) if abs(after - before) > ROUNDING else 1.0
    return (2 * low, 2 * high), p, "sign test, mid-p"


Special = tuple[Interval | None, float | None, str]


def _accuracies(gold: Floats, first: Floats, second: Floats, share: float) -> Special:
    """Newcombe's interval and McNemar's test."""
    a, b = first == gold, second == gold
    counts = [int((x & y).sum()) for x, y in ((a, b), (a, ~b), (~a, b), (~a, ~b))]
    return newcombe(*(share * count for count in counts)), mcnemar(counts[1], counts[2]), "McNemar, mid-p"


def _correlations(gold: Floats, first: Floats, second: Floats, share: float) -> Special:
    """Steiger and Hakstian's test; its interval is that of the influence."""
    del share
    return None, dependent_correlations(gold, first, second), "Steiger & Hakstian"


SPECIAL: dict[str, Callable[[Floats, Floats, Floats, float], Special]] = {
    "accuracy": _accuracies,
    "pearson": _correlations,
}


def _compare_overall(rows: list[ModelDifference], tasks: Sequence[TaskPredictions]) -> ModelDifference:
    """The mean over tasks, whose examples are independent unless they share texts."""
    first = rows[0]
    before = overall({row.task: (row.metric, row.baseline_value) for row in rows})
    after = overall({row.task: (row.metric, row.value) for row in rows})
    row = ModelDifference("overall", "overall", sum(row.n for row in rows), first.baseline, first.run, before, after)
    untested = ", ".join(row.task for row in rows if row.p is None)
    if before is None or after is None or untested:
        return replace(row, verdict=untestable(Reason.UNDEFINED_SCORE, f"no comparison on {untested}"))
    row = replace(row, difference=after - before)
    if all(task_row.verdict.decision is Decision.SAME_PREDICTIONS for task_row in rows):
        return replace(row, p=1.0, verdict=SAME_ANSWERS)
    differences = [unit(task_row.metric) * (task_row.difference or 0.0) for task_row in rows]
    bounds = [
        (0.0, 0.0)
        if task_row.ci95 is None
        else (unit(task_row.metric) * task_row.ci95[0], unit(task_row.metric) * task_row.ci95[1])
        for task_row in rows
    ]
    numbers = joint_numbers(tasks)
    influences = [_influence(task, (first.baseline, first.run)) for task in tasks] if meet(numbers) else None
    together = None if influences is None else correlations(influences, numbers)
    ci95 = mean_interval(differences, bounds, together)
    error = error_of_mean([(high - low) / 2 for low, high in bounds], together) / Z
    p = float(2 * ndtr(-abs(after - before) / error)) if error > 0 else 1.0
    return replace(row, ci95=ci95, p=p, test="normal, over examples", verdict=Verdict(Decision.UNDECIDED))


def _with_verdicts(rows: list[ModelDifference]) -> list[ModelDifference]:
    """Correct the p-values for all rows together, and decide each tested row."""
    corrected = iter(holm([row.p for row in rows if row.p is not None]))
    return [row if row.p is None else _decided(row, next(corrected)) for row in rows]


def _decided(row: ModelDifference, p_holm: float) -> ModelDifference:
    if row.ci95 is None or row.difference is None:
        return replace(row, p_holm=p_holm)
    return replace(row, p_holm=p_holm, verdict=verdict(row.difference, row.ci95, p=p_holm))
