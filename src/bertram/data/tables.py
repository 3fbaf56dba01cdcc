"""Tables of texts in CSV, TSV, JSONL, JSON, Parquet or Excel: every row with its place, or with what is wrong with it.

Text formats are read line by line, so that a fault is known by its physical line, costs only its own row, and files
of any length stream.
"""

import difflib
import gzip
import io
import itertools
import json
import logging
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol

from bertram.data.delimited import Header, header_fields, read_header, split_rows
from bertram.data.lines import Line, read_lines, split_at_cr
from bertram.errors import DataError
from bertram.standard_streams import DASH, is_dash, open_bytes
from bertram.task_files import Quoting

Format = Literal["csv", "tsv", "jsonl", "json", "parquet", "xlsx"]
FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
BLANK_ROWS = 1000  # above a header, as far as they are counted
OTHER_ENDINGS = {
    ".xls": "an old Excel file; save it as .xlsx or CSV UTF-8",
    ".ods": "a spreadsheet; save it as CSV",
    ".bz2": "a compressed file that is not read; decompress it by bunzip2",
    ".xz": "a compressed file that is not read; decompress it by unxz",
    ".zip": "an archive; unpack it",
}
COMPRESSED = (".gz", ".zst")
DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
_URL = re.compile(r"(?:https?|ftp|s3|gs|hf):/", re.IGNORECASE)  # pathlib makes one slash of two
COLUMNS_SHOWN, COLUMNS_COMPARED = 40, 1000  # in a message, and with a name that is missing
LINES_WITH_KEYS = 100  # of a JSONL file, whose keys are the columns; others are looked for where they are needed


class Digest(Protocol):
    """A hash as `hashlib` has them."""

    def update(self, data: bytes, /) -> None:
        """Take in some bytes."""


class Record(NamedTuple):
    """One row, with the values that the file has."""

    line: int  # from 1; in a Parquet file the number of the row
    values: Mapping[str, object]
    fault: str  # empty for a sound row


