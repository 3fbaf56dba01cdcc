"""Output to the terminal: results on standard output, messages on standard error.

Control characters in texts from data files, runs or other programs are made visible here, so that a terminal never
obeys them. Characters that the terminal cannot encode are replaced here.
"""

import codecs
import io
import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

PIPE_COLUMNS = 100  # a pipe or file has no width of its own
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
ASCII = {"–": "-", "−": "-", "…": "...", "×": "x", "≥": ">=", "≤": "<=", "≈": "~", "±": "+/-", "·": "-", "→": "->"}
ENCODING_ERRORS = "bertram.terminal"


def prepare() -> None:
    """Replace characters that standard output or error cannot encode, instead of failing on them."""
    codecs.register_error(ENCODING_ERRORS, _replacement)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ENCODING_ERRORS)


def printable(text: str) -> str:
    """The text with every control character but tab and newline replaced by a visible one."""
    return CONTROL.sub(lambda match: _visible(match[0]), text)


def say(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def console(*, stderr: bool = False) -> "Console":
    """Console for tables and results; a pipe or file gets lines of up to 100 characters."""
    from bertram.cli.safe_console import SafeConsole  # noqa: PLC0415  (rich loads only now)

    target = SafeConsole(stderr=stderr, highlight=False, markup=False)
    if not target.is_terminal and "COLUMNS" not in os.environ:
        target.width = PIPE_COLUMNS
    return target


def working(activity: str) -> "Status":
    """A message beside a spinner during a slow operation; nothing without a terminal."""
    return console(stderr=True).status(activity)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode has a picture for each, such as ␛
    return "␡" if code == 0x7F else "\ufffd"


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    replaced = "".join(ASCII.get(character) or _escaped(character) for character in text)
    return replaced, error.end


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode("ascii")
