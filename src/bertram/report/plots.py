"""Figures of scores, learning and predictions, each drawn on an empty figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter
from numpy.typing import NDArray

from bertram.evaluation.reliability_curve import ReliabilityBin
from bertram.report.drawing import CARD, INK, LINE, MUTED, css, mixed, series
from bertram.report.gradients import Curve, Floats

MOST_CELLS = 12  # classes of a confusion matrix that still have room for their counts


@dataclass(frozen=True)
class Marked:
    """A labelled value with its interval, as in a forest plot; `strong` ones can be told from zero."""

    label: str
    value: float
    interval: tuple[float, float] | None = None
    strong: bool = False


def learning_curves(figure: Figure, curves: Mapping[str, Curve], best: int | None) -> None:
    """Dev scores over steps; `overall` is drawn in ink, and the step whose weights were kept is marked."""
    axes = figure.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        steps, values = columns(curve)
        colour = INK if name == "overall" else series(number)
        marker = "o" if len(steps) < 25 else None
        axes.plot(steps, values, color=colour, label=name, marker=marker, markersize=4, linewidth=2)
    if best is not None:
        axes.axvline(best, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        axes.annotate(
            "kept", (best, 1), xycoords=("data", "axes fraction"), xytext=(-4, -3), textcoords="offset points",
            ha="right", va="top", color=MUTED, fontsize=10,
        )  # fmt: skip
    axes.set_xlabel("step")
    legend_above(figure, axes)


def losses(figure: Figure, curves: Mapping[str, Curve]) -> None:
    """Training losses over steps, a panel for each task: logged steps faint, their running mean strong."""
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for number, (axes, (name, curve)) in enumerate(zip(panels, curves.items(), strict=True)):
        steps, values = columns(curve)
        axes.plot(steps, values, color=series(number), alpha=0.25, linewidth=0.8)
        axes.plot(steps, running_mean(values), color=series(number))
        axes.set_title(name)
        axes.locator_params(axis="y", nbins=4)
    panels[-1].set_xlabel("step")


def gradient_norm(figure: Figure, norms: Curve) -> None:
    """Norms of the whole gradient over steps."""
    axes = figure.subplots()
    steps, values = columns(norms)
    axes.plot(steps, values, color=MUTED, alpha=0.35, linewidth=0.8)
    axes.plot(steps, running_mean(values), color=INK)
    if (values > 0).all():
        logarithmic(axes)
    axes.set_xlabel("step")


def running_mean(values: Floats, share: float = 0.05) -> Floats:
    """Means over a centred window of a share of the values, narrower at the ends; gaps (nan) are passed over."""
    half = max(1, round(len(values) * share / 2))
    defined = ~np.isnan(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(defined, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(defined)])
    places = np.arange(len(values))
    low, high = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    means: Floats = np.full(len(values), np.nan)
    np.divide(sums[high] - sums[low], counts[high] - counts[low], out=means, where=counts[high] > counts[low])
    return means


def gap(figure: Figure, scores: Mapping[str, tuple[Marked, Marked]]) -> None:
    """Main scores on train (hollow) and dev (filled) with their intervals, a line for each task."""
    axes = figure.subplots()
    for row, (train, dev) in enumerate(scores.values()):
        colour = series(row)
        axes.plot([train.value, dev.value], [row, row], color=LINE, linewidth=4, zorder=1)
        for mark, face, shift in ((train, CARD, -0.12), (dev, colour, 0.12)):
            if mark.interval is not None:
                axes.plot(mark.interval, [row + shift] * 2, color=colour, linewidth=1, alpha=0.8)
            axes.plot(mark.value, row, "o", markersize=9, color=colour, markerfacecolor=face, markeredgewidth=1.6)
        axes.annotate(
            f"{train.value - dev.value:+.2f}", (1.02, row), xycoords=("axes fraction", "data"), va="center",
            color=MUTED, annotation_clip=False,
        )  # fmt: skip
    axes.set_yticks(range(len(scores)), list(scores))
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(scores) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("score: ○ train  ● dev, and their difference")


def confusion(figure: Figure, counts: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Gold classes (rows) by predicted ones (columns), coloured by their share of the row."""
    table = np.asarray(counts, dtype=np.float64)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    axes = figure.subplots()
    for row, column in np.ndindex(table.shape):
        share = float(shares[row, column])
        colour = mixed("var(--series-1)", share)
        axes.fill_between([column - 0.48, column + 0.48], row - 0.48, row + 0.48, color=colour, linewidth=0)
        if len(names) <= MOST_CELLS:
            ink = CARD if share > 0.55 else INK
            axes.text(column, row, f"{int(table[row, column]):,}", ha="center", va="center", color=ink)
    places = range(len(names)) if len(names) <= 2 * MOST_CELLS else ()
    label_texts = names if places else ()
    axes.set_yticks(places, label_texts)
    axes.set_xticks(
        places, label_texts, rotation=40 if len(names) > 2 else 0, ha="right" if len(names) > 2 else "center"
    )
    axes.set(xlabel="predicted", ylabel="gold", xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def scatter(figure: Figure, gold: Floats, predicted: Floats, span: tuple[float, float]) -> None:
    """Predicted against gold scores, the line of equality, and the mean prediction of each fifth of the range."""
    axes = figure.subplots()
    axes.plot(span, span, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(gold, predicted, "o", color=series(0), markersize=4, alpha=0.35, markeredgewidth=0)
    edges = np.linspace(*span, 6)
    middle, mean = [], []
    for low, high in pairwise(edges):
        inside = (gold >= low) & ((gold < high) | (high == edges[-1]))
        if inside.any():
            middle.append(float(gold[inside].mean()))
            mean.append(float(predicted[inside].mean()))
    axes.plot(middle, mean, "o-", color=series(1), markersize=6, linewidth=1.6, label="mean of each fifth")
    axes.set(xlabel="gold", ylabel="predicted")
    axes.grid(axis="x")
    legend_above(figure, axes)


def spread(figure: Figure, gold: Floats, predicted: Floats, span: tuple[float, float]) -> None:
    """Histograms of gold and predicted scores; predictions outside the range widen it."""
    axes = figure.subplots()
    edges = np.linspace(min(span[0], predicted.min()), max(span[1], predicted.max()), 21).tolist()
    axes.hist(gold, edges, color=MUTED, alpha=0.35, label="gold")
    axes.hist(predicted, edges, color=series(0), histtype="step", linewidth=1.8, label="predicted")
    axes.set(xlabel="score", ylabel="examples")
    legend_above(figure, axes)


def reliability(figure: Figure, bins: Sequence[ReliabilityBin]) -> None:
    """Reliability diagram: accuracy by confidence, the diagonal, and the number of predictions."""
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for bin_ in bins:
        centre, width = (bin_.low + bin_.high) / 2, 0.86 * (bin_.high - bin_.low)
        below.bar(centre, bin_.n, width=width, color=mixed("var(--series-1)", 0.5))
        if bin_.accuracy is None or bin_.confidence is None:
            continue
        axes.bar(centre, bin_.accuracy, width=width, color=mixed("var(--series-1)", 0.75))
        gap_low, gap_high = sorted((bin_.accuracy, bin_.confidence))
        axes.bar(centre, gap_high - gap_low, width, gap_low, linewidth=1.5, edgecolor=series(1), facecolor="none")
    axes.set(ylabel="right", ylim=(0, 1), xlim=(0, 1))
    below.set(xlabel="confidence", ylabel="n")
    below.locator_params(axis="y", nbins=2)


def forest(figure: Figure, marks: Sequence[Marked], band: float | None = None) -> None:
    """Effects with their intervals around zero; significant ones are filled.

    Args:
        figure: figure to draw in.
        marks: effects, from above to below.
        band: smallest effect of interest; a band from minus to plus it is shaded.
    """
    axes = figure.subplots()
    if band is not None:
        axes.axvspan(-band, band, color=MUTED, alpha=0.13, linewidth=0)
    axes.axvline(0, color=MUTED, linewidth=1)
    for row, mark in enumerate(marks):
        colour = css("var(--cool)" if mark.value > 0 else "var(--warm)") if mark.strong else MUTED
        if mark.interval is not None:
            axes.plot(mark.interval, [row, row], color=colour, linewidth=2.2)
        axes.plot(
            mark.value, row, "s" if mark.interval else "D", markersize=7, color=colour,
            markerfacecolor=colour if mark.strong else CARD, markeredgewidth=1.5,
        )  # fmt: skip
    axes.set_yticks(range(len(marks)), [mark.label for mark in marks])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(marks) - 0.5, -0.5)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("difference")
    axes.spines["left"].set_visible(False)


def ranking(figure: Figure, marks: Sequence[tuple[str, float, tuple[float, float] | None, bool]]) -> None:
    """Labelled values with their intervals, the largest on top; those that stand out are filled."""
    axes = figure.subplots()
    colour = series(0)
    for row, (_, value, interval, strong) in enumerate(marks):
        if interval is not None:
            axes.plot(interval, [row, row], color=colour, linewidth=1.6, alpha=0.6)
        axes.plot(value, row, "o", markersize=5.5, color=colour, markerfacecolor=colour if strong else CARD)
    axes.set_yticks(range(len(marks)), [mark[0] for mark in marks])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(marks) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def named_points(figure: Figure, points: Sequence[tuple[str, float, float]], across: str, up: str) -> None:
    """Named points; names are written where there are few."""
    axes = figure.subplots()
    axes.plot([x for _, x, _ in points], [y for _, _, y in points], "o", color=series(0), markersize=5, alpha=0.7)
    for name, x, y in points:
        axes.annotate(name, (x, y), xytext=(4, 2), textcoords="offset points", fontsize=8, color=MUTED)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(axis="x")


def seeds(figure: Figure, arms: Mapping[str, Sequence[float]]) -> None:
    """The score of every run, a line for each arm, with the arm's mean."""
    axes = figure.subplots()
    for row, values in enumerate(arms.values()):
        axes.plot(values, [row] * len(values), "o", color=series(0), alpha=0.45, markersize=6, markeredgewidth=0)
        axes.plot(np.mean(values), row, "|", color=INK, markersize=13, markeredgewidth=2)
    axes.set_yticks(range(len(arms)), list(arms))
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.set_xlabel("dev score")
    axes.spines["left"].set_visible(False)


def many_curves(figure: Figure, curves: Sequence[Curve]) -> None:
    """Scores of many runs against their share of the steps; there are too many for names."""
    axes = figure.subplots()
    for curve in curves:
        steps, values = columns(curve)
        axes.plot(steps / steps[-1], values, color=series(0), alpha=0.4, linewidth=1.3)
        axes.plot(1.0, values[-1], "o", color=series(0), markersize=4, alpha=0.7, markeredgewidth=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("of the steps")


def columns(curve: Curve) -> tuple[NDArray[np.int64], Floats]:
    """Steps and values, undefined ones as gaps in the line."""
    values = [np.nan if value is None else value for _, value in curve]
    return np.array([step for step, _ in curve], np.int64), np.array(values, np.float64)


def logarithmic(axes: Axes) -> None:
    """Make the vertical axis logarithmic, with plain numbers, once everything is drawn; without values it stays."""
    values = np.concatenate([np.asarray(line.get_ydata(), np.float64) for line in axes.lines])
    values = values[values > 0]
    if not values.size:
        return
    low, high = values.min(), values.max()
    if high < 1.1 * low:
        axes.set_ylim(low / 2, 2 * high)  # Matplotlib cannot choose the limits of a constant
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def legend_above(figure: Figure, axes: Axes) -> None:
    """Put the legend above the axes."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4)
