"""Looks of a study that runs until it is decided: kept, gone on with, and never remade with other data."""

from pathlib import Path

import numpy as np
import pytest
from tests.common.scores import outcome_of

from bertram.comparison.evidence import scores_of
from bertram.comparison.verdict import Decision
from bertram.errors import RunError
from bertram.experiments.design import leave_one_out
from bertram.experiments.effects import contrasts
from bertram.experiments.looks import (
    Look,
    Plan,
    decided,
    first_seeds,
    look_lines,
    make_look,
    needed_arms,
    open_effects,
    read_looks,
    write_looks,
)

DESIGN = leave_one_out("ab")
PLAN = Plan(("a", "b"), "overall", 0.005, 8)


def looked(looks: list[Look], seeds: int, spread: float = 1e-5) -> Look:
    """A look at a large effect of a, and at noise of b."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(3, seeds))
    values = {"0": 0.7 + 0 * noise[0], "1": 0.6 + spread * noise[1], "2": 0.7 + 0.02 * noise[2]}
    scored, arms = outcome_of({cell: dict(enumerate(row.tolist())) for cell, row in values.items()})
    return make_look(PLAN, looks, contrasts(DESIGN), scores_of(scored[0], arms), arms, seeds)


def test_decided_effects_stop_and_so_do_configurations_that_serve_no_open_one() -> None:
    first = looked([], 3)
    assert first.decisions == {"a": "better"}
    assert open_effects(PLAN, [first]) == ["b"]
    assert needed_arms(contrasts(DESIGN), ["a", "b"]) == {"0", "1", "2"}
    assert needed_arms(contrasts(DESIGN), ["b"]) == {"0", "2"}
    assert first_seeds([]) == 3
    assert first_seeds([first]) == 4
    second = looked([first], 4)
    assert list(second.effects) == ["b"]
    assert second.runs == sorted(f"{cell}-{seed}" for cell in ("0", "2") for seed in range(4))
    assert decided([first, second]) == {"a": Decision.BETTER}


def test_looks_are_kept_and_read_by_the_same_plan_alone(tmp_path: Path) -> None:
    assert read_looks(tmp_path, PLAN) == []
    looks = [looked([], 3)]
    write_looks(tmp_path, PLAN, looks)
    assert read_looks(tmp_path, PLAN) == looks
    with pytest.raises(RunError, match="of another study"):
        read_looks(tmp_path, Plan(("a", "b"), "overall", 0.005, 9))


def test_a_look_without_all_its_runs_is_refused() -> None:
    scored, arms = outcome_of({"0": {0: 0.7, 1: 0.7, 2: 0.7}, "1": {0: 0.6, 1: 0.6}, "2": {0: 0.7, 1: 0.7, 2: 0.7}})
    with pytest.raises(RunError, match="no look after 3 seeds: runs of a are missing"):
        make_look(PLAN, [], contrasts(DESIGN), scores_of(scored[0], arms), arms, 3)


def test_looks_in_words() -> None:
    lines = look_lines({"effects": ["a", "b"], "max_seeds": 8}, [{"seeds": 3, "decisions": {"a": "better"}}])
    assert lines == ["look after 3 seeds of at most 8: a better decided", "open: b"]
