"""Table 1 for a terminal."""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bertram.minbert import render
from bertram.minbert.table_1_values import Table1


def table_1(table: Table1) -> Group:
    """The study's figures beside ours, the verdicts below."""
    layout = Table(title=table.title, title_justify="left", box=box.SIMPLE)
    for heading in ("", "", *render.headings(table), f"overall − {table.reference}"):
        layout.add_column(heading)
    for row in table.rows:
        first = row.experiment
        if row.study is not None:
            layout.add_row(
                first, render.study_cell(row), *(render.published_cell(row, name) for name in render.HEADINGS), ""
            )
            first = ""
        cells = [render.score_cell(row.ours[name], between="\n") for name in render.HEADINGS]
        layout.add_row(
            first,
            render.seeds_cell(row),
            *cells,
            render.difference_cell(row, between="\n"),
            style="bold",
            end_section=True,
        )
    verdicts = [f"{row.experiment} ({row.label}): {render.row_sentence(row, table.reference)}" for row in table.rows]
    return Group(layout, Text("\n".join([*verdicts, "", *table.notes])))
