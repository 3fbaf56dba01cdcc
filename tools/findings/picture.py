"""What the picture of the page shows: effects with their intervals, a panel for each outcome."""

from bertram.comparison.evidence import Evidence
from bertram.experiments.ablation_table import AblationTable
from bertram.report.plots import Marked
from tools.findings.claims import TECHNIQUES
from tools.findings.evidence import effect
from tools.findings.tables import OUTCOMES


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
