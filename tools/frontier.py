"""The frontier: dev overall score against training time, for every real run recorded below results/.

The time of a run is its thread-minutes divided by two: minutes of two cores that are both used perfectly. The table
has the threads of each run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

from bertram.report.drawing import CARD, MUTED, STYLE, series
from bertram.runs.record import read_record
from tools import RESULTS

PICTURE = "frontier.png"
CORES = 2


@dataclass(frozen=True)
class Point:
    """A recorded run.

    Attributes:
        group: name of the folder above its own.
        name: name of its own folder.
        minutes: thread-minutes of training over the number of cores.
        threads: number of threads.
        precision: precision of the matrix products.
        overall: overall score on the dev set.
        ci95: interval for other examples.
        quora: number of Quora's dev rows scored; with few of them the interval is wide.
    """

    group: str
    name: str
    minutes: float
    threads: int
    precision: str
    overall: float
    ci95: tuple[float, float]
    quora: int


def points(folder: Path = RESULTS) -> list[Point]:
    """The single runs of the study's three tasks on real data, the quickest first."""
    runs = [_point(path) for path in sorted(folder.glob("*/*/record.json"))]
    return sorted((run for run in runs if run is not None), key=lambda run: run.minutes)


def _point(path: Path) -> Point | None:
    record = read_record(path.parent)
    tasks = record.config["tasks"]
    trained = record.seconds.training > 0 and all(task.get("trained", True) for task in tasks.values())
    single = record.merged is None  # the members of a soup need not have had the same threads
    whole = record.config["encoder"] == "minilm"  # a further trained encoder took the time of another run
    real = record.config["data"] != "sample" and set(tasks) == {"sst", "quora", "sts"}
    if not (single and whole and real and trained):
        return None
    overall, quora = record.scores.dev.overall, record.scores.dev.tasks["quora"]["accuracy"]
    assert overall.value is not None
    assert overall.ci95 is not None
    assert quora.n is not None
    assert record.precision is not None
    threads = record.provenance.host.threads
    return Point(
        path.parent.parent.name,
        path.parent.name,
        record.seconds.training * threads / CORES / 60,
        threads,
        record.precision,
        overall.value,
        overall.ci95,
        quora.n,
    )


def frontier(runs: Sequence[Point]) -> list[Point]:
    """The runs that no quicker run equals, the quickest first."""
    best: list[Point] = []
    for run in sorted(runs, key=lambda run: (run.minutes, -run.overall)):
        if not best or run.overall > best[-1].overall:
            best.append(run)
    return best


def table(runs: Sequence[Point]) -> Iterator[str]:
    """The frontier as Markdown."""
    yield "| run | minutes on two cores | threads | precision | overall | dev rows of Quora |"
    yield "|---|---:|---:|---|---|---:|"
    for run in frontier(runs):
        low, high = run.ci95
        yield (
            f"| {run.group}/{run.name} | {run.minutes:.1f} | {run.threads} | {run.precision} "
            f"| {run.overall:.4f} [{low:.3f}, {high:.3f}] | {run.quora:,} |"
        )


def draw(runs: Sequence[Point], path: Path) -> None:
    """Draw the runs, with the frontier as a line."""
    with style.context(["default", {**STYLE, "font.family": "sans-serif"}]):
        figure = Figure(figsize=(9, 5), dpi=72, layout="constrained", facecolor=CARD)
        axes = figure.subplots()
        for number, group in enumerate(sorted({run.group for run in runs})):
            members = [run for run in runs if run.group == group]
            minutes, overall = [run.minutes for run in members], [run.overall for run in members]
            low, high = ([abs(run.overall - run.ci95[end]) for run in members] for end in (0, 1))
            axes.errorbar(minutes, overall, yerr=(low, high), fmt="o", ms=5, lw=0.8, color=series(number), label=group)
        best = frontier(runs)
        axes.step(
            [run.minutes for run in best], [run.overall for run in best], where="post", color=MUTED, lw=1, zorder=0
        )
        axes.set_xscale("log")
        axes.set_xticks([1, 2, 5, 10, 20, 40], ["1", "2", "5", "10", "20", "40"], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlabel("training, minutes on two cores")
        axes.set_title("Overall dev score of every recorded run, with 95 % intervals over examples")
        axes.legend(loc="lower right")
        figure.savefig(path, format="png", dpi=144, metadata={"Software": None})
