"""Parameters of which the quick tests take a few, and `make test` all."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def quick_only(quick: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """The values of a parameter, all but those in `quick` marked slow."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
