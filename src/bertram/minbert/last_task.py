"""The study's claim about orders: a model is best on the task that it saw last.

Tested with runs of the order `sequential` that differ by the task that begins (`sampling.first_task`), and so by the
task that ends: a task's score where it came last, minus its mean score where it did not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bertram import options
from bertram.comparison.arms import UNLIKE
from bertram.comparison.comparison import read_tasks
from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.evidence import Contrast, Evidence, measure_pairs
from bertram.comparison.outcomes import Outcome, TaskPredictions, outcomes, weighted_sum
from bertram.comparison.sentences import pair_sentence
from bertram.config import Config
from bertram.errors import DataError
from bertram.experiments.budget import held_files_of
from bertram.runs.directory import Run

ALL_TASKS = "all tasks"  # mean over the tasks, on [0, 1]


@dataclass(frozen=True)
class LastTaskClaim:
    """What runs say of the claim.

    Attributes:
        runs: task that came last -> seed -> name of the run.
        evidence: task, or all tasks together -> score where it came last minus where it did not.
        notes: what else differs between the runs.
    """

    runs: Mapping[str, Mapping[int, str]]
    evidence: Mapping[str, Evidence]
    notes: list[str]

    def sentences(self) -> list[str]:
        """The verdicts, the one on all tasks first; `ALL_TASKS` is the one that was asked for."""
        return [f"{name}: {pair_sentence(('seen last', 'seen earlier'), row)}" for name, row in self.evidence.items()]


def last_task(config: Config) -> str | None:
    """The task that closes each epoch of a run of the order `sequential`; None for other orders."""
    if config.sampling.order != "sequential":
        return None
    trained = [name for name, task in config.tasks.items() if task.trained]
    first = config.sampling.first_task or trained[0]
    return trained[trained.index(first) - 1]


def claim(runs: Iterable[Run], data: str | None = None, smallest_effect: float = SMALLEST_EFFECT) -> LastTaskClaim:
    """Test the claim.

    Args:
        runs: finished runs; those of other orders are left out.
        data: source of the gold labels; default: the data of the first run.
        smallest_effect: smallest effect of interest.

    Raises:
        DataError: the runs are not those of one configuration with each of its tasks last, one for each seed.
    """
    arms: dict[str, dict[int, Run]] = {}
    configurations: dict[tuple[str, frozenset[str]], Config] = {}
    for run in runs:
        last = last_task(run.config)
        if last is not None:
            like = options.change(run.config, sampling={"first_task": None})
            key = options.digest(like.model_copy(update=UNLIKE)), held_files_of(run.record)
            configurations.setdefault(key, like)
            first = arms.setdefault(last, {}).setdefault(run.config.seed, run)
            if first is not run:
                raise DataError(f"{first.path} and {run.path} both have {last} last and seed {run.config.seed}")
    tasks = [] if not configurations else [n for n, t in next(iter(configurations.values())).tasks.items() if t.trained]
    missing = [name for name in tasks if name not in arms]
    if len(configurations) != 1 or missing:
        fault = f"no run has {', '.join(missing)} last" if missing else f"{len(configurations)} configurations"
        raise DataError(f"the claim needs runs of order sequential, of one configuration, with each task last: {fault}")
    every = {run.path.name: run for by_seed in arms.values() for run in by_seed.values()}
    names = {last: {seed: run.path.name for seed, run in by_seed.items()} for last, by_seed in arms.items()}
    predictions = read_tasks(every, data)
    scored = {outcome.task: outcome for outcome in outcomes(predictions, losses=False)}
    weight_before = -1 / (len(tasks) - 1)
    pairs = [
        (Contrast(task, {last: 1.0 if last == task else weight_before for last in tasks}, main=False), scored[task])
        for task in tasks
    ]
    together = Contrast(ALL_TASKS, dict.fromkeys(tasks, 1 / len(tasks)))
    last_of = {run: last for last, by_seed in names.items() for run in by_seed.values()}
    pairs.insert(0, (together, recency([scored[task] for task in tasks], predictions, last_of)))
    rows = measure_pairs(pairs, names, primary=ALL_TASKS, smallest=smallest_effect)
    return LastTaskClaim(names, {contrast.name: row for contrast, row in rows}, _notes(every))


def recency(main: Sequence[Outcome], predictions: Mapping[str, TaskPredictions], last_of: Mapping[str, str]) -> Outcome:
    """A score of a run whose mean over the last tasks is the mean, over tasks, of "last minus not last".

    It is the run's score on its last task minus the mean of its scores on the others, all on [0, 1]. What a task's
    level adds cancels in the mean over runs that have each task last once.

    Args:
        main: main score of each task.
        predictions: predictions of the tasks.
        last_of: run -> task that it saw last.
    """
    weights = {
        run: [1.0 if outcome.task == last else -1 / (len(main) - 1) for outcome in main]
        for run, last in last_of.items()
    }
    return weighted_sum(ALL_TASKS, main, predictions, weights)


def _notes(runs: Mapping[str, Run]) -> list[str]:
    """Whether the tasks were seen equally often."""
    counts = np.array([list(run.record.examples_seen.values()) for run in runs.values()], dtype=np.float64)
    low, high = float(counts.min()), float(counts.max())
    if high <= 1.01 * low:
        return [f"Every run saw about {low:,.0f} examples of each task."]
    return [f"The runs saw from {low:,.0f} to {high:,.0f} examples of a task, so a task also differs by how much."]
