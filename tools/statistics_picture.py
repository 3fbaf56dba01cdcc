"""Draw docs/pictures/statistics.png: differences of recorded runs beside the smallest effect of interest.

`python -m tools.statistics_picture DATA`, DATA being the directory of the course's files.
"""

import io
import sys
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

from bertram.comparison.comparison import compare_runs
from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.techniques import TechniqueDifference
from bertram.report.drawing import CARD, STYLE
from bertram.report.plots import Marked, forest

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "statistics.png"
WIDTH, HEIGHT = 10.5, 2.2  # inches


def precision_rows(data: str) -> list[TechniqueDifference]:
    """bf16 products, and dense embedding updates, against fp32 with row-wise updates."""
    folder = ROOT / "results" / "precision"
    arms = ("fp32-rows", "bf16-rows", "fp32-dense")
    runs = [path for arm in arms for path in sorted(folder.glob(f"{arm}-seed*"))]
    return [row for row in compare_runs(runs, data).techniques if row.smallest is not None]


def reproduction_rows(data: str) -> list[TechniqueDifference]:
    """The study's rows of three seeds against row 4."""
    folder = ROOT / "results" / "reproduction"
    names = [path for row in ("e4", "e6", "e11", "e12") for path in sorted(folder.glob(f"{row}-*"))]
    runs = [path for path in names if path.name.count("-") == 1]  # without e6-literal, e4-as-published and their like
    return [row for row in compare_runs(runs, data).techniques if row.outcome == "overall"]


def mark(row: TechniqueDifference, label: str) -> Marked:
    """A row as it is drawn."""
    assert row.effect is not None
    return Marked(label, row.effect, row.ci95_new, strong=row.verdict.significant)


def draw(data: str) -> None:
    """Write the picture."""
    left = [mark(row, f"{row.technique} on {row.outcome}") for row in precision_rows(data)]
    right = [
        mark(row, f"row {row.technique.split('-')[0].removeprefix('e')} against row 4")
        for row in reproduction_rows(data)
    ]
    buffer = io.BytesIO()
    with style.context(["default", {**STYLE, "font.family": "sans-serif"}]):
        figure = Figure(figsize=(WIDTH, HEIGHT + 0.25 * len(left)), layout="constrained", facecolor=CARD)
        panels = figure.subfigures(1, 2, squeeze=False).ravel()
        for panel, marks, title in zip(
            panels, (left, right), ("precision of the products", "rows of the study, overall"), strict=True
        ):
            panel.set_facecolor(CARD)
            forest(panel, marks, SMALLEST_EFFECT)
            panel.axes[0].set_title(title)
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    PICTURE.write_bytes(buffer.getvalue())


if __name__ == "__main__":
    draw(sys.argv[1])
