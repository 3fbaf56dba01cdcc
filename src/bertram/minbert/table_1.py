"""Table 1: the study's figures beside ours, made from run directories alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from bertram.comparison.arms import Arm
from bertram.comparison.comparison import read_tasks
from bertram.comparison.techniques import TechniqueDifference, compare_techniques
from bertram.evaluation.intervals import LEAST_DF, Effect, Interval, interval_for_new_examples
from bertram.experiments.noise import example_draws
from bertram.experiments.schedule import main_scores
from bertram.experiments.study_tables import FORM
from bertram.minbert.published import REFERENCE, Experiment
from bertram.runs.directory import Run

TASKS = ("sst", "quora", "sts")
OUTCOMES = (*TASKS, "overall")
Runs = Mapping[int, Run]  # by seed


@dataclass(frozen=True)
class Noise:
    """What makes a mean over seeds uncertain, pooled over the rows of the table.

    Attributes:
        sd: of one run over seeds, on these examples.
        df: degrees of freedom of it.
        shared: share of the examples' variance that the seeds of a row have in common; `sd` has the rest already.
    """

    sd: float
    df: int
    shared: float


@dataclass(frozen=True)
class Row:
    """An experiment and its finished runs by seed; empty where there are none."""

    experiment: Experiment
    runs: Runs


def table_1(rows: Sequence[Row], data: str, title: str, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The table as plain values, as it is written to table.json.

    Args:
        rows: in the order of the table.
        data: where the gold labels are.
        title: with encoder and budget.
        notes: what a reader must know.

    Returns:
        `form`, `kind` "reproduction", `title`, `notes`, `reference` (the row that differences are taken from) and
        `rows`, each with

        - `experiment`, `label`, `seeds`, `runs` (names of the run directories, in the order of `seeds`);
        - `study`: `split` and the published `sst`, `quora`, `sts`, `overall`, null where there is none;
        - `ours`: for each of these, null or `mean`, `sd` (over seeds; null for one), `seeds`, `n` (examples), `ci95`
          of the mean, and `covers`: "examples and seeds", or "examples" alone where nothing is trained or too few rows
          have several seeds;
        - `differences`: for each, null or the fields of `TechniqueDifference`: this row minus the reference, paired by
          seed and example;
        - `compared_as`: experiment whose runs these are, where several rows are one run; null where none is compared.
    """
    present = _worth_a_line([row for row in rows if row.runs])
    noise = _noise(present, data)
    differences = _differences(present, data)
    return {
        "form": FORM,
        "kind": "reproduction",
        "title": title,
        "notes": list(notes),
        "reference": REFERENCE,
        "rows": [_row(row, noise, differences) for row in present],
    }


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


def _row(row: Row, noise: Mapping[str, Noise], differences: Differences) -> dict[str, Any]:
    one, published = row.experiment, row.experiment.published
    found = differences.get(_names(row.runs), {})
    seeds_differ = {} if one.constant else noise  # nothing is trained, so nothing has noise of training
    return {
        "experiment": one.name,
        "label": one.label,
        "group": one.group,
        "seeds": sorted(row.runs),
        "runs": list(_names(row.runs)),
        "study": None if published is None else asdict(published),
        "ours": {outcome: _summary(row.runs, outcome, seeds_differ.get(outcome)) for outcome in OUTCOMES},
        "differences": {outcome: asdict(found[outcome]) if outcome in found else None for outcome in OUTCOMES},
        "compared_as": next((difference.technique for difference in found.values()), None),
    }


def _names(runs: Runs) -> tuple[str, ...]:
    return tuple(runs[seed].path.name for seed in sorted(runs))


def values(runs: Runs, outcome: str) -> dict[int, float]:
    """Main dev score by seed; overall only of runs that have all three tasks, undefined scores left out."""
    found = {}
    for seed, run in runs.items():
        scores = main_scores(run)
        value = scores.get(outcome) if outcome != "overall" or set(TASKS) <= scores.keys() else None
        if value is not None:
            found[seed] = value
    return found


def _summary(runs: Runs, outcome: str, noise: Noise | None) -> dict[str, Any] | None:
    scores = values(runs, outcome)
    if not scores:
        return None
    each = list(scores.values())
    known = [_score(runs[seed], outcome) for seed in scores]
    interval, covers = _interval(each, [score["ci95"] for score in known], noise)
    return {
        "mean": fmean(each),
        "sd": stdev(each) if len(each) > 1 else None,
        "seeds": len(each),
        "n": known[0].get("n"),
        "ci95": interval,
        "covers": covers,
    }


