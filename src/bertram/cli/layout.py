"""The layout of help texts and lists, and the types that commands share."""

import shutil
from typing import Annotated

from cyclopts import Parameter

MOST_COLUMNS = 100

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
"""A switch that is off unless it is named."""

Words = Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]
"""Words that no parameter of the command takes: ``--field value`` for fields of the configuration."""


def columns() -> int:
    """Columns of the terminal (80 if there is none), at most 100, so that lines stay readable."""
    return min(shutil.get_terminal_size((80, 24)).columns, MOST_COLUMNS)
