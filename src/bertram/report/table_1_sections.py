"""Sections of a reproduction: the study's Table 1 beside ours, and the differences from its reference row."""

from collections.abc import Sequence

from markupsafe import Markup

from bertram.comparison.contrast import LEAST_SEEDS
from bertram.minbert.render import row_sentence
from bertram.minbert.table_1_values import Summary, Table1, TableRow
from bertram.report import plots
from bertram.report.forests import FAR, forests_by_outcome, marked_difference
from bertram.report.page import Cell, Column, Section, Table, shown, shown_interval, signed


def table_section(table: Table1) -> Section:
    """Table 1: the study's figures below ours."""
    outcomes = list(dict.fromkeys(name for row in table.rows for name in row.ours))
    columns = [Column("experiment"), *(Column(name, number=True) for name in outcomes),
               Column(f"overall − {table.reference}", number=True), Column("verdict", sentence=True)]  # fmt: skip
    rows = [_table_row(row, outcomes, table.reference) for row in table.rows]
    note = ("Mean ± standard deviation over seeds, 95 % interval, and below it what the study published, on the split "
            "it names.")  # fmt: skip
    return Section("table", "Table 1", " ".join(table.notes), tables=[Table(columns, rows, note=note)])


def _table_row(row: TableRow, outcomes: Sequence[str], reference: str) -> list[Cell]:
    count = len(row.seeds)
    on_test = row.study is not None and row.study.split == "test"
    marks = ["study: test; not comparable"] if on_test else []
    name = _lines(row.label, f"{row.experiment}, {count} seed{'s' * (count != 1)}", *marks)
    scores = [_score_lines(row.ours.get(outcome), _published(row, outcome)) for outcome in outcomes]
    difference = row.differences.get("overall")
    if difference is None:
        return [name, *scores, "", row_sentence(row, reference)]
    interval = shown_interval(difference.ci95_new or difference.ci95)
    return [name, *scores, _lines(signed(difference.effect), interval), row_sentence(row, reference)]


def _published(row: TableRow, outcome: str) -> list[str]:
    """The study's figure on an outcome, as a line of a cell; none where it has none."""
    value = None if row.study is None else getattr(row.study, outcome, None)
    split = "study, test" if row.study is not None and row.study.split == "test" else "study"
    return [] if value is None else [f"{split} {shown(value)}"]


def _score_lines(score: Summary | None, published: Sequence[str]) -> Cell:
    if score is None:
        return _lines("–", *published)
    mean = shown(score.mean) + ("" if score.sd is None else f" ± {shown(score.sd)}")
    return _lines(mean, shown_interval(score.ci95), *published)


def _lines(first: str, *below: str) -> Markup:
    small = Markup("").join(Markup("<small>{}</small>").format(line) for line in below)
    return Markup('<div class="lines"><span>{}</span>{}</div>').format(first, small)


def differences_section(table: Table1) -> Section:
    """Every row minus the reference, a forest for each outcome."""
    by_outcome: dict[str, list[plots.Marked]] = {}
    for row in table.rows:
        for outcome, difference in row.differences.items():
            if difference is not None and difference.effect is not None:
                by_outcome.setdefault(outcome, []).append(
                    marked_difference(row.experiment, difference.effect, difference)
                )
    lead = (
        f"Difference from {table.reference}, paired by seed and example. Filled: significant, and "
        f"the interval for other examples excludes zero. Hollow: not significant, or fewer than {LEAST_SEEDS} seeds. "
        f"The band is the smallest effect of interest, {table.smallest_effect:g}."
    )
    forests = forests_by_outcome(by_outcome, FAR, table.smallest_effect)
    return Section("differences", f"Differences from {table.reference}", lead, forests)
