"""Numbered lines of text from the bytes of a file or a pipe.

The encoding is UTF-8 unless a byte order mark or the caller names another one. A line ends with LF or CR LF; if the
first line shows that a table ends its lines with CR alone, they are split there.
"""

import codecs
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bertram.errors import DataError

BYTE_ORDER_MARKS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
FILE_OPTIONS = "files.{0}; hub.{0}, extra.{0} or unlabelled.{0} for a file of that table; --{0}"
REMEDY = f"if the text has another encoding, set it ({FILE_OPTIONS.format('encoding')})"
_UNDECODABLE = "\udcff"  # stands for bytes that the encoding does not have; no decoder makes it otherwise
_QUOTED = re.compile(r'(?:^|(?<=[\t,;]))"(?:[^"]|"")*"')
codecs.register_error("bertram.undecodable", lambda error: (_UNDECODABLE, error.end))  # type: ignore[attr-defined]


class Line(NamedTuple):
    """One line of text.

    Attributes:
        number: position in the file, from 1.
        text: content without the line end.
        fault: reason why the line cannot be read; empty for a sound line.
    """

    number: int
    text: str
    fault: str


def read_lines(source: Iterable[bytes], encoding: str | None = None) -> Iterator[Line]:
    """The lines of a text, without empty ones at its end.

    Args:
        source: lines of bytes, each with its LF.
        encoding: name of a Python codec; default: UTF-8. A byte order mark goes before either.

    Raises:
        DataError: Python has no codec of this name.
    """
    return _without_empty_end(_decoded(iter(source), encoding))


def split_at_cr(lines: Iterator[Line]) -> Iterator[Line]:
    """The same lines, or shorter ones if the first line has a CR outside quotes: then lines end with CR."""
    first = next(lines, None)
    if first is None:
        return
    lines = itertools.chain([first], lines)
    if "\r" not in outside_quotes(first.text):
        yield from lines
        return
    pieces = ((text, line.fault) for line in lines for text in line.text.split("\r"))
    yield from _without_empty_end(Line(number, text, fault) for number, (text, fault) in enumerate(pieces, start=1))


def outside_quotes(text: str) -> str:
    """A line of a table without its quoted fields."""
    return _QUOTED.sub("", text)


def _decoded(chunks: Iterator[bytes], encoding: str | None) -> Iterator[Line]:
    first = next(chunks, None)
    if first is None:
        return
    codec = _codec(first, encoding)
    for number, decoded in enumerate(_texts(itertools.chain([first], chunks), codec), start=1):
        text = (decoded.removeprefix("\ufeff") if number == 1 else decoded).rstrip("\r\n")
        fault = ""
        if _UNDECODABLE in text:
            text = text.replace(_UNDECODABLE, "\ufffd")
            fault = f"bytes that are not {codec.upper()}; {REMEDY}"
        yield Line(number, text, fault)


def _codec(first: bytes, encoding: str | None) -> str:
    """Name of the codec that reads a text, from its first bytes and the encoding that the caller names."""
    for mark, codec in BYTE_ORDER_MARKS.items():
        if first.startswith(mark):
            return codec
    try:
        name = codecs.lookup(encoding or "utf-8").name
        "".encode(name)  # raises LookupError for codecs of bytes, such as hex
    except LookupError:
        raise DataError(f"unknown encoding {encoding!r}; usual ones are utf-8, utf-16, cp1252 and latin-1") from None
    return name


def _texts(chunks: Iterator[bytes], codec: str) -> Iterator[str]:
    if "\n".encode(codec) == b"\n":  # so that a line of bytes is a line of text
        yield from (chunk.decode(codec, "bertram.undecodable") for chunk in chunks)
        return
    decoder = codecs.getincrementaldecoder(codec)("bertram.undecodable")
    partial = ""
    try:
        for chunk in chunks:
            *whole, partial = (partial + decoder.decode(chunk)).split("\n")
            yield from whole
        partial += decoder.decode(b"", final=True)
    except UnicodeError as error:  # such as UTF-16 without the mark that it begins with
        raise DataError(f"the text is not {codec.upper()}: {error}") from None
    if partial:
        yield partial


def _without_empty_end(lines: Iterator[Line]) -> Iterator[Line]:
    empty: list[Line] = []
    for line in lines:
        if not line.text:
            empty.append(line)
            continue
        yield from empty
        empty.clear()
        yield line
