"""Plots of gradient conflicts between tasks and of SMART's perturbations."""

from collections.abc import Collection, Mapping

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap
from matplotlib.figure import Figure

from bertram.report.drawing import MUTED, css, mixed, series
from bertram.report.gradients import Conflicts, Curve, Floats
from bertram.report.plots import columns, legend_above, logarithmic, running_mean

MOST_COLUMNS = 48  # columns of a heat map; more measurements are averaged
LEVELS = 16  # colours of a heat map
PAIR_COLOURS = 3  # pairs of tasks are coloured from here on, so that no pair looks like a task


def conflict_map(figure: Figure, conflicts: Conflicts) -> None:
    """Cosines of two tasks' gradients by layer and time, a panel for each pair of tasks."""
    panels = figure.subplots(len(conflicts.pairs), 1, sharex=True, squeeze=False)[:, 0]
    looks = len(conflicts.steps)
    groups = np.array_split(np.arange(looks), min(MOST_COLUMNS, looks))
    edges = np.array([*(group[0] for group in groups), looks], dtype=np.float64)
    maps = [np.stack([_mean(conflicts.by_layer[g][:, :, *pair]) for g in groups], axis=1) for pair in conflicts.pairs]
    top = _round_up(
        max((float(np.nanmax(np.abs(cosines))) for cosines in maps if not np.isnan(cosines).all()), default=1.0)
    )
    colours, norm = _diverging(), BoundaryNorm(np.linspace(-top, top, LEVELS + 1), LEVELS)
    for axes, pair, cosines in zip(panels, conflicts.pairs, maps, strict=True):
        rows = np.arange(len(conflicts.layers) + 1)
        axes.pcolormesh(edges, rows, np.ma.masked_invalid(cosines), cmap=colours, norm=norm, edgecolors="face", lw=0.4)
        axes.set_title(conflicts.name(pair))
        axes.set_yticks(rows[:-1] + 0.5, conflicts.layers)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    ticks = np.unique(np.linspace(0, looks - 1, 5).round().astype(int))
    panels[-1].set_xticks(ticks + 0.5, [f"{conflicts.steps[tick]:,}" for tick in ticks])
    panels[-1].set_xlabel("step")
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=list(panels), location="bottom", aspect=40, fraction=0.02)
    bar.set_ticks([-top, 0, top], labels=[f"−{top:g} conflict", "0", f"agreement {top:g}"])
    bar.outline.set_linewidth(0)
    bar.ax.tick_params(length=0)


def _mean(values: Floats) -> Floats:
    """Means over the first axis without nan; nan if there is nothing else."""
    defined = ~np.isnan(values)
    sums, counts = np.where(defined, values, 0.0).sum(0), defined.sum(0)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def _round_up(value: float) -> float:
    """The next of 0.1, 0.2, 0.3, 0.5, 1."""
    return next((limit for limit in (0.1, 0.2, 0.3, 0.5) if value <= limit), 1.0)


def _diverging() -> Colormap:
    """Colours from conflict, over that of an empty cell, to agreement."""
    half = LEVELS // 2
    shares = [(number + 1) / half for number in range(half)]
    warm = [mixed("var(--warm)", share) for share in reversed(shares)]
    colours = ListedColormap([*warm, *(mixed("var(--cool)", share) for share in shares)])
    return colours.with_extremes(bad=css("var(--card)"))


def conflict_lines(figure: Figure, conflicts: Conflicts) -> None:
    """Cosines of the whole encoder's gradients over time."""
    axes = figure.subplots()
    axes.axhline(0, color=MUTED, linewidth=1)
    for number, pair in enumerate(conflicts.pairs):
        cosines, colour = conflicts.whole[:, *pair], series(number + PAIR_COLOURS)
        axes.plot(conflicts.steps, cosines, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(conflicts.steps, running_mean(cosines), color=colour, label=conflicts.name(pair))
    axes.set_xlabel("step")
    legend_above(figure, axes)


def gradient_norms(figure: Figure, conflicts: Conflicts) -> None:
    """Norms of the whole encoder's gradients over time: a task with a far larger one decides alone."""
    axes = figure.subplots()
    for number, name in enumerate(conflicts.tasks):
        norms = np.where(conflicts.norms[:, number] > 0, conflicts.norms[:, number], np.nan)
        axes.plot(conflicts.steps, norms, color=series(number), alpha=0.25, linewidth=0.8)
        axes.plot(conflicts.steps, running_mean(norms), color=series(number), label=name)
    logarithmic(axes)
    axes.set_xlabel("step")
    legend_above(figure, axes)


def panels_over_time(
    figure: Figure, curves: Mapping[str, Mapping[str, Curve]], order: list[str], log: Collection[str]
) -> None:
    """A panel for each figure, a line in it for each task.

    Args:
        figure: figure to draw on.
        curves: title -> task -> curve.
        order: all tasks of the run; their positions decide the colours.
        log: titles of logarithmic panels; values that are not positive are gaps.
    """
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, tasks) in zip(panels, curves.items(), strict=True):
        for task, curve in tasks.items():
            steps, values = columns(curve)
            if title in log and (values > 0).any():  # a penalty that is zero throughout is drawn as such
                values = np.where(values > 0, values, np.nan)
            colour = series(order.index(task))
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(steps, running_mean(values), color=colour, label=task)
        if title in log:
            logarithmic(axes)
        axes.set_title(title)
    panels[-1].set_xlabel("step")
    legend_above(figure, panels[0])
