"""Table 1 for a terminal and for Markdown, from its plain values."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

HEADINGS = {"sst": "sentiment", "quora": "paraphrase", "sts": "similarity", "overall": "overall"}


def terminal(table: Mapping[str, Any]) -> Group:
    """The study's figures beside ours, the verdicts below."""
    shown = Table(title=table["title"], title_justify="left", box=box.SIMPLE)
    for heading in ("", "", *_headings(table), f"overall − {table['reference']}"):
        shown.add_column(heading)
    for row in table["rows"]:
        first = row["experiment"]
        if row["study"] is not None:
            shown.add_row(first, _study(row), *(_published(row, name) for name in HEADINGS), "")
            first = ""
        cells = [_cell(row["ours"][name], between="\n") for name in HEADINGS]
        shown.add_row(first, _ours(row), *cells, _difference(row, between="\n"), style="bold", end_section=True)
    verdicts = [f"{row['experiment']} ({row['label']}): {row['verdict']}" for row in table["rows"]]
    return Group(shown, Text("\n".join([*verdicts, "", *table["notes"]])))


def markdown(table: Mapping[str, Any]) -> str:
    """The same as a Markdown table."""
    lines = [
        f"**{table['title']}**",
        "",
        f"| experiment | | {' | '.join(_headings(table))} | overall − {table['reference']} |",
        "|---|---|" + "---:|" * (len(HEADINGS) + 1),
    ]
    for row in table["rows"]:
        first = row["label"]
        if row["study"] is not None:
            lines.append(f"| {first} | {_study(row)} | {' | '.join(_published(row, name) for name in HEADINGS)} | |")
            first = ""
        cells = " | ".join(_cell(row["ours"][name], between=" ") for name in HEADINGS)
        lines.append(f"| {first} | {_ours(row)} | {cells} | {_difference(row, between=' ')} |")
    verdicts = [f"- {row['label']}: {row['verdict']}" for row in table["rows"]]
    return "\n".join([*lines, "", "Verdicts:", "", *verdicts, "", *(f"{note}\n" for note in table["notes"])])


def _headings(table: Mapping[str, Any]) -> list[str]:
    """With the number of examples, which is one for all rows."""
    found = []
    for name, heading in HEADINGS.items():
        counts = {row["ours"][name]["n"] for row in table["rows"] if row["ours"][name] is not None} - {None}
        found.append(heading + "".join(f" (n = {count:,})" for count in sorted(counts)))
    return found


def _study(row: Mapping[str, Any]) -> str:
    return "study, test; not comparable" if row["study"]["split"] == "test" else "study"


def _ours(row: Mapping[str, Any]) -> str:
    count = len(row["seeds"])
    return f"ours, {count} seed{'s' * (count != 1)}"


def _published(row: Mapping[str, Any], name: str) -> str:
    value = row["study"][name]
    return "–" if value is None else f"{value:.3f}"


def _cell(found: Mapping[str, Any] | None, *, between: str) -> str:
    """Mean ± sd over seeds, and its interval."""
    if found is None:
        return "–"
    mean = f"{found['mean']:.3f}" + ("" if found["sd"] is None else f" ± {found['sd']:.3f}")
    return mean if found["ci95"] is None else between.join([mean, "[{:.3f}, {:.3f}]".format(*found["ci95"])])


def _difference(row: Mapping[str, Any], *, between: str) -> str:
    found = row["differences"]["overall"]
    if found is None or found["difference"] is None:
        return ""
    value, interval = f"{found['difference']:+.3f}", found["ci95_new"] or found["ci95"]
    return value if interval is None else between.join([value, "[{:+.3f}, {:+.3f}]".format(*interval)])
