"""Tables of texts in CSV, TSV, JSONL or Parquet: every row with its place, or with what is wrong with it.

Text formats are read line by line, so that a fault is known by its physical line, costs only its own row, and files
of any length stream.
"""

import csv
import difflib
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from bertram.errors import DataError

Format = Literal["csv", "tsv", "jsonl", "parquet"]
FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
LINES_OF_A_FIELD = 10_000  # a quote that is not closed within so many lines is a fault of its line
LINES_WITH_KEYS = 100  # of a JSONL file, in which every column must occur
csv.field_size_limit(2**31 - 1)  # a text may be longer than the module's default of 131,072 characters


class Record(NamedTuple):
    """One row as it stands in the file."""

    line: int  # from 1; in a Parquet file the number of the row
    values: Mapping[str, object]
    fault: str  # empty for a sound row


@dataclass(frozen=True)
class Table:
    """A file's columns, and the way to its rows.

    Attributes:
        name: the file, for messages.
        columns: names as in the header.
        header: the header line of a delimited file, otherwise empty.
        delimiter: of a delimited file, otherwise empty.
        read: gives the records with at least the columns asked for; to be called once.
    """

    name: str
    columns: tuple[str, ...]
    header: str
    delimiter: str
    read: Callable[[Sequence[str]], Iterator[Record]]

    def require(self, names: Iterable[str]) -> None:
        """Check that the columns are there, once each.

        Raises:
            DataError: the column that is missing, with the nearest one or the delimiter that would show it.
        """
        wanted = set(names)
        for name in sorted(wanted & set(self.columns)):
            if self.columns.count(name) > 1:
                raise DataError(f"{self.name}: the header names the column {name!r} more than once")
        missing = sorted(wanted - set(self.columns))
        if not missing:
            return
        for other, words in DELIMITERS.items():
            if self.header and other != self.delimiter and wanted <= set(header_fields(self.header, other)):
                used = DELIMITERS[self.delimiter]
                raise DataError(
                    f"{self.name}: its columns are separated by {words}, but it is read as separated by {used}; "
                    "use tabs (.tsv, .csv), commas or semicolons (.csv)"
                )
        close = difflib.get_close_matches(missing[0], self.columns, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        there = ", ".join(column or "(no name)" for column in self.columns)
        lacking = ", ".join(repr(name) for name in missing)
        raise DataError(f"{self.name}: no column {lacking}{hint} (the columns are: {there})")


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """The table in a file, its format known by the ending of its name.

    Raises:
        DataError: the file is missing, empty, of an unknown format or not UTF-8 at all.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise DataError(f"{path}: a file's name must end in {', '.join(FORMATS)}")
    if form == "parquet":
        yield _parquet(path)
        return
    with open_lines(path) as lines:
        yield text_table(lines, form, str(path))


@contextmanager
def open_lines(path: Path) -> Iterator[Iterable[bytes]]:
    """The lines of a file.

    Raises:
        DataError: it cannot be opened.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    with stream:
        yield stream


def peek(lines: Iterable[bytes], name: str) -> tuple[bytes, Iterator[bytes]]:
    """The first line, and all lines with it.

    Raises:
        DataError: there is none.
    """
    rest = iter(lines)
    first = next(rest, None)
    if first is None:
        raise DataError(f"{name}: it is empty")
    return first, itertools.chain([first], rest)


def text_table(lines: Iterable[bytes], form: Format, name: str) -> Table:
    """The table in the lines of a text file, of which no more are taken than needed.

    Raises:
        DataError: the file is empty or its header is not UTF-8.
    """
    decoded = _decode(lines)
    first = next(decoded, None)
    if first is None:
        raise DataError(f"{name}: the file is empty; it needs a header and rows")
    if form == "jsonl":
        return _json_lines(itertools.chain([first], decoded), name)
    if first.fault or "\0" in first.text:
        raise DataError(f"{name}:1: the header is not UTF-8 text; save the file as UTF-8")
    return _delimited(first.text, decoded, "\t" if form == "tsv" else _delimiter(first.text), name)


def plain_table(lines: Iterable[bytes], pair: bool, name: str) -> Table:
    """A text in each line, or two with a tab between them; the columns are ``text``, or ``text1`` and ``text2``."""
    columns = ("text1", "text2") if pair else ("text",)

    def read(_names: Sequence[str]) -> Iterator[Record]:
        for line in _decode(lines):
            texts = line.text.split("\t") if pair else [line.text]
            fault = line.fault or ("" if len(texts) == len(columns) else "not two texts with one tab between them")
            yield Record(line.number, {} if fault else dict(zip(columns, texts, strict=True)), fault)

    return Table(name, columns, "", "", read)


class _Line(NamedTuple):
    number: int
    text: str  # without its end
    fault: str


def _decode(lines: Iterable[bytes]) -> Iterator[_Line]:
    """Numbered lines of text, without the empty ones at the end of the file."""
    empty: list[_Line] = []
    for number, raw in enumerate(lines, start=1):
        sound = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        try:
            line = _Line(number, sound.decode().rstrip("\r\n"), "")
        except UnicodeDecodeError:
            line = _Line(number, sound.decode(errors="replace").rstrip("\r\n"), "bytes that are not UTF-8")
        if not line.text:
            empty.append(line)
            continue
        yield from empty
        empty.clear()
        yield line


def _delimiter(header: str) -> str:
    if "\t" in header or not ("," in header or ";" in header):
        return "\t"
    return max(",;", key=header.count)


def header_fields(header: str, delimiter: str | None = None) -> list[str]:
    """The column names in a header line, its delimiter told from the line itself unless it is given."""
    delimiter = delimiter or _delimiter(header)
    return [field.strip() for field in next(csv.reader([header], delimiter=delimiter))]


def _delimited(header: str, lines: Iterator[_Line], delimiter: str, name: str) -> Table:
    columns = tuple(header_fields(header, delimiter))

    def read(_names: Sequence[str]) -> Iterator[Record]:
        for line, fields, unreadable in _split(lines, delimiter):
            ragged = f"the number of fields is {len(fields)}, not {len(columns)}" if any(fields) else "empty line"
            fault = unreadable or ("" if len(fields) == len(columns) else ragged)
            yield Record(line, {} if fault else dict(zip(columns, fields, strict=True)), fault)

    return Table(name, columns, header, delimiter, read)


def _split(lines: Iterator[_Line], delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """Each row's first line, fields and fault; quoted fields may hold delimiters and line ends."""
    ahead: deque[_Line] = deque()  # read in the search for a closing quote, and given back
    for first in _draw(ahead, lines):
        if '"' not in first.text:
            yield first.number, first.text.split(delimiter), first.fault
            continue
        taken: list[_Line] = []
        rest = itertools.chain([first], itertools.islice(_draw(ahead, lines), LINES_OF_A_FIELD))
        try:
            fields = next(csv.reader(_noted(rest, taken), delimiter=delimiter, strict=True))
        except csv.Error:
            # Only this line is given up: what an unclosed quote would swallow are rows of their own.
            ahead.extendleft(reversed(taken[1:]))
            yield first.number, [], first.fault or 'a field opens with " that is not closed, or not doubled inside'
        else:
            yield first.number, fields, next((line.fault for line in taken if line.fault), "")


def _draw(ahead: deque[_Line], lines: Iterator[_Line]) -> Iterator[_Line]:
    while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
        yield line


def _noted(lines: Iterable[_Line], taken: list[_Line]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line.text + "\n"


def _json_lines(lines: Iterator[_Line], name: str) -> Table:
    records = (_json_record(line) for line in lines)
    first = list(itertools.islice(records, LINES_WITH_KEYS))
    columns = tuple(dict.fromkeys(key for record in first for key in record.values))
    if not columns:
        raise DataError(f"{name}:1: {first[0].fault or 'an empty object'}; each line must be a JSON object")

    def read(_names: Sequence[str]) -> Iterator[Record]:
        return itertools.chain(first, records)

    return Table(name, columns, "", "", read)


def _json_record(line: _Line) -> Record:
    fault, value = line.fault, None
    if not fault:
        try:
            value = json.loads(line.text)
        except json.JSONDecodeError as error:
            fault = f"not JSON: {error.msg} at character {error.pos + 1}" if line.text else "empty line"
        except (ValueError, RecursionError):  # a number of thousands of digits, brackets within brackets
            fault = "not JSON that can be read"
        else:
            fault = "" if isinstance(value, dict) else "not a JSON object"
    return Record(line.number, value if isinstance(value, dict) else {}, fault)


def _parquet(path: Path) -> Table:
    import polars  # noqa: PLC0415 - only this format needs it

    def read(names: Sequence[str]) -> Iterator[Record]:
        try:
            frame = polars.read_parquet(path, columns=list(dict.fromkeys(names)))
        except (polars.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{path}: the Parquet file is damaged: {_first_line(error)}") from None
        return (Record(number, row, "") for number, row in enumerate(frame.iter_rows(named=True), start=1))

    try:
        columns = tuple(polars.read_parquet_schema(path))
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read: {_first_line(error)}") from None
    return Table(str(path), columns, "", "", read)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
