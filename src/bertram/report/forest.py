"""The effects of an ablation as a picture."""

import io
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from bertram.experiments.ablation_table import AblationTable
from bertram.report.ablation_sections import effects_by_outcome
from bertram.report.drawing import CARD, STYLE
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
    columns = min(COLUMNS, len(outcomes))
    rows = -(-len(outcomes) // columns)
    height = rows * (MARGIN + ROW * max(map(len, outcomes.values())))
    buffer = io.BytesIO()
    with style.context(["default", {**STYLE, "font.family": "sans-serif"}]):
        figure = Figure(figsize=(columns * WIDTH / 72, height / 72), dpi=72, layout="constrained", facecolor=CARD)
        panels = figure.subfigures(rows, columns, squeeze=False).ravel()
        for panel, (outcome, marks) in zip(panels, outcomes.items(), strict=False):
            panel.set_facecolor(CARD)
            _panel(panel, outcome, marks, ablation.smallest_effect)
        figure.savefig(buffer, format="png", dpi=144, metadata={"Software": None})
    write_bytes(folder / PICTURE, buffer.getvalue())
    return folder / PICTURE


def _panel(panel: Any, outcome: str, marks: list[Marked], band: float | None) -> None:
    forest(panel, marks, band)
    panel.axes[0].set_title(outcome)
