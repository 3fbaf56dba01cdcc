"""Forest plots of a study: a picture for each outcome."""

from collections.abc import Mapping, Sequence
from math import inf
from statistics import median

from bertram.comparison.evidence import Evidence
from bertram.evaluation.metrics import is_error
from bertram.report import plots
from bertram.report.drawing import WIDTH, svg
from bertram.report.page import Picture, signed

FAR = 6.0  # times the median size of a forest: rows that train nothing, beside those that differ in a technique
ROW_HEIGHT = 26  # px of a line in a forest


def marked_difference(label: str, value: float, row: Evidence) -> plots.Marked:
    """A difference as a line of a forest: filled where it is significant on other examples, too."""
    strong = row.verdict.significant and not row.verdict.these_examples_only
    return plots.Marked(label, value, row.ci95_new or row.ci95, strong=strong)


def forests_by_outcome(
    by_outcome: Mapping[str, Sequence[plots.Marked]], far: float = inf, band: float | None = None
) -> list[Picture]:
    """A forest for each outcome, overall first.

    Args:
        by_outcome: outcome -> its lines.
        far: multiple of the median size above which a line is named below the picture.
        band: smallest effect of interest, drawn where it is in the unit of the outcome; None: none.
    """
    ordered = sorted(by_outcome, key=lambda name: name != "overall")  # the main question first
    return [_forest(name, by_outcome[name], far, band if has_band(name) else None) for name in ordered]


def has_band(outcome: str) -> bool:
    """Whether the smallest effect of interest is in the unit of an outcome; a loss has a unit of its own."""
    return not is_error(outcome.rpartition(" ")[2])


def _forest(outcome: str, marks: Sequence[plots.Marked], far: float, band: float | None = None) -> Picture:
    """A forest of one outcome. Lines far outside are named below the picture, so that the scale fits the others."""
    usual = median(abs(mark.value) for mark in marks)
    near = [mark for mark in marks if usual == 0 or abs(mark.value) <= far * usual]
    distant = [f"{mark.label} {signed(mark.value)}" for mark in marks if mark not in near]
    note = f"Far beyond the picture: {', '.join(distant)}." if distant else ""
    return Picture(outcome, svg(plots.forest, WIDTH, 60 + ROW_HEIGHT * len(near), near, band), note)