def _score(run: Run, outcome: str) -> Mapping[str, Any]:
    scores = run.record["scores"]["dev"]
    found: Mapping[str, Any]
    found = scores["overall"] if outcome == "overall" else scores[outcome][run.config.tasks[outcome].scored_by]
    return found


def _interval(
    each: Sequence[float], intervals: Sequence[Sequence[float] | None], noise: Noise | None
) -> tuple[Interval | None, str]:
    """Of a mean over seeds: the examples' noise as the runs have it, the seeds' pooled over the table."""
    widths = [high - low for low, high in (pair for pair in intervals if pair is not None)]
    if not widths:
        return None, "nothing"
    example_error = fmean(widths) / (2 * 1.96)
    if noise is None:
        half = 1.96 * example_error
        return (fmean(each) - half, fmean(each) + half), "examples"
    effect = Effect(fmean(each), len(each), noise.sd, noise.df, noise.sd / sqrt(len(each)), None, None)
    return interval_for_new_examples(effect, sqrt(noise.shared) * example_error), "examples and seeds"


def trained(row: Row) -> bool:
    """Whether the row's encoder was trained, so that its seeds' noise is that of training."""
    return not row.experiment.constant and not row.experiment.config().model.freeze_encoder


def _noise(rows: Sequence[Row], data: str) -> dict[str, Noise]:
    """By outcome, from the trained rows with several seeds; nothing of an outcome with too few of them."""
    several = {_names(row.runs): row.runs for row in rows if trained(row) and len(row.runs) > 1}
    shares: dict[str, list[float]] = {outcome: [] for outcome in OUTCOMES}
    for runs in several.values():
        for outcome, share in _shares(runs, data):
            shares[outcome].append(share)
    found = {}
    for outcome, known in shares.items():
        groups = [list(values(runs, outcome).values()) for runs in several.values()]
        squares = sum((value - fmean(group)) ** 2 for group in groups for value in group)
        df = sum(max(0, len(group) - 1) for group in groups)
        if df >= LEAST_DF:
            found[outcome] = Noise(sqrt(squares / df), df, fmean(known) if known else 1.0)
    return found


def _shares(runs: Runs, data: str) -> Iterator[tuple[str, float]]:
    """How much of the examples' variance the seeds of a row have in common, by outcome."""
    names = {str(seed): run for seed, run in runs.items()}
    draws = example_draws(names, data)
    for outcome in OUTCOMES:
        if not all(seed in values(runs, outcome) for seed in runs):
            continue
        shared = draws.shared_error(outcome, [{name: 1.0} for name in names])
        own = [draws.error(outcome, {name: 1.0}) or 0.0 for name in names]
        if shared is not None and all(own):
            yield outcome, min(1.0, shared**2 / fmean(error**2 for error in own))


def _differences(rows: Sequence[Row], data: str) -> Differences:
    """Every row minus the reference, trained and untrained ones apart, so that constants do not count as noise."""
    reference = next((row for row in rows if row.experiment.name == REFERENCE), None)
    if reference is None:
        return {}
    distinct = {_names(row.runs): row for row in reversed(rows)}  # of two rows that are one run, the first
    others = [row for names, row in reversed(distinct.items()) if names != _names(reference.runs)]
    found: dict[tuple[str, ...], dict[str, TechniqueDifference]] = {}
    for group in ([row for row in others if trained(row)], [row for row in others if not trained(row)]):
        if group:
            arms = {row.experiment.name: row for row in (reference, *group)}
            for difference in _compared(list(arms.values()), data):
                mine = found.setdefault(_names(arms[difference.technique].runs), {})
                mine[difference.task] = difference
    return found


def _compared(rows: Sequence[Row], data: str) -> list[TechniqueDifference]:
    tasks = read_tasks({run.path.name: run for row in rows for run in row.runs.values()}, data)
    arms = [Arm(row.experiment.name, {seed: run.path.name for seed, run in row.runs.items()}) for row in rows]
    found = compare_techniques(tasks, arms)
    tasks_of = {row.experiment.name: set(row.experiment.config().tasks) for row in rows}
    return [
        one
        for one in found
        if one.task in tasks_of[one.technique] or (one.task == "overall" and set(TASKS) <= tasks_of[one.technique])
    ]
