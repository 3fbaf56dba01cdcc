"""Table 1 as Markdown, and the texts of its cells."""

from bertram.comparison.sentences import signed, technique_sentence
from bertram.minbert.table_1_values import Summary, Table1, TableRow

HEADINGS = {"sst": "sentiment", "quora": "paraphrase", "sts": "similarity", "overall": "overall"}


def markdown(table: Table1) -> str:
    """The study's figures beside ours as a Markdown table, the verdicts below."""
    lines = [
        f"**{table.title}**",
        "",
        f"| experiment | | {' | '.join(headings(table))} | overall − {table.reference} |",
        "|---|---|" + "---:|" * (len(HEADINGS) + 1),
    ]
    for row in table.rows:
        first = row.label
        if row.study is not None:
            lines.append(
                f"| {first} | {study_cell(row)} | {' | '.join(published_cell(row, name) for name in HEADINGS)} | |"
            )
            first = ""
        cells = " | ".join(score_cell(row.ours[name], between=" ") for name in HEADINGS)
        lines.append(f"| {first} | {seeds_cell(row)} | {cells} | {difference_cell(row, between=' ')} |")
    verdicts = [f"- {row.label}: {row_sentence(row, table.reference)}" for row in table.rows]
    return "\n".join([*lines, "", "Verdicts:", "", *verdicts, "", *(f"{note}\n" for note in table.notes)])


def headings(table: Table1) -> list[str]:
    """Headings of the table, with the number of examples of each outcome."""
    titles = []
    for name, heading in HEADINGS.items():
        counts = {score.n for row in table.rows if (score := row.ours.get(name)) is not None and score.n is not None}
        titles.append(heading + "".join(f" (n = {count:,})" for count in sorted(counts)))
    return titles


def study_cell(row: TableRow) -> str:
    """Label of the line with the study's figures."""
    return "study, test; not comparable" if row.study is not None and row.study.split == "test" else "study"


def seeds_cell(row: TableRow) -> str:
    """Label of the line with our figures."""
    count = len(row.seeds)
    return f"ours, {count} seed{'s' * (count != 1)}"


def published_cell(row: TableRow, name: str) -> str:
    """A figure of the study."""
    value = None if row.study is None else getattr(row.study, name)
    return "–" if value is None else f"{value:.3f}"


def score_cell(score: Summary | None, *, between: str) -> str:
    """Mean ± sd over seeds, and its interval."""
    if score is None:
        return "–"
    mean = f"{score.mean:.3f}" + ("" if score.sd is None else f" ± {score.sd:.3f}")
    return mean if score.ci95 is None else between.join([mean, "[{:.3f}, {:.3f}]".format(*score.ci95)])


def difference_cell(row: TableRow, *, between: str) -> str:
    """Difference from the reference row, overall, and its interval."""
    difference = row.differences.get("overall")
    if difference is None or difference.effect is None:
        return ""
    value, interval = signed(difference.effect), difference.ci95_new or difference.ci95
    return value if interval is None else between.join([value, f"[{signed(interval[0])}, {signed(interval[1])}]"])


def row_sentence(row: TableRow, reference: str) -> str:
    """The verdict on a row against the reference: on overall, else on its one task."""
    if row.experiment == reference:
        return "the row that all others are compared with"
    differences = {name: difference for name, difference in row.differences.items() if difference is not None}
    if not differences:
        return f"not compared: {reference} was not run with these seeds"
    outcome = "overall" if "overall" in differences else next(iter(differences))
    sentence = technique_sentence(differences[outcome])
    shared = "" if row.compared_as == row.experiment else f"the run of {row.compared_as}: "
    return shared + (sentence if outcome == "overall" else f"on {outcome} alone: {sentence}")
