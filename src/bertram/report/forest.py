"""The effects of an ablation as a picture."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

from bertram.experiments.ablation_table import AblationTable
from bertram.report.ablation_sections import effects_by_outcome
from bertram.report.drawing import CARD, MUTED, STYLE
from bertram.report.forests import has_band
from bertram.report.plots import Marked, forest
from bertram.runs.files import write_bytes

PICTURE = "forest.png"
WIDTH, ROW, MARGIN = 560, 24, 110  # px; the margin has the heading and the axis
COLUMNS = 2


def write_forest(folder: Path, ablation: AblationTable) -> Path | None:
    """Draw the effects of an ablation with their intervals, a panel for each outcome, into forest.png.

    Losses, which have units of their own, are left to the report.

    Args:
        folder: folder for the picture.
        ablation: table of the ablation.

    Returns:
        The picture; None where no effect has a value.
    """
    outcomes = {name: marks for name, marks in effects_by_outcome(ablation).items() if has_band(name)}
    if not outcomes:
        return None
    write_bytes(folder / PICTURE, forest_grid(outcomes, ablation.smallest_effect))
    return folder / PICTURE


def forest_grid(panels: Mapping[str, Sequence[Marked]], band: float | None) -> bytes:
    """Draw panels of effects side by side, as a PNG; the headings are the keys, and the band is ±`band`."""
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    height = lines * (MARGIN + ROW * max(map(len, panels.values())))
    buffer = io.BytesIO()
    with style.context(["default", {**STYLE, "font.family": "sans-serif"}]):
        figure = Figure(figsize=(columns * WIDTH / 72, height / 72), dpi=72, layout="constrained", facecolor=CARD)
        grid = figure.subfigures(lines, columns, squeeze=False).ravel()
        for panel in grid:
            panel.set_facecolor(CARD)
        for panel, (heading, marks) in zip(grid, panels.items(), strict=False):
            forest(panel, marks, band)
            panel.axes[0].set_title(heading)
        if band is not None:
            figure.text(0.995, 0.004, f"band: ±{band:g}", ha="right", va="bottom", color=MUTED, fontsize=10)
        figure.savefig(buffer, format="png", dpi=144, metadata={"Software": None})
    return buffer.getvalue()
