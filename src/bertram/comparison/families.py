"""Corrections for many tests: one primary outcome, and all else in one secondary family.

Holm's correction (1979) over the main effects on the primary outcome is what "significant" means there. Everything else
in a table is corrected for all of its rows: Holm within each outcome let 26 % of the tables without any effect hold a
false verdict.
"""

from collections.abc import Sequence

from bertram.evaluation.holm import holm


def corrected(p_values: Sequence[float | None], primary: Sequence[bool]) -> list[float | None]:
    """The corrected p-value of each row of a table; None where there is no test.

    Args:
        p_values: p-value of each row.
        primary: True for each row of the primary family.
    """
    every = _holm_of(p_values, [True] * len(p_values))
    return [
        main if first else all_ for first, main, all_ in zip(primary, _holm_of(p_values, primary), every, strict=True)
    ]


def _holm_of(p_values: Sequence[float | None], chosen: Sequence[bool]) -> list[float | None]:
    """Holm's correction over the chosen rows that have a test."""
    tested = {row: p for row, p in enumerate(p_values) if p is not None and chosen[row]}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [adjusted.get(row) for row in range(len(p_values))]
