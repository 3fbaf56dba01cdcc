"""Coverage of the intervals of scores over few examples.

`python -m tests.evaluation.coverage` prints the table of docs/statistics.md.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from bertram.comparison.models import compare_models
from bertram.comparison.outcomes import TaskPredictions
from bertram.evaluation.metrics import METRICS
from bertram.evaluation.paired_accuracy import newcombe
from bertram.evaluation.scoring import TaskOutputs, score_run
from bertram.tasks import QUORA

Sample = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """A score, samples of its examples, and its true value.

    A sample is gold and predictions, or which examples each of two models gets right, [n] or [n, tasks].
    """

    name: str
    metric: str
    sample: Sample
    true: float


def yes_no(right: float) -> Sample:
    def sample(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        gold = (generator.random(n) < 0.4) * 1.0
        return gold, np.where(generator.random(n) < right, gold, 1 - gold)

    return sample


def classes(right: float) -> Sample:
    def sample(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        gold = generator.integers(0, 5, n) * 1.0
        return gold, np.where(generator.random(n) < right, gold, (gold + generator.integers(1, 5, n)) % 5)

    return sample


def pairs(r: float, *, heavy: bool = False) -> Sample:
    """Normal pairs with a correlation, or pairs of Student's t with 5 degrees of freedom."""

    def sample(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        scale = np.sqrt(5 / generator.chisquare(5, n)) if heavy else np.ones(n)
        gold = generator.normal(size=n)
        return scale * gold, scale * (r * gold + sqrt(1 - r**2) * generator.normal(size=n))

    return sample


def two_models(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Which examples two models of accuracies .7 and .8 get right, with hard examples in common."""
    hard = generator.random(n) < 0.5
    return (generator.random(n) < np.where(hard, 0.5, 0.9)) * 1.0, (
        generator.random(n) < np.where(hard, 0.65, 0.95)
    ) * 1.0


def one_table(generator: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of two tasks two models get right, [n, 2]: of .7 and .8 one, of .75 and .85 the other.

    What makes a row hard is often the same for both tasks, and for both models.
    """

    def hardness(tasks: int) -> np.ndarray:
        common = np.where(generator.random((n, 1)) < 0.7, generator.random((n, 1)), np.nan)
        return np.where(np.isnan(common), generator.random((n, tasks)), common)

    first = hardness(2)
    second = np.where(generator.random((n, 1)) < 0.6, first, hardness(2))
    return (first < (0.7, 0.8)) * 1.0, (second < (0.75, 0.85)) * 1.0


F1 = 2 * 0.4 * 0.8 / (0.4 + 0.4 * 0.8 + 0.6 * 0.2)
CASES = [
    Case("accuracy .5", "accuracy", yes_no(0.5), 0.5),
    Case("accuracy .8", "accuracy", yes_no(0.8), 0.8),
    Case("paired accuracy", "paired", two_models, 0.1),
    Case("F1 (.73)", "f1", yes_no(0.8), F1),
    Case("macro-F1 .7, 5 classes", "macro_f1", classes(0.7), 0.7),
    *(
        Case(f"Pearson {r}{', heavy tails' if heavy else ''}", "pearson", pairs(r, heavy=heavy), r)
        for heavy in (False, True)
        for r in (0.5, 0.87, 0.98)
    ),
    Case("overall, two tasks on the same rows", "overall", one_table, 0.75),
    Case("difference of two models in it", "paired overall", one_table, 0.05),
]


def coverage(case: Case, n: int, samples: int, generator: np.random.Generator) -> float:
    """Share of samples whose interval holds the true value."""
    covered = 0
    for _ in range(samples):
        first, second = case.sample(generator, n)
        low, high = _interval(case.metric, first, second)
        covered += low <= case.true <= high
    return covered / samples


def _interval(metric: str, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    if metric == "overall":
        return overall(first)
    if metric == "paired overall":
        return paired_overall(first, second)
    if metric == "paired":
        a, b = first > 0, second > 0
        return newcombe(*(float((x & y).sum()) for x, y in ((a, b), (a, ~b), (~a, b), (~a, ~b))))
    return METRICS[metric].ci95(METRICS[metric].value(first, second), first, second)


def overall(right: np.ndarray) -> tuple[float, float]:
    """The interval of the mean of tasks about the same rows, from which of them are right, [n, tasks]."""
    gold, rows = np.ones(len(right)), np.arange(len(right))
    tasks = {
        str(task): TaskOutputs(QUORA.label_space, gold, column, groups=rows) for task, column in enumerate(right.T)
    }
    interval = score_run(tasks).overall.ci95
    assert interval is not None
    return interval


def paired_overall(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The interval of two models' difference in it; the whole scale where both say the same, which has none."""
    gold, rows = np.ones(len(first)), np.arange(len(first))
    ids = [str(row) for row in rows]
    tasks = {
        str(task): TaskPredictions.from_rows(QUORA, ids, gold, dict(zip("ab", columns, strict=True)), rows)
        for task, columns in enumerate(zip(first.T, second.T, strict=True))
    }
    return compare_models(tasks)[-1].ci95 or (-1.0, 1.0)


def main() -> None:
    """Print the table."""
    lines = ["| score | n = 20 | 50 | 200 | 1,101 |", "|---|---:|---:|---:|---:|"]
    for case in CASES:
        shares = [coverage(case, n, 4000 if n < 1000 else 600, np.random.default_rng(n)) for n in (20, 50, 200, 1101)]
        lines.append(f"| {case.name} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