@dataclass(frozen=True)
class Table:
    """A file's columns, and the way to its rows.

    Attributes:
        name: the file, for messages.
        columns: names as in the header.
        header: header of a delimited file; None for other formats.
        read: gives the records with at least the columns asked for; to be called once.
        find_late: looks on for columns that the first rows do not have; None where a header has them all.
    """

    name: str
    columns: tuple[str, ...]
    header: Header | None
    read: Callable[[Sequence[str]], Iterator[Record]]
    find_late: Callable[[set[str]], set[str]] | None = None

    def require(self, names: Iterable[str]) -> None:
        """Check that the columns are there, once each.

        Raises:
            DataError: the column that is missing, with the nearest one or the delimiter that would show it.
        """
        needed = set(names)
        for name in sorted(needed & set(self.columns)):
            if self.columns.count(name) > 1:
                raise DataError(f"{self.name}: the header names the column {name!r} more than once")
        lacking = needed - set(self.columns)
        missing = sorted(lacking - self.find_late(lacking) if lacking and self.find_late else lacking)
        if not missing:
            return
        for delimiter, words in DELIMITERS.items():
            header = self.header
            if header and delimiter != header.delimiter and needed <= set(header_fields(header.text, delimiter)):
                used = DELIMITERS.get(header.delimiter, repr(header.delimiter))
                raise DataError(
                    f"{self.name}: its columns are separated by {words}, but it is read as separated by {used}; "
                    "use tabs (.tsv, .csv), commas or semicolons (.csv)"
                )
        close = difflib.get_close_matches(missing[0], self.columns[:COLUMNS_COMPARED], 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        named = ", ".join(repr(name) for name in missing)
        raise DataError(f"{self.name}: no column {named}{hint} (the columns are: {self.listed_columns()})")

    def listed_columns(self) -> str:
        """The names of the first columns, and how many more there are."""
        names = [column or "(no name)" for column in self.columns[:COLUMNS_SHOWN]]
        hidden = len(self.columns) - len(names)
        return ", ".join(names) + (f" and {hidden:,} more" if hidden else "")


@contextmanager
def open_table(
    path: Path, encoding: str | None = None, quoting: Quoting = "auto", digest: Digest | None = None
) -> Iterator[Table]:
    """The table in a file, its format known by the ending of its name.

    Args:
        path: file of the table, or - for standard input: JSONL, a JSON list, or a delimited table.
        encoding: text encoding; default: UTF-8, or what a byte order mark says.
        quoting: meaning of quotes in a delimited file; default: standard, except where they would swallow rows.
        digest: hash that takes in the whole file while it is read once.

    Raises:
        DataError: the file is missing, empty, of an unknown format or encoding, or its header is not text.
    """
    refuse_url(path)
    if is_dash(path):
        with open_lines(path, encoding, digest) as lines:
            yield _sniffed_table(lines, quoting)
        return
    form = FORMATS.get(ending(path))
    if form is None and ending(path) in OTHER_ENDINGS:
        raise DataError(f"{path}: {OTHER_ENDINGS[ending(path)]}")
    if form is None:
        raise DataError(f"{path}: a file's name must end in {', '.join(FORMATS)}, or in one of them and .gz or .zst")
    if form in ("parquet", "xlsx"):
        yield _parquet(path, digest) if form == "parquet" else _workbook(path, digest)
        return
    with open_lines(path, encoding, digest) as lines:
        yield text_table(lines, form, str(path), quoting)


@contextmanager
def open_lines(path: Path, encoding: str | None = None, digest: Digest | None = None) -> Iterator[Iterator[Line]]:
    """The lines of a file, which may be compressed by gzip or Zstandard.

    Args:
        path: file of text, or - for standard input; decompressed if its name ends in .gz or .zst.
        encoding: text encoding; default: UTF-8, or what a byte order mark says.
        digest: hash that takes in the whole content while it is read.

    Raises:
        DataError: it cannot be opened or decompressed, or the encoding is unknown.
    """
    refuse_url(path)
    compressed = path.suffix.lower() in COMPRESSED
    try:
        file = open_bytes(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        chunks: Iterator[bytes] = _decompressed(file, path) if compressed else iter(file)
        if digest is None:
            yield read_lines(chunks, encoding)
            return
        chunks = _hashed(chunks, digest)
        yield read_lines(chunks, encoding)
        deque(chunks, maxlen=0)  # to the end of the file


def ending(path: Path) -> str:
    """The ending of a file's name in small letters, without that of a compression."""
    return (path.with_suffix("") if path.suffix.lower() in COMPRESSED else path).suffix.lower()


def refuse_url(path: Path | str) -> None:
    """Raise DataError for an address in the place of a file."""
    if _URL.match(str(path)):
        address = re.sub(r":/+", "://", str(path), count=1)
        raise DataError(f"{address}: an address; download the file, and name the file")


def _sniffed_table(lines: Iterator[Line], quoting: Quoting) -> Table:
    """The table in standard input, whose first line shows its format."""
    first = next(lines, None)
    if first is None:
        raise DataError("standard input is empty; it needs a header and rows")
    start = first.text.lstrip()[:1]
    form: Format = "jsonl" if start == "{" else "json" if start == "[" else "csv"
    return text_table(itertools.chain([first], lines), form, DASH, quoting)


def _decompressed(file: BinaryIO, path: Path) -> Iterator[bytes]:
    if path.suffix.lower() == ".gz":
        try:
            with gzip.open(file, "rb") as stream:
                yield from stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: a damaged gzip file: {_first_line(error)}") from None
        return
    try:
        import zstandard  # noqa: PLC0415 - rarely needed, and an extra
    except ImportError:
        raise DataError(f"{path}: needs the package zstandard: pip install 'bertram[files]', or zstd -d") from None
    try:
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as reader:
            yield from io.BufferedReader(reader)
    except (EOFError, zstandard.ZstdError) as error:
        raise DataError(f"{path}: a damaged Zstandard file: {_first_line(error)}") from None


def _hashed(chunks: Iterable[bytes], digest: Digest) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def text_table(lines: Iterator[Line], form: Format, name: str, quoting: Quoting = "auto") -> Table:
    """The table in the lines of a text file, of which no more are taken than needed.

    Raises:
        DataError: the file is empty or its header is not text.
    """
    lines = split_at_cr(lines)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{name}: the file is empty; it needs a header and rows")
    lines = itertools.chain([first], lines)
    if form == "jsonl" or (form == "json" and first.text.lstrip().startswith("{")):
        return _json_lines(lines, name)
    if form == "json":
        return _json_list(lines, name)
    return _delimited(lines, "\t" if form == "tsv" else None, name, quoting)


def plain_table(lines: Iterator[Line], pair: bool, name: str) -> Table:
    """A text in each line, or two with a tab between them; the columns are ``text``, or ``text1`` and ``text2``."""
    columns = ("text1", "text2") if pair else ("text",)

    def read(_names: Sequence[str]) -> Iterator[Record]:
        for line in lines:
            texts = line.text.split("\t") if pair else [line.text]
            fault = line.fault or ("" if len(texts) == len(columns) else "not two texts with one tab between them")
            yield Record(line.number, {} if fault else dict(zip(columns, texts, strict=True)), fault)

    return Table(name, columns, None, read)


def _delimited(lines: Iterator[Line], delimiter: str | None, name: str, quoting: Quoting) -> Table:
    header, below = read_header(lines, delimiter, quoting)
    if header.fault:
        raise DataError(f"{name}: {header.fault}")

    def read(_names: Sequence[str]) -> Iterator[Record]:
        for line, fields, fault in split_rows(below, header, quoting):
            yield Record(line, {} if fault else dict(zip(header.columns, fields, strict=True)), fault)

    return Table(name, header.columns, header, read)


def _json_lines(lines: Iterator[Line], name: str) -> Table:
    records = (_json_record(line) for line in lines)
    first = list(itertools.islice(records, LINES_WITH_KEYS))
    columns = tuple(dict.fromkeys(key for record in first for key in record.values))
    if not columns:
        fault = first[0].fault or "an empty object"
        raise DataError(f"{name}:1: {fault}; each line must be a JSON object (plain texts: --input-format text)")

    def read(_names: Sequence[str]) -> Iterator[Record]:
        return itertools.chain(first, records)

    def find_late(names: set[str]) -> set[str]:
        found: set[str] = set()
        for record in records:
            first.append(record)
            found |= names & record.values.keys()
            if found == names:
                break
        return found

    return Table(name, columns, None, read, None if name == DASH else find_late)


def _json_list(lines: Iterator[Line], name: str) -> Table:
    """The table in a JSON list of objects; a record's line is its number in the list."""
    content = list(lines)
    if faulty := next((line for line in content if line.fault), None):
        raise DataError(f"{name}:{faulty.number}: {faulty.fault}")
    items, fault = _parsed("\n".join(line.text for line in content))
    if not isinstance(items, list):
        raise DataError(f"{name}: {fault or 'not a list'}; the file must hold a list of JSON objects")
    records = [
        Record(number, item, "") if isinstance(item, dict) else Record(number, {}, "not a JSON object")
        for number, item in enumerate(items, start=1)
    ]
    columns = tuple(dict.fromkeys(key for record in records for key in record.values))
    return Table(name, columns, None, lambda _: iter(records))


def _json_record(line: Line) -> Record:
    if line.fault or not line.text:
        return Record(line.number, {}, line.fault or "empty line")
    value, fault = _parsed(line.text)
    if isinstance(value, dict):
        return Record(line.number, value, "")
    return Record(line.number, {}, fault or "not a JSON object")


def _parsed(text: str) -> tuple[object, str]:
    """The value of JSON text, and the reason why there is none."""
    try:
        return json.loads(text), ""
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, character {error.colno}" if "\n" in text else f"character {error.pos + 1}"
        return None, f"not JSON: {error.msg} at {place}"
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets within brackets
        return None, "not JSON that can be read"


def _content(path: Path, digest: Digest | None) -> bytes:
    """The bytes of a file, which `digest` takes in."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if digest is not None:
        digest.update(content)
    return content


def _parquet(path: Path, digest: Digest | None) -> Table:
    import polars  # noqa: PLC0415 - only this format needs it

    content = _content(path, digest)

    def read(names: Sequence[str]) -> Iterator[Record]:
        try:
            frame = polars.read_parquet(io.BytesIO(content), columns=list(dict.fromkeys(names)))
        except (polars.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{path}: the Parquet file is damaged: {_first_line(error)}") from None
        return (Record(number, row, "") for number, row in enumerate(frame.iter_rows(named=True), start=1))

    try:
        columns = tuple(polars.read_parquet_schema(io.BytesIO(content)))
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read: {_first_line(error)}") from None
    return Table(str(path), columns, None, read)


def _workbook(path: Path, digest: Digest | None) -> Table:
    """The only sheet of an Excel file that has rows; a row's line is its number in the sheet."""
    import polars  # noqa: PLC0415 - only this format and Parquet need it

    content = _content(path, digest)
    logging.getLogger("fastexcel").setLevel(logging.ERROR)  # it warns of each empty column
    try:
        read_sheets: Callable[..., dict[str, polars.DataFrame]] = polars.read_excel
        sheets = read_sheets(
            io.BytesIO(content),
            sheet_id=0,
            engine="calamine",
            infer_schema_length=None,
            drop_empty_rows=False,
            raise_if_empty=False,
        )
    except ImportError:
        raise DataError(f"{path}: needs the package fastexcel: pip install 'bertram[files]', or save as CSV") from None
    except Exception as error:  # the reader below has error classes of its own
        raise DataError(f"{path}: not an Excel file that can be read: {_first_line(error)}") from None
    filled = {name: sheet for name, sheet in sheets.items() if sheet.height}
    if len(filled) != 1:
        names = f" ({', '.join(filled)})" if filled else ""
        raise DataError(f"{path}: {len(filled)} sheets with rows{names}; the file must have one, or save one as CSV")
    ((sheet_name, sheet),) = filled.items()
    header = _blank_rows(content, sheet_name) + 1

    def read(_names: Sequence[str]) -> Iterator[Record]:
        for number, row in enumerate(sheet.iter_rows(named=True), start=header + 1):
            if any(value is not None for value in row.values()):
                yield Record(number, row, "")

    return Table(str(path), tuple(sheet.columns), None, read)


def _blank_rows(content: bytes, sheet_name: str) -> int:
    """Number of blank rows above the header of a sheet, which the reader of sheets skips."""
    import fastexcel  # noqa: PLC0415 - only this format needs it

    sheet = fastexcel.read_excel(content).load_sheet(sheet_name, header_row=None, skip_rows=0, n_rows=BLANK_ROWS)
    cells = sheet.to_polars().iter_rows()
    return next((number for number, row in enumerate(cells) if any(value is not None for value in row)), 0)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
