"""The picture of the page: effects with their intervals beside the smallest effect of interest."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

from bertram.comparison.evidence import Evidence
from bertram.experiments.ablation_table import AblationTable
from bertram.report.drawing import CARD, MUTED, STYLE
from bertram.report.plots import Marked, forest
from tools.findings.claims import TECHNIQUES
from tools.findings.evidence import effect
from tools.findings.tables import OUTCOMES

WIDTH, ROW, MARGIN = 560, 30, 110  # px of a panel; the margin has the heading and the axis
COLUMNS = 2


def panels(steps: AblationTable, time: AblationTable | None) -> dict[str, list[Marked]]:
    """Heading -> effects of the techniques, as far as they have a value."""
    sources = [(f"{heading}, equal steps", steps, outcome) for outcome, heading in OUTCOMES.items()]
    sources += [] if time is None else [(f"{OUTCOMES['overall']}, equal time", time, "overall")]
    drawn = {
        heading: [
            mark(technique.title, row)
            for technique in TECHNIQUES
            if (row := effect(table, technique.factor, outcome)) is not None and row.effect is not None
        ]
        for heading, table, outcome in sources
    }
    return {heading: marks for heading, marks in drawn.items() if marks}


def mark(title: str, row: Evidence) -> Marked:
    """An effect as it is drawn: with an interval only where there are seeds for one, filled where significant."""
    assert row.effect is not None
    strong = row.verdict.significant and not row.verdict.these_examples_only
    return Marked(title, row.effect, row.ci95_new if row.ci95 is not None else None, strong=strong)


def draw(drawn: Mapping[str, Sequence[Marked]], smallest: float, path: Path) -> None:
    """Write the picture."""
    columns = min(COLUMNS, len(drawn))
    lines = -(-len(drawn) // columns)
    height = lines * (MARGIN + ROW * max(map(len, drawn.values())))
    buffer = io.BytesIO()
    with style.context(["default", {**STYLE, "font.family": "sans-serif"}]):
        figure = Figure(figsize=(columns * WIDTH / 72, height / 72), dpi=72, layout="constrained", facecolor=CARD)
        grid = figure.subfigures(lines, columns, squeeze=False).ravel()
        for panel, (heading, marks) in zip(grid, drawn.items(), strict=False):
            panel.set_facecolor(CARD)
            forest(panel, marks, smallest)
            panel.axes[0].set_title(heading)
        for panel in grid[len(drawn) :]:
            panel.set_facecolor(CARD)
        figure.text(0.995, 0.004, f"band: ±{smallest:g}", ha="right", va="bottom", color=MUTED, fontsize=10)
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
