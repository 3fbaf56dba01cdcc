"""From the fields of a record to texts: what may be a text, the style of a task, and marked targets."""

import math
import re
from collections.abc import Sequence
from typing import Literal

from bertram.data.tables import Record
from bertram.data.targets import marked, read_span, without_marks
from bertram.errors import Fault
from bertram.tasks import Task

Style = Literal["plain", "course"]
# Format characters and fillers that show nothing, beside white space.
_INVISIBLE = (
    r"\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
_VISIBLE = re.compile(f"[^{_INVISIBLE}]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def target_columns(task: Task, named: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The columns with the spans of targets; empty where the texts mark them, None where the task reads no target."""
    return (named or ()) if task.pools_target else None


def parse(
    record: Record,
    number: int,
    columns: Sequence[str],
    id_column: str | None,
    style: Style,
    targets: Sequence[str] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """The id and the texts of a record, targets marked, or a `Fault`.

    Args:
        record: row of a table.
        number: number of the row, which is its id without a column of ids.
        columns: names of the text columns.
        id_column: name of the column of ids.
        style: text style of the task.
        targets: see `target_columns`.
    """
    if record.fault:
        raise Fault(record.fault)
    row_id = str(number) if id_column is None else text_of(record.values.get(id_column), id_column)
    values = [record.values.get(name) for name in columns]
    if targets:
        spans = [record.values.get(name) for name in targets]
        values = [with_target(value, span) for value, span in zip(values, spans, strict=True)]
    pair = len(columns) == 2
    texts = [styled(text_of(value, name), style, pair) for value, name in zip(values, columns, strict=True)]
    if targets is not None:
        for text in texts:
            without_marks(text)
    return row_id, tuple(texts)


def unmarked(task: Task, texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts of an example without the marks of their targets, which only a task that pools targets reads.

    Args:
        task: task of the example.
        texts: texts as `parse` gives them.
    """
    return tuple(without_marks(text)[0] for text in texts) if task.pools_target else texts


def with_target(text: object, span: object) -> object:
    """A text with its target marked; what is no text stays for `text_of` to refuse."""
    return marked(text, *read_span(span)) if isinstance(text, str) and text.strip() else text


def text_of(value: object, column: str) -> str:
    """A field as text without spaces at its ends; raises `Fault` for one that is empty or cannot be a text."""
    if not isinstance(value, str):
        value = _number_as_text(value, column)
    text = value.strip()
    if not text:
        raise Fault(f"{column} is empty")
    if not text.isascii() and not _VISIBLE.search(text):
        raise Fault(f"{column} has no visible character")
    if "\0" in text:
        raise Fault(f"{column} holds a NUL byte")
    if not text.isascii() and _SURROGATE.search(text):
        raise Fault(f"{column} holds half a character (a lone surrogate)")
    return text


def _number_as_text(value: object, column: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Fault(f"{column} is not a text but a {type(value).__name__}")


def styled(text: str, style: Style, pair: bool) -> str:
    """A text without spaces at its ends as its task wants it.

    ``plain`` leaves it; ``course`` lowers its case and, in a pair, sets the marks ``. ? , '`` apart by a space.
    """
    if style == "plain":
        return text
    lower = text.lower()
    if pair:
        lower = lower.replace(".", " .").replace("?", " ?").replace(",", " ,").replace("'", " '")
    return lower.strip()
