"""Designs: what can be told apart is what is said, and effects come out as they were put in."""

from itertools import combinations

import numpy as np
import pytest
from tests.common.scores import outcome_of

from bertram.errors import BertramError
from bertram.experiments.design import Design, fractional, full, leave_one_out, one_at_a_time, sign
from bertram.experiments.effects import effects


@pytest.mark.parametrize(
    ("factors", "resolution", "cells", "found"),
    [
        (3, 3, 4, 3),
        (4, 4, 8, 4),
        (5, 5, 16, 5),
        (6, 4, 16, 4),
        (7, 4, 16, 4),
        (8, 4, 16, 4),
        (7, 3, 8, 3),
        (6, 5, 32, 6),
    ],
)
def test_the_smallest_fractions_are_those_of_the_tables(factors: int, resolution: int, cells: int, found: int) -> None:
    """Box, Hunter & Hunter (2005), table 6.22."""
    design = fractional("abcdefghij"[:factors], resolution)
    assert (len(design.cells), design.resolution) == (cells, found)


@pytest.mark.parametrize("design", [full("abcd"), fractional("abcdef", 4), fractional("abcdefg", 3)])
def test_columns_are_balanced_and_main_effects_orthogonal(design: Design) -> None:
    columns = np.array([[sign(cell, 1 << number) for number in range(len(design.factors))] for cell in design.cells])
    assert (columns.T @ columns == len(design.cells) * np.eye(len(design.factors))).all()
    assert (columns.sum(0) == 0).all()
    assert len(set(design.cells)) == len(design.cells)


def test_interactions_stand_alone_only_where_the_design_allows() -> None:
    assert [effect.name for effect in full("abc").effects()] == ["a", "b", "c", "a×b", "a×c", "b×c"]
    half = fractional("abcd", 4)
    assert half.generators == ("d = a×b×c",)
    assert [effect.name for effect in half.effects()] == ["a", "b", "c", "d", "a×b + c×d", "a×c + b×d", "a×d + b×c"]
    third = fractional("abc", 3)
    assert [effect.name for effect in third.effects()] == ["a + b×c", "b + a×c", "c + a×b"]
    assert all(not effect.aliases for effect in fractional("abcde", 5).effects())
    assert [effect.name for effect in leave_one_out("abc").effects()] == ["a", "b", "c"]
    assert any("a×b + c×d" in line for line in half.in_words())


def test_refused() -> None:
    with pytest.raises(BertramError, match="--design full"):
        fractional("abc", 4)
    with pytest.raises(BertramError, match="not 1"):
        full("a")


@pytest.mark.parametrize("design", [full("abcd"), fractional("abcd", 4), fractional("abcde", 3)])
def test_effects_come_out_as_they_were_put_in(design: Design) -> None:
    generator = np.random.default_rng(0)
    count = len(design.factors)
    masks = [1 << n for n in range(count)] + [1 << a | 1 << b for a, b in combinations(range(count), 2)]
    truth = dict(zip(masks, generator.normal(size=len(masks)), strict=True))  # of each effect, half of it per level
    named = {"×".join(f for n, f in enumerate(design.factors) if mask >> n & 1): truth[mask] for mask in masks}
    scores = {
        str(number): {
            seed: sum(value * sign(cell, mask) / 2 for mask, value in truth.items()) + shift
            for seed, shift in enumerate((0.0, 3.0))
        }
        for number, cell in enumerate(design.cells)
    }
    found = effects(design, *outcome_of(scores))
    assert len(found) == len(design.effects())
    for effect in found:
        assert effect.effect == pytest.approx(sum(named[part] for part in effect.name.split(" + ")))


def test_leaving_one_out_measures_it_with_all_others_on() -> None:
    design = leave_one_out("ab")
    scores = {"0": 0.9, "1": 0.7, "2": 0.85}  # all, without a, without b
    found = effects(design, *outcome_of({cell: dict.fromkeys(range(3), value) for cell, value in scores.items()}))
    assert [effect.effect for effect in found] == pytest.approx([0.2, 0.05])


def test_one_at_a_time_measures_each_factor_with_all_others_off() -> None:
    design = one_at_a_time("ab")
    assert design.cells == ((False, False), (True, False), (False, True))
    scores = {"0": 0.6, "1": 0.7, "2": 0.55}  # none, a alone, b alone
    found = effects(design, *outcome_of({cell: dict.fromkeys(range(3), value) for cell, value in scores.items()}))
    assert [effect.name for effect in found] == ["a", "b"]
    assert [effect.effect for effect in found] == pytest.approx([0.1, -0.05])
    assert any("all others off" in line for line in design.in_words())
