"""Table 1: the study's figures beside ours, made from run directories alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from bertram.comparison.arms import Arm
from bertram.comparison.comparable import precision_notes
from bertram.comparison.comparison import read_tasks
from bertram.comparison.contrast import estimate, interval_with_examples
from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.outcomes import Outcome, outcomes
from bertram.comparison.techniques import TechniqueDifference, compare_techniques
from bertram.evaluation.intervals import Interval
from bertram.evaluation.metrics import METRICS
from bertram.evaluation.score_intervals import proportion
from bertram.minbert.published import REFERENCE, Experiment
from bertram.minbert.table_1_values import Covers, Summary, Table1, TableRow
from bertram.runs.directory import Run

TASKS = ("sst", "quora", "sts")
OUTCOMES = (*TASKS, "overall")
Runs = Mapping[int, Run]  # by seed


@dataclass(frozen=True)
class Row:
    """An experiment and its finished runs by seed; empty where there are none."""

    experiment: Experiment
    runs: Runs


def table_1(
    rows: Sequence[Row],
    data: str,
    title: str,
    notes: Sequence[str] = (),
    *,
    smallest_effect: float = SMALLEST_EFFECT,
) -> Table1:
    """The table, as table.json holds it.

    Args:
        rows: rows in the order of the table.
        data: source of the gold labels.
        title: title with encoder and budget.
        notes: notes below the table.
        smallest_effect: smallest effect of interest.
    """
    present = _worth_a_line([row for row in rows if row.runs])
    every = {run.path.name: run for row in present for run in row.runs.values()}
    scored = {outcome.name: outcome for outcome in outcomes(read_tasks(every, data), losses=False)} if every else {}
    differences = _differences(present, list(scored.values()), smallest_effect)
    return Table1(
        title=title,
        notes=[*notes, *precision_notes(every)],
        reference=REFERENCE,
        smallest_effect=smallest_effect,
        rows=[_row(row, scored, differences) for row in present],
    )


def _worth_a_line(rows: Sequence[Row]) -> list[Row]:
    """Without those values of a sweep that are another row's runs, where no other value of the sweep was run."""
    first: dict[tuple[str, ...], str] = {}
    for row in rows:
        first.setdefault(_names(row.runs), row.experiment.name)

    def sweep(row: Row) -> str | None:
        return row.experiment.name.split("-")[0] if row.experiment.group == "sweeps" else None

    swept = {sweep(row) for row in rows if first[_names(row.runs)] == row.experiment.name}
    return [row for row in rows if sweep(row) is None or sweep(row) in swept]


Differences = Mapping[tuple[str, ...], Mapping[str, TechniqueDifference]]  # by the names of the runs, by outcome


def _row(row: Row, scored: Mapping[str, Outcome], differences: Differences) -> TableRow:
    by_outcome = differences.get(_names(row.runs), {})
    return TableRow(
        experiment=row.experiment.name,
        label=row.experiment.label,
        group=row.experiment.group,
        seeds=sorted(row.runs),
        runs=_names(row.runs),
        study=row.experiment.published,
        ours={name: _summary(row, scored[name]) if name in scored else None for name in OUTCOMES},
        differences={outcome: by_outcome.get(outcome) for outcome in OUTCOMES},
        compared_as=next((difference.technique for difference in by_outcome.values()), None),
    )


def _names(runs: Runs) -> tuple[str, ...]:
    return tuple(runs[seed].path.name for seed in sorted(runs))


def _summary(row: Row, outcome: Outcome) -> Summary | None:
    """Mean over seeds with its interval; the overall only of runs that have all three tasks."""
    scores = {
        seed: outcome.runs[run.path.name].value for seed, run in row.runs.items() if run.path.name in outcome.runs
    }
    if not scores or (outcome.name == "overall" and not set(TASKS) <= set(row.experiment.config().tasks)):
        return None
    values = list(scores.values())
    interval, covers = _interval(row, outcome, scores)
    return Summary(
        mean=fmean(values),
        sd=stdev(values) if len(values) > 1 else None,
        seeds=len(values),
        n=None if outcome.name == "overall" else outcome.n,
        ci95=interval,
        covers=covers,
    )


def _interval(row: Row, outcome: Outcome, scores: Mapping[int, float]) -> tuple[Interval, Covers]:
    """The interval of a mean over seeds: for other seeds and examples where there are enough seeds."""
    names = [row.runs[seed].path.name for seed in scores]
    result = estimate(list(scores.values()))
    weights = dict.fromkeys(names, 1 / len(names))
    error = outcome.example_error(weights)
    wide = interval_with_examples(result, outcome.shared_error([{name: 1.0} for name in names]), error)
    if wide is not None and not row.experiment.constant:  # where nothing is trained, nothing has noise of training
        lowest = -1.0 if outcome.metric in METRICS and METRICS[outcome.metric].correlation else 0.0
        return (max(wide[0], lowest), min(wide[1], 1.0)), "examples and seeds"
    units = sum(len(part) for part in outcome.units(weights).values())
    interval = METRICS[outcome.metric].interval if outcome.metric in METRICS else proportion  # overall is on [0, 1]
    return interval(result.value, error, units), "examples"


def _differences(rows: Sequence[Row], scored: Sequence[Outcome], smallest_effect: float) -> Differences:
    """Every row minus the reference."""
    reference = next((row for row in rows if row.experiment.name == REFERENCE), None)
    if reference is None:
        return {}
    distinct = {_names(row.runs): row for row in reversed(rows)}  # of two rows that are one run, the first
    compared = [row for names, row in reversed(distinct.items()) if names != _names(reference.runs)]
    if not compared:
        return {}
    arms = {row.experiment.name: row for row in (reference, *compared)}
    differences: dict[tuple[str, ...], dict[str, TechniqueDifference]] = {}
    for difference in _compared(list(arms.values()), scored, smallest_effect):
        differences.setdefault(_names(arms[difference.technique].runs), {})[difference.task] = difference
    return differences


def _compared(rows: Sequence[Row], scored: Sequence[Outcome], smallest_effect: float) -> list[TechniqueDifference]:
    arms = [Arm(row.experiment.name, {seed: run.path.name for seed, run in row.runs.items()}) for row in rows]
    tasks_of = {row.experiment.name: set(row.experiment.config().tasks) for row in rows}
    return [
        difference
        for difference in compare_techniques(scored, arms, smallest=smallest_effect)
        if difference.task in tasks_of[difference.technique]
        or (difference.task == "overall" and set(TASKS) <= tasks_of[difference.technique])
    ]
