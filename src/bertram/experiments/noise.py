"""The two kinds of noise in the scores of runs: of the seeds, and of the examples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import fmean

import numpy as np

from bertram.comparison.comparison import read_tasks
from bertram.comparison.models import TaskPredictions
from bertram.evaluation.intervals import Floats, bootstrap, contrast, shared_example_error
from bertram.evaluation.metrics import on_unit_scale
from bertram.runs.directory import Run

RESAMPLES = 1000
OVERALL = "overall"
Scores = Mapping[str, Mapping[int, float]]  # arm -> seed -> score


def seed_noise(scores: Scores) -> tuple[float, int] | None:
    """Standard deviation of one run's score over seeds, pooled over arms, and its degrees of freedom.

    Where arms have seeds in common, what these seeds do to all arms alike is taken out, as `statistics.contrast` takes
    it out of an effect.

    Args:
        scores: arm -> seed -> score; arms with one seed say nothing.

    Returns:
        None where no arm has two seeds.
    """
    arms = {arm: runs for arm, runs in scores.items() if len(runs) > 1}
    for one, other in combinations(arms, 2):
        if len(arms[one].keys() & arms[other].keys()) > 1:
            effect = contrast(arms, {one: 1.0, other: -1.0})
            return None if effect.seed_sd is None else (effect.seed_sd, effect.df)
    squares = sum((score - fmean(runs.values())) ** 2 for runs in arms.values() for score in runs.values())
    df = sum(len(runs) - 1 for runs in arms.values())
    return (sqrt(squares / df), df) if df else None


@dataclass(frozen=True)
class ExampleDraws:
    """Scores of some runs on resampled examples, the same resamples for all of them.

    Attributes:
        runs: their names.
        draws: by task, and overall: [runs, resamples]; nan where a score is undefined.
    """

    runs: tuple[str, ...]
    draws: Mapping[str, Floats]

    def error(self, outcome: str, weights: Mapping[str, float]) -> float | None:
        """Standard error, over examples, of a weighted sum of runs; None where it is undefined.

        Args:
            outcome: a task, or overall.
            weights: run -> weight.
        """
        total = self._sum(outcome, weights)
        return None if np.isnan(total).mean() > 0.05 else float(np.nanstd(total))

    def shared_error(self, outcome: str, by_seed: Sequence[Mapping[str, float]]) -> float | None:
        """Standard error, over examples, of what the same weighted sum has in common for all seeds.

        Args:
            outcome: a task, or overall.
            by_seed: for each seed run -> weight.

        Returns:
            See `statistics.shared_example_error`; None where it is undefined, or there is no seed.
        """
        each = [self._sum(outcome, weights) for weights in by_seed]
        if not each or np.isnan(each).any(axis=0).mean() > 0.05:
            return None
        return shared_example_error(np.stack(each))

    def _sum(self, outcome: str, weights: Mapping[str, float]) -> Floats:
        chosen = np.array([weights.get(run, 0.0) for run in self.runs])
        used = chosen != 0
        total: Floats = chosen[used] @ self.draws[outcome][used]
        return total


def example_draws(runs: Mapping[str, Run], data: str, *, seed: int = 0, resamples: int = RESAMPLES) -> ExampleDraws:
    """Resample the dev examples of runs that have the same tasks.

    Args:
        runs: by name; their predictions are read.
        data: where the gold labels are.
        seed: of the bootstrap.
        resamples: of the bootstrap.

    Raises:
        DataError: the runs were not evaluated on the same examples, or the gold labels cannot be read.
        RunError: predictions are missing or damaged.
    """
    return drawn(read_tasks(runs, data), np.random.default_rng(seed), resamples)


def drawn(tasks: Mapping[str, TaskPredictions], generator: np.random.Generator, resamples: int) -> ExampleDraws:
    """Resample the examples of each task; the tasks' examples are different ones, so their draws are independent."""
    runs = tuple(next(iter(tasks.values())).predicted)
    draws = {name: _task_draws(task, runs, generator, resamples) for name, task in tasks.items()}
    on_unit = [on_unit_scale(tasks[name].main_metric, one) for name, one in draws.items()]
    return ExampleDraws(runs, {**draws, OVERALL: np.mean(on_unit, axis=0)})


def _task_draws(task: TaskPredictions, runs: Sequence[str], generator: np.random.Generator, resamples: int) -> Floats:
    ids = list(task.predicted[runs[0]])
    metric = task.scorer

    def statistic(weights: Floats, gold: Floats, *predicted: Floats) -> Floats:
        return np.array([metric.compute(gold, one, weights) for one in predicted])

    return bootstrap(
        statistic, _columns([task.gold, *(task.predicted[run] for run in runs)], ids), generator, resamples
    )


def _columns(sources: Iterable[Mapping[str, float]], ids: Sequence[str]) -> list[Floats]:
    return [np.array([source[one] for one in ids], dtype=np.float64) for source in sources]
