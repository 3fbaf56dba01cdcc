"""Texts to predict, from a file or a pipe of any length."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from bertram.data.rows import Reject, Style, parse
from bertram.data.tables import Table, header_fields, open_lines, open_table, peek, plain_table, text_table
from bertram.errors import DataError, Fault

InputFormat = Literal["csv", "tsv", "jsonl", "text"]
STDIN = "<stdin>"
USUAL_COLUMNS: dict[bool, tuple[tuple[str, ...], ...]] = {
    False: (("text",), ("sentence",)),
    True: (("text1", "text2"), ("sentence1", "sentence2"), ("question1", "question2")),
}


def read_texts(
    source: Path | Iterable[bytes],
    pair: bool,
    *,
    columns: Sequence[str] = (),
    id_column: str = "id",
    style: Style = "plain",
    form: InputFormat | None = None,
    rejects: list[Reject] | None = None,
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The id and the text or texts of each row, one after the other as they are read.

    Args:
        source: a file, its format known by the ending of its name, or the lines of standard input. A plain line (of
            standard input, a .txt file or one without an ending) is a text, or two with a tab between them.
        pair: whether an example is two texts.
        columns: what the text columns are called; without them, or where the file has them not, text or sentence
            (text1 and text2, sentence1 and sentence2, question1 and question2).
        id_column: column of the ids; where there is none, the number of the row is the id, from 1.
        style: the task's text style.
        form: the format where no ending tells it; by default JSONL if the first line starts with a brace, a table if
            it names the text columns, otherwise plain text.
        rejects: a list that gets the rows that cannot be predicted.

    Raises:
        DataError: a fault of the file, when the first row is asked for; and a row that cannot be predicted, where
            there is no list for it.
    """
    choices = [tuple(columns), *USUAL_COLUMNS[pair]] if columns else list(USUAL_COLUMNS[pair])
    if not isinstance(source, Path):
        yield from _texts(_sniffed(source, STDIN, pair, choices, form), choices, id_column, style, rejects)
    elif source.suffix.lower() not in ("", ".txt"):
        with open_table(source) as table:
            yield from _texts(table, choices, id_column, style, rejects)
    else:
        with open_lines(source) as lines:
            table = _sniffed(lines, str(source), pair, choices, form)
            yield from _texts(table, choices, id_column, style, rejects)


def _sniffed(
    lines: Iterable[bytes], name: str, pair: bool, choices: list[tuple[str, ...]], form: InputFormat | None
) -> Table:
    """The table in lines that do not say what they are; only the first line decides."""
    first, lines = peek(lines, name)
    if form is None:
        start = first.decode(errors="replace").lstrip("\ufeff").rstrip("\r\n")
        named = set(header_fields(start))
        if start.lstrip().startswith("{"):
            form = "jsonl"
        elif any(named.issuperset(choice) for choice in choices):
            form = "csv"
        elif "\t" in start and not pair:
            raise DataError(
                f"{name}:1: this line has tabs, but names no column {_listed(choices)}; name the text column so, "
                "or say that the format is text"
            )
        else:
            form = "text"
    return plain_table(lines, pair, name) if form == "text" else text_table(lines, form, name)


def _texts(
    table: Table, choices: list[tuple[str, ...]], id_column: str, style: Style, rejects: list[Reject] | None
) -> Iterator[tuple[str, tuple[str, ...]]]:
    chosen = next((choice for choice in choices if set(choice) <= set(table.columns)), None)
    if chosen is None:
        there = ", ".join(column or "(no name)" for column in table.columns)
        raise DataError(f"{table.name}: no column {_listed(choices)} (the columns are: {there})")
    known_id = id_column if id_column in table.columns else None
    names = [*chosen] if known_id is None else [*chosen, known_id]
    table.require(names)
    for number, record in enumerate(table.read(names), start=1):
        try:
            yield parse(record, number, chosen, known_id, style)
        except Fault as fault:
            reject = Reject(Path(table.name), record.line, str(fault))
            if rejects is None:
                raise DataError(str(reject)) from None
            rejects.append(reject)


def _listed(choices: list[tuple[str, ...]]) -> str:
    return " or ".join(" and ".join(choice) for choice in dict.fromkeys(choices))
