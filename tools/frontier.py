"""The frontier: dev overall score against training time by size of the model, for every real run below results/.

The time of a run is its thread-minutes divided by two: minutes of two cores that are both used perfectly. The table
has the threads of each run. A student's time counts that of its teachers and, where it is recorded, of their outputs; a
run that starts from an encoder trained further counts its pretraining: the minutes in all are those from `minilm` or
`mpnet` on.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bertram.model.pretrained import INSTALLED
from bertram.report.drawing import CARD, MUTED, STYLE, series
from bertram.runs.record import RECORD, Record, read_record
from tools import RESULTS

PICTURE = "frontier.png"
PRETRAINING = "pretraining.json"
CORES = 2
MARKERS = ("o", "s", "^", "D", "v")  # of the sizes, the smallest first


@dataclass(frozen=True)
class Point:
    """A recorded run.

    Attributes:
        group: name of the folder above its own.
        name: name of its own folder.
        size: parameters of the model in words, such as 22.7 M.
        minutes: thread-minutes of its own training over the number of cores.
        minutes_in_all: the same with the trainings that it builds on.
        threads: number of threads.
        precision: precision of the matrix products.
        overall: overall score on the dev set.
        ci95: interval for other examples.
        quora: number of Quora's dev rows scored; with few of them the interval is wide.
    """

    group: str
    name: str
    size: str
    minutes: float
    minutes_in_all: float
    threads: int
    precision: str
    overall: float
    ci95: tuple[float, float]
    quora: int


def points(folder: Path = RESULTS) -> list[Point]:
    """The single runs of the study's three tasks on real data, the quickest first."""
    runs = [_point(path.parent) for path in sorted(folder.glob("*/*/record.json"))]
    return sorted((run for run in runs if run is not None), key=lambda run: run.minutes_in_all)


def _point(path: Path) -> Point | None:
    record = read_record(path)
    tasks = record.config["tasks"]
    trained = record.seconds.training > 0 and all(task.get("trained", True) for task in tasks.values())
    single = record.merged is None  # the members of a soup need not have had the same threads
    real = record.config["data"] != "sample" and set(tasks) == {"sst", "quora", "sts"}
    before = _minutes_before(path, record)
    if not (single and real and trained) or before is None or record.parameters is None:
        return None
    overall, quora = record.scores.dev.overall, record.scores.dev.tasks["quora"]["accuracy"]
    assert overall.value is not None
    assert overall.ci95 is not None
    assert quora.n is not None
    assert record.precision is not None
    minutes = _minutes(record)
    return Point(
        path.parent.name,
        path.name,
        size_of(record.parameters.all),
        minutes,
        minutes + before,
        record.provenance.host.threads,
        record.precision,
        overall.value,
        overall.ci95,
        quora.n,
    )


def size_of(parameters: int) -> str:
    """The size of a model in words."""
    millions = parameters / 1e6
    return f"{millions:.0f} M" if millions >= 100 else f"{millions:.1f} M"


def _minutes(record: Record) -> float:
    """Minutes of two cores that a run's own training took."""
    return _on_two_cores(record.seconds.training, record.provenance.host.threads)


def _on_two_cores(seconds: float, threads: int) -> float:
    """Minutes of two fully used cores for seconds of some threads."""
    return seconds * threads / CORES / 60


def _minutes_before(path: Path, record: Record) -> float | None:
    """Minutes of two cores of the trainings that a run builds on; None where one of them is not recorded beside it."""
    minutes = 0.0
    encoder = record.config["encoder"]
    if encoder not in INSTALLED:
        facts = path.parent / Path(encoder).name / PRETRAINING
        if not facts.is_file():
            return None
        values = json.loads(facts.read_text(encoding="utf-8"))
        minutes += _on_two_cores(values["seconds"], values["threads"])
    if record.distilled is None:
        return minutes
    minutes += _on_two_cores(record.distilled.seconds or 0.0, record.provenance.host.threads)
    for teacher in record.distilled.teachers:
        directory = path.parent / Path(teacher.run).name
        if not (directory / RECORD).is_file():
            return None
        taught = read_record(directory)
        before = _minutes_before(directory, taught)
        if before is None:
            return None
        minutes += _minutes(taught) + before
    return minutes


