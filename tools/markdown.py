"""Markdown from figures, and pages whose tables stand between marks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def between(page: str, mark: str, content: str) -> str:
    """The page with new content between a pair of marks.

    Raises:
        ValueError: the page lacks the marks.
    """
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, opened, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"the page has no marks {begin} … {end}")
    return f"{before}{begin}\n{content.strip()}\n{end}{after}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def host(record: Record) -> str:
    """Date, processor and threads of a record."""
    facts = record["host"]
    return f"{record['finished'][:10]} · {facts['processor']} ({facts['instructions']}), {facts['threads']} threads"


def milliseconds(seconds: Record) -> str:
    """Median and quartiles of seconds, in milliseconds."""
    return scaled(seconds, 1000.0)


def scaled(quartiles: Record, scale: float, unit: str = "") -> str:
    """Median and quartiles, multiplied, with a unit."""
    low, median, high = (_three_digits(quartiles[name] * scale) for name in ("low", "median", "high"))
    return f"{median}{f' {unit}' if unit else ''} [{low}–{high}]"


def multiple(quartiles: Record) -> str:
    """Median and quartiles of a ratio."""
    return f"{quartiles['median']:.2f} [{quartiles['low']:.2f}–{quartiles['high']:.2f}]"


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
