"""Texts to predict, from a file or a pipe of any length."""

import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from bertram.data.delimited import read_header
from bertram.data.lines import Line, read_lines, split_at_cr
from bertram.data.rows import Reject
from bertram.data.tables import FORMATS, Table, ending, open_lines, open_table, plain_table, text_table
from bertram.data.texts import Style, parse
from bertram.errors import DataError, Fault
from bertram.task_files import Quoting

InputFormat = Literal["csv", "tsv", "jsonl", "text"]
STDIN = "<stdin>"
_OBJECT = re.compile(r'\s*\{\s*(["}]|$)')  # what begins otherwise cannot be JSON
USUAL_COLUMNS: dict[bool, tuple[tuple[str, ...], ...]] = {
    False: (("text",), ("sentence",)),
    True: (("text1", "text2"), ("sentence1", "sentence2"), ("question1", "question2")),
}


def read_texts(
    source: Path | Iterable[bytes],
    pair: bool,
    *,
    columns: Sequence[str] = (),
    likely_columns: Sequence[str] = (),
    targets: Sequence[str] | None = None,
    id_columns: Sequence[str] = ("id",),
    style: Style = "plain",
    form: InputFormat | None = None,
    encoding: str | None = None,
    quoting: Quoting = "auto",
    rejects: list[Reject] | None = None,
    carried: deque[Mapping[str, object]] | None = None,
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The id and the text or texts of each row, one after the other as they are read.

    Args:
        source: a file, its format known by the ending of its name, or the lines of standard input. A plain line (of
            standard input, a .txt file or one without an ending) is a text, or two with a tab between them.
        pair: True if an example is two texts.
        columns: names of the text columns, which the source must have.
        likely_columns: names of the text columns that go before the usual ones, if `columns` names none; the usual ones
            are text or sentence (text1 and text2, sentence1 and sentence2, question1 and question2).
        targets: columns with the spans of targets, where the source has them all; without them the texts mark their
            targets; None: the task reads no target.
        id_columns: names that a column of ids may have, the first one that is there; else an id is the number of the
            row, from 1.
        style: the task's text style.
        form: format where no ending tells it; by default JSONL if the first line begins as a JSON object does, a
            table if it names the text columns, otherwise plain text.
        encoding: text encoding; default: UTF-8, or what a byte order mark says.
        quoting: meaning of quotes in a table; default: standard, except where they would swallow rows.
        rejects: a list that gets the rows that cannot be predicted.
        carried: a queue that gets all columns of each row that is given.

    Raises:
        DataError: a fault of the file, when the first row is asked for; and a row that cannot be predicted, where
            there is no list for it.
    """
    if columns and len(columns) != (2 if pair else 1):
        needed = "two text columns" if pair else "one text column"
        raise DataError(f"the task needs {needed}, but {len(columns)} are named: {', '.join(columns)}")
    likely = [tuple(likely_columns)] if likely_columns else []
    choices = [tuple(columns)] if columns else [*likely, *USUAL_COLUMNS[pair]]
    with ExitStack() as stack:
        if not isinstance(source, Path):
            table = _sniffed(read_lines(source, encoding), STDIN, pair, choices, form, quoting)
        elif ending(source) not in ("", ".txt") and (
            form is None or FORMATS.get(ending(source)) in ("parquet", "xlsx")
        ):
            table = stack.enter_context(open_table(source, encoding, quoting))
        else:
            lines = stack.enter_context(open_lines(source, encoding))
            table = _sniffed(split_at_cr(lines), str(source), pair, choices, form, quoting)
        yield from _texts(table, choices, targets, id_columns, style, rejects, carried)


def _sniffed(
    lines: Iterator[Line],
    name: str,
    pair: bool,
    choices: list[tuple[str, ...]],
    form: InputFormat | None,
    quoting: Quoting,
) -> Table:
    """The table in lines that do not say what they are; only the first line decides."""
    read_lines: list[Line] = []
    first = next(noted := _noted(lines, read_lines), None)
    if first is None:
        raise DataError(f"{name}: it is empty")
    if form is None and _OBJECT.match(first.text):
        form = "jsonl"
    if form is None:  # in a table a CR outside quotes ends a line; in a plain text it belongs to the text
        header, _ = read_header(split_at_cr(itertools.chain([first], noted)), None, quoting)
        form = "csv" if any(set(choice) <= set(header.columns) for choice in choices) else "text"
        if form == "text" and "\t" in first.text and not pair:
            raise DataError(
                f"{name}:1: this line has tabs, but names no column {_listed(choices)}; name the text column so, "
                "or say that the format is text (--input-format text)"
            )
    lines = itertools.chain(read_lines, lines)
    return plain_table(lines, pair, name) if form == "text" else text_table(lines, form, name, quoting)


def _noted(lines: Iterator[Line], log: list[Line]) -> Iterator[Line]:
    for line in lines:
        log.append(line)
        yield line


def _texts(
    table: Table,
    choices: list[tuple[str, ...]],
    targets: Sequence[str] | None,
    id_columns: Sequence[str],
    style: Style,
    rejects: list[Reject] | None,
    carried: deque[Mapping[str, object]] | None,
) -> Iterator[tuple[str, tuple[str, ...]]]:
    chosen = next((choice for choice in choices if set(choice) <= set(table.columns)), None)
    if chosen is None:
        raise DataError(f"{table.name}: no column {_listed(choices)} (the columns are: {table.listed_columns()})")
    id_column = next((name for name in id_columns if name in table.columns), None)
    if targets is not None and not set(targets) <= set(table.columns):
        targets = ()
    names = [*chosen, *(targets or ()), *([] if id_column is None else [id_column])]
    table.require(names if carried is None else [*names, *filter(None, table.columns)])
    for number, record in enumerate(table.read(names if carried is None else table.columns), start=1):
        try:
            row = parse(record, number, chosen, id_column, style, targets)
            if carried is not None:
                carried.append({name: record.values.get(name) for name in table.columns})
            yield row
        except Fault as fault:
            reject = Reject(Path(table.name), record.line, str(fault))
            if rejects is None:
                raise DataError(str(reject)) from None
            rejects.append(reject)


def _listed(choices: list[tuple[str, ...]]) -> str:
    return " or ".join(" and ".join(choice) for choice in dict.fromkeys(choices))