def frontier(runs: Sequence[Point]) -> list[Point]:
    """The runs that no quicker run of their size equals, the smallest size and the quickest first."""
    best: list[Point] = []
    for run in sorted(runs, key=lambda run: (_millions(run), run.minutes_in_all, -run.overall)):
        if not best or run.size != best[-1].size or run.overall > best[-1].overall:
            best.append(run)
    return best


def _millions(run: Point) -> float:
    return float(run.size.removesuffix(" M"))


def table(runs: Sequence[Point]) -> Iterator[str]:
    """The frontier as Markdown."""
    yield "| size | run | minutes on two cores | in all | threads | precision | overall | dev rows of Quora |"
    yield "|---:|---|---:|---:|---:|---|---|---:|"
    for run in frontier(runs):
        low, high = run.ci95
        yield (
            f"| {run.size} | {run.group}/{run.name} | {run.minutes:.1f} | {run.minutes_in_all:.1f} | {run.threads} "
            f"| {run.precision} | {run.overall:.4f} [{low:.3f}, {high:.3f}] | {run.quora:,} |"
        )


def _scatter(axes: Axes, runs: Sequence[Point], marker: str, number: int) -> None:
    """Draw runs with their intervals."""
    minutes, overall = [run.minutes_in_all for run in runs], [run.overall for run in runs]
    low, high = ([abs(run.overall - run.ci95[end]) for run in runs] for end in (0, 1))
    axes.errorbar(minutes, overall, yerr=(low, high), fmt=marker, ms=5, lw=0.8, color=series(number), mfc=_face(number))


def _face(number: int) -> str:
    """The colour inside a mark of the n-th group: there are eight colours, so later groups have hollow marks."""
    return CARD if number >= 8 else series(number)


def draw(runs: Sequence[Point], path: Path) -> None:
    """Draw the runs, with the frontier as a line."""
    with style.context(["default", {**STYLE, "font.family": "sans-serif"}]):
        figure = Figure(figsize=(9, 5), dpi=72, layout="constrained", facecolor=CARD)
        axes = figure.subplots()
        sizes = list(dict.fromkeys(run.size for run in frontier(runs)))
        for number, group in enumerate(sorted({run.group for run in runs})):
            members = [run for run in runs if run.group == group]
            for size in sizes:
                _scatter(axes, [run for run in members if run.size == size], MARKERS[sizes.index(size)], number)
            axes.plot([], [], "o", ms=5, color=series(number), mfc=_face(number), label=group)
        for size, marker in zip(sizes, MARKERS, strict=False):
            best = [run for run in frontier(runs) if run.size == size]
            minutes, overall = [run.minutes_in_all for run in best], [run.overall for run in best]
            axes.step(minutes, overall, where="post", color=MUTED, lw=1, zorder=0)
            if len(sizes) > 1:
                axes.plot([], [], marker, ms=5, ls="", mfc="none", color=MUTED, label=f"{size} parameters")
        axes.set_xscale("log")
        ticks = [1, 2, 5, 10, 20, 40, 100, 200, 400, 1000]
        longest = max((run.minutes_in_all for run in runs), default=40)
        shown = [tick for tick in ticks if tick <= max(longest, 40)]
        axes.set_xticks(shown, [str(tick) for tick in shown], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlabel("training, minutes on two cores; teachers and further pretraining count")
        axes.set_title("Overall dev score of every recorded run, with 95 % intervals over examples")
        axes.legend(loc="lower right")
        figure.savefig(path, format="png", dpi=144, metadata={"Software": None})
