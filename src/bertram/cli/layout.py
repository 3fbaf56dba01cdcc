"""The layout of help texts and lists, and the types that commands share."""

import shutil
import textwrap
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bertram.cli.failures import UsageError
from bertram.standard_streams import is_dash

MOST_COLUMNS = 100

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
"""A switch that is off unless it is named."""

FileOrDash = Annotated[Path, Parameter(allow_leading_hyphen=True)]
"""A file, or ``-`` for standard input or output."""

Words = Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]
"""Words that no parameter of the command takes: ``--field value`` for fields of the configuration."""


def refuse_second_dash(files: Mapping[str, Path | None]) -> None:
    """Refuse a command line that reads standard input as two files.

    Args:
        files: name of each argument -> its file; None for one that is not given.

    Raises:
        UsageError: two of them are ``-``.
    """
    dashes = [name for name, path in files.items() if path is not None and is_dash(path)]
    if len(dashes) > 1:
        raise UsageError(f"{' and '.join(dashes)}: standard input (-) can stand for one file only; name the other")


def columns() -> int:
    """Columns of the terminal (80 if there is none), at most 100, so that lines stay readable."""
    return min(shutil.get_terminal_size((80, 24)).columns, MOST_COLUMNS)


def filled(text: str) -> str:
    """Paragraphs wrapped to the terminal; lines that are indented stay as they are."""
    blocks = [block.split("\n") for block in text.strip("\n").split("\n\n")]
    width = columns()
    return "\n\n".join(
        "\n".join(block) if any(line.startswith(" ") for line in block) else textwrap.fill(" ".join(block), width)
        for block in blocks
    )


def unwrapped(docstring: str) -> str:
    """A docstring with one line per paragraph, so that help is wrapped only by the width of the terminal.

    Lines of the same indentation are joined; names of parameters, which have no indentation, and the heading of their
    section are not.
    """
    body, heading, parameters = docstring.partition("Parameters\n----------\n")
    joined = "\n\n".join(" ".join(block.split("\n")) for block in body.strip("\n").split("\n\n"))
    lines: list[str] = []
    for is_text, group in groupby(parameters.splitlines(), key=lambda line: line.startswith(" ")):
        texts = [line.strip() for line in group]
        lines += ["    " + " ".join(texts)] if is_text else texts
    return "\n".join([joined, "", heading + "\n".join(lines)])
