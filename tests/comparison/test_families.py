"""Holm's correction, and the two families of a table."""

import numpy as np
import pytest

from bertram.comparison.families import corrected
from bertram.evaluation.holm import holm, holm_rows


def test_holm_by_hand_and_against_its_level() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    p_values = np.random.default_rng(5).random((4000, 6))
    assert np.mean(holm_rows(p_values).min(axis=1) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert holm_rows(p_values)[17].tolist() == holm(p_values[17].tolist())


def test_primary_tests_are_corrected_alone_and_all_others_for_the_whole_table() -> None:
    p_values = [0.01, None, 0.04, 0.02, 0.001]
    primary = [True, True, True, False, False]
    adjusted = corrected(p_values, primary)
    assert adjusted[:3] == [pytest.approx(0.02), None, pytest.approx(0.04)]
    assert adjusted[3:] == pytest.approx(holm([0.01, 0.04, 0.02, 0.001])[2:])


def test_neither_family_holds_a_false_verdict_too_often() -> None:
    """28 tests, 4 of them primary; Holm within each of 4 outcomes let a quarter of the tables hold one."""
    primary = np.array([True] * 4 + [False] * 24)
    tables = np.random.default_rng(6).random((4000, 28)).tolist()
    adjusted = np.array([corrected(row, primary.tolist()) for row in tables], dtype=float)
    assert np.mean(adjusted[:, primary].min(axis=1) < 0.05) <= 0.055
    assert np.mean(adjusted[:, ~primary].min(axis=1) < 0.05) <= 0.055
