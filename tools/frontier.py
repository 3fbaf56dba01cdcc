"""The frontier: dev overall score against training time, for every real run recorded below results/.

A run's time is its thread-minutes divided by two, that is, minutes of a processor with two cores that are both used
perfectly; the runs' own threads stand in the table.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"
PICTURE = "frontier.png"
CORES = 2


@dataclass(frozen=True)
class Point:
    """A recorded run.

    Attributes:
        group: the folder it stands in.
        name: of its own folder.
        minutes: thread-minutes of training over the number of cores.
        threads: it ran on.
        precision: of its matrix products.
        overall: its dev score.
        ci95: for other examples.
        quora: dev rows of Quora that were scored; a run that was scored on few has a wide interval.
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
    found = [_point(path) for path in sorted(folder.glob("*/*/record.json"))]
    return sorted((one for one in found if one is not None), key=lambda one: one.minutes)


def _point(path: Path) -> Point | None:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    scores, config = record["scores"]["dev"], record.get("config", {})
    tasks = config.get("tasks", {})
    single = "merged" not in record  # a soup's time is that of its members, which need not have had the same threads
    whole = config.get("encoder", "minilm") == "minilm"  # an encoder that another run has trained took that run's time
    real = single and whole and config.get("data") != "sample" and set(tasks) == {"sst", "quora", "sts"}
    if not real or record["seconds"]["training"] == 0 or not all(task.get("trained", True) for task in tasks.values()):
        return None
    threads = record["host"]["threads"]
    return Point(
        path.parent.parent.name,
        path.parent.name,
        record["seconds"]["training"] * threads / CORES / 60,
        threads,
        record["precision"],
        scores["overall"]["value"],
        tuple(scores["overall"]["ci95"]),
        scores["quora"]["accuracy"]["n"],
    )


def frontier(runs: Sequence[Point]) -> list[Point]:
    """Those runs that no quicker run equals, the quickest first."""
    best: list[Point] = []
    for run in sorted(runs, key=lambda one: (one.minutes, -one.overall)):
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
    """The runs as a picture, with the frontier as a line."""
    from matplotlib import style  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    from bertram.report.drawing import CARD, MUTED, STYLE, series  # noqa: PLC0415 - Matplotlib loads only now

    with style.context(["default", {**STYLE, "font.family": "sans-serif"}]):
        figure = Figure(figsize=(9, 5), dpi=72, layout="constrained", facecolor=CARD)
        axes = figure.subplots()
        for number, group in enumerate(sorted({run.group for run in runs})):
            mine = [run for run in runs if run.group == group]
            colour = series(number)
            x, y = [run.minutes for run in mine], [run.overall for run in mine]
            low, high = ([abs(run.overall - run.ci95[end]) for run in mine] for end in (0, 1))
            axes.errorbar(x, y, yerr=(low, high), fmt="o", ms=5, lw=0.8, color=colour, label=group)
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
