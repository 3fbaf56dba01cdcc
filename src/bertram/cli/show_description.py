"""The description of data files on the terminal.

Texts from files are shown as they are, never read as markup.
"""

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bertram.data.describe import Description, PartDescription


def description_table(description: Description, max_rejects: int = 20) -> Group:
    """The description as a table and notes, with the first rejected rows of each file.

    Args:
        description: description of the files.
        max_rejects: number of rejected rows listed for each file.
    """
    table = Table(
        *("task", "part", "rows", "rejected", "labels", "tokens: mean, median, 95 %, max", "truncated", "duplicates"),
        caption=f"truncated: sequences above {description.max_tokens} tokens; duplicates: same words as an earlier row",
    )
    for task in description.tasks:
        for part in task.parts:
            cells = [Text(cell) for cell in (task.name, part.part, *_cells(part))]
            table.add_row(*cells, end_section=part is task.parts[-1])
    return Group(table, *(Text(note) for note in _notes(description, max_rejects)))


def _cells(part: PartDescription) -> list[str]:
    if part.lengths is None:
        return ["-", "-", "cannot be read"]
    tokens = part.lengths
    contradicting = f" ({part.contradictions:,} with another label)" if part.contradictions else ""
    spread = f"{tokens.mean:.1f}, {tokens.median:.0f}, {tokens.percentile95:.0f}, {tokens.longest:,}"
    return [
        f"{part.rows:,}",
        f"{len(part.rejects):,}",
        _balance(part),
        spread,
        f"{tokens.cut:,}",
        f"{part.duplicates:,}{contradicting}",
    ]


def _balance(part: PartDescription) -> str:
    if part.labels is not None:
        return "\n".join(f"{name} {count:,} ({count / part.rows:.1%})" for name, count in part.labels.items())
    if part.scores is None:
        return "-"
    quantiles = " ".join(f"{value:g}" for value in part.scores.quantiles)
    histogram = " ".join(f"{count:,}" for count in part.scores.histogram)
    return f"quartiles {quantiles}\nin fifths of the range {histogram}\nnot integers {part.scores.not_integer:.1%}"


def _notes(description: Description, max_rejects: int) -> Iterator[str]:
    for task in description.tasks:
        for part in task.parts:
            yield from _part_notes(f"{task.name} {part.part}", part, max_rejects)
        for lap in task.overlaps:
            yield (
                f"{task.name}: {lap.same:,} rows of {lap.part} are duplicates of rows of {lap.other}, "
                f"{lap.sharing:,} share a text with one"
            )


def _part_notes(name: str, part: PartDescription, max_rejects: int) -> Iterator[str]:
    if part.problem:
        yield f"{name}: {part.problem}"
    if part.lengths is not None and part.lengths.unknown:
        yield f"{name}: unknown tokens: {part.lengths.unknown:.2%}"
    if part.lengths is not None and part.lengths.unreadable:
        yield (
            f"{name}: rows of unknown tokens only: {part.lengths.unreadable:,}; "
            "the model gives all of them the same answer"
        )
    if part.unlabelled:
        yield f"{name}: rows without a label, skipped: {part.unlabelled:,}"
    if part.excluded:
        yield f"{name}: rows excluded by the definition of the task: {part.excluded:,}"
    if part.duplicate_ids:
        yield f"{name}: duplicate ids: {part.duplicate_ids:,}"
    yield from (f"rejected {reject}" for reject in part.rejects[:max_rejects])
    if len(part.rejects) > max_rejects:
        yield f"{name}: and {len(part.rejects) - max_rejects:,} more rejected"
