"""Rows of comma- or tab-separated text, each with its lines.

A quoted field may hold delimiters, doubled quotes and line ends. Many tab-separated files do not quote, though: there a
text that begins with a quote would swallow the rows up to the next quote. So a field whose lines would each be a whole
row is a fault, unless `quoting` says what quotes mean.
"""

import csv
import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from bertram.data.lines import FILE_OPTIONS, Line, outside_quotes
from bertram.data.lines import REMEDY as SET_ENCODING
from bertram.task_files import Quoting

LINES_OF_A_FIELD = 10_000  # a quote that is not closed within so many lines is a fault of its line
LINES_OF_A_HEADER = 100
REMEDY = f"set quoting ({FILE_OPTIONS.format('quoting')}) to none if quotes are ordinary characters"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE | re.DOTALL)
_FIELD_OPENS = re.compile(r'(?:^|[\t,;])"')
LONGEST_FIELD = 2**31 - 1  # characters; the csv module's default of 131,072 is too short for some texts


class Header(NamedTuple):
    """The first row of a table.

    Attributes:
        columns: names of the columns.
        text: text of the row in the file.
        delimiter: one character.
        fault: reason why it cannot be read; empty for a sound header.
    """

    columns: tuple[str, ...]
    text: str
    delimiter: str
    fault: str


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        line: number of the line in which the row begins.
        fields: content of each column; without a meaning if there is a fault.
        fault: reason why the row cannot be used; empty for a sound row.
    """

    line: int
    fields: list[str]
    fault: str


def read_header(lines: Iterator[Line], delimiter: str | None, quoting: Quoting) -> tuple[Header, Iterator[Line]]:
    """The header of a table, and the lines below it.

    Args:
        lines: lines of the file, at least one.
        delimiter: one character; default: the one that the header shows. A line ``sep=;`` before it, as Excel writes,
            goes before either.
        quoting: meaning of quotes.
    """
    first = next(lines)
    if separator := _SEPARATOR_LINE.fullmatch(first.text):
        delimiter = separator[1]
        first = next(lines, Line(2, "", "there is no header"))
    header_lines = [first]
    if quoting != "none":
        while (
            _is_open(header_lines) and len(header_lines) < LINES_OF_A_HEADER and (line := next(lines, None)) is not None
        ):
            header_lines.append(line)
        if _is_open(header_lines):  # a quote that belongs to a name
            lines = itertools.chain(header_lines[1:], lines)
            header_lines = [first]
    text = _joined(header_lines)
    fault = next(
        (line.fault for line in header_lines if line.fault),
        f"the header holds NUL bytes; {SET_ENCODING}" if "\0" in text else "",
    )
    used = delimiter or likely_delimiter(text)
    return Header(tuple(header_fields(text, used, quoting)), text, used, fault), lines


def likely_delimiter(header: str) -> str:
    """The delimiter that a header shows: a tab if there is one, or if there is nothing else."""
    bare = outside_quotes(header)
    if "\t" in bare or not ("," in bare or ";" in bare):
        return "\t"
    return max(",;", key=bare.count)


def header_fields(header: str, delimiter: str, quoting: Quoting = "auto") -> list[str]:
    """The column names in a header, separated by `delimiter`."""
    fields = header.split(delimiter)
    if quoting != "none" and '"' in header:
        with suppress(csv.Error):
            fields = _parse([line + "\n" for line in header.split("\n")], delimiter, strict=False)
    return [field.strip() for field in fields]


def split_rows(lines: Iterator[Line], header: Header, quoting: Quoting) -> Iterator[Row]:
    """The rows below a header; one whose number of fields differs from the header's has a fault."""
    width = len(header.columns)
    for line, fields, unreadable in _split(lines, header.delimiter, width, quoting):
        ragged = f"the number of fields is {len(fields)}, not {width}" if any(fields) else "empty line"
        yield Row(line, fields, unreadable or ("" if len(fields) == width else ragged))


def _split(lines: Iterator[Line], delimiter: str, width: int, quoting: Quoting) -> Iterator[Row]:
    ahead: deque[Line] = deque()  # read in the search for a closing quote, and given back
    for first in _draw(ahead, lines):
        fault = first.fault or _cr_fault(first.text)
        if quoting == "none" or '"' not in first.text:
            yield Row(first.number, first.text.split(delimiter), fault)
            continue
        row_lines: list[Line] = []
        rest = itertools.chain([first], itertools.islice(_draw(ahead, lines), LINES_OF_A_FIELD))
        try:
            fields = _parse(_noted(rest, row_lines), delimiter, strict=True)
        except csv.Error:
            # Only this line is given up: what an unclosed quote would swallow are rows of their own.
            ahead.extendleft(reversed(row_lines[1:]))
            fault = fault or f'a field opens with " that is not closed, or not doubled inside; {REMEDY}'
            yield Row(first.number, [], fault)
            continue
        if quoting == "auto" and len(row_lines) > 1 and all(_is_whole(line, delimiter, width) for line in row_lines):
            yield from _swallowed(row_lines, width)
        else:
            yield Row(first.number, fields, next((line.fault for line in row_lines if line.fault), ""))


def _parse(lines: Iterable[str], delimiter: str, *, strict: bool) -> list[str]:
    """The fields of the first row; the csv module's limit, which the whole process shares, is put back."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        return next(csv.reader(lines, delimiter=delimiter, strict=strict))
    finally:
        csv.field_size_limit(before)


def _is_whole(line: Line, delimiter: str, width: int) -> bool:
    """True if a line would be a row by itself where quotes are ordinary characters."""
    return line.text.count(delimiter) + 1 == width


def _swallowed(lines: list[Line], width: int) -> Iterator[Row]:
    """A fault for each of the lines that quotes would make one row."""
    span = f"lines {lines[0].number} to {lines[-1].number}"
    fields = "1 field" if width == 1 else f"{width} fields"
    fault = f"a quoted field would make one row of {span}, each of which has {fields}; {REMEDY}, to standard if not"
    yield Row(lines[0].number, [], fault)
    yield from (Row(line.number, [], f"see line {lines[0].number}") for line in lines[1:])


def _cr_fault(text: str) -> str:
    if "\r" not in text or "\r" not in outside_quotes(text):
        return ""
    return "a line end (CR) inside a line; end all lines with LF, or quote the field"


def _is_open(lines: list[Line]) -> bool:
    return _FIELD_OPENS.search(outside_quotes(_joined(lines))) is not None


def _joined(lines: Iterable[Line]) -> str:
    return "\n".join(line.text for line in lines)


def _draw(ahead: deque[Line], lines: Iterator[Line]) -> Iterator[Line]:
    while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
        yield line


def _noted(lines: Iterable[Line], log: list[Line]) -> Iterator[str]:
    for line in lines:
        log.append(line)
        yield line.text + "\n"
