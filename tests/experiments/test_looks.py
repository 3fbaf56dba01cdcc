"""Looks of a study that runs until it is decided: kept, gone on with, and never remade with other data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.common.scores import outcome_of

from bertram.comparison.verdict import Decision, Verdict
from bertram.errors import RunError
from bertram.experiments.design import leave_one_out
from bertram.experiments.effects import contrasts
from bertram.experiments.looks import (
    Look,
    Plan,
    decided,
    is_over,
    look_lines,
    make_look,
    needed_arms,
    next_seeds,
    open_effects,
    read_looks,
    refuse_looks,
    verdict_of,
    write_looks,
)

DESIGN = leave_one_out("ab")
PLAN = Plan(("a", "b"), "overall", 0.005, 8, {"0": "x", "1": "y", "2": "z"})


def looked(looks: list[Look], seeds: int, spread: float = 1e-5) -> Look:
    """A look at a large effect of a, and at noise of b."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(3, seeds))
    values = {"0": 0.7 + 0 * noise[0], "1": 0.6 + spread * noise[1], "2": 0.7 + 0.02 * noise[2]}
    scored, arms = outcome_of({cell: dict(enumerate(row.tolist())) for cell, row in values.items()})
    return make_look(PLAN, looks, contrasts(DESIGN), scored[0], arms)


@pytest.mark.slow
def test_decided_effects_stop_and_so_do_configurations_that_serve_no_open_one() -> None:
    first = looked([], 3)
    assert first.decisions == {"a": "better"}
    assert open_effects(PLAN, [first]) == ["b"]
    assert needed_arms(contrasts(DESIGN), ["a", "b"]) == {"0", "1", "2"}
    assert needed_arms(contrasts(DESIGN), ["b"]) == {"0", "2"}
    assert next_seeds([]) == 3
    assert next_seeds([first]) == 4
    second = looked([first], 4)
    assert list(second.effects) == ["b"]
    assert second.runs == sorted(f"{cell}-{seed}" for cell in ("0", "2") for seed in range(4))
    assert decided([first, second]) == {"a": Decision.BETTER}
    assert verdict_of("a", [first, second]) == Verdict(Decision.BETTER, detail="decided by the look after 3 seeds")
    assert verdict_of("b", [first, second]) == Verdict(Decision.UNDECIDED, detail="open after 4 seeds")
    assert not is_over(PLAN, [first, second])
    assert is_over(replace(PLAN, max_seeds=4), [first, second])


def test_looks_are_kept_and_read_by_the_same_plan_alone(tmp_path: Path) -> None:
    assert read_looks(tmp_path, PLAN) == []
    looks = [looked([], 3)]
    write_looks(tmp_path, PLAN, looks)
    assert read_looks(tmp_path, PLAN) == looks
    for other, difference in (
        (replace(PLAN, max_seeds=9), "the largest number of seeds is 8 there and 9 here"),
        (replace(PLAN, effects=("a",)), "it decides a, b"),
        (replace(PLAN, primary="sst"), "the primary outcome is overall there and sst here"),
        (replace(PLAN, configurations={"0": "x"}), "its configurations or data are others"),
    ):
        with pytest.raises(RunError, match=rf"of another study \({difference}\)"):
            read_looks(tmp_path, other)
    with pytest.raises(RunError, match="continue it with --until-decided"):
        refuse_looks(tmp_path)


def test_a_look_without_all_its_runs_is_refused() -> None:
    scored, arms = outcome_of({"0": {0: 0.7, 1: 0.7, 2: 0.7}, "1": {0: 0.6, 1: 0.6}, "2": {0: 0.7, 1: 0.7, 2: 0.7}})
    with pytest.raises(RunError, match="no look after 3 seeds: runs are missing of 1"):
        make_look(PLAN, [], contrasts(DESIGN), scored[0], arms)


def test_a_look_at_an_undefined_score_is_refused() -> None:
    scored, arms = outcome_of({cell: {0: 0.7, 1: 0.6, 2: 0.7} for cell in "012"})
    runs = {run: score for run, score in scored[0].runs.items() if run != "1-2"}
    outcome = replace(scored[0], runs=runs, undefined={"1-2": "all predictions are the same"})
    with pytest.raises(RunError, match="overall is undefined: 1-2: all predictions are the same"):
        make_look(PLAN, [], contrasts(DESIGN), outcome, arms)


def test_effects_of_equal_predictions_are_decided_and_of_equal_scores_are_not() -> None:
    scored, arms = outcome_of({cell: {0: 0.7, 1: 0.6, 2: 0.8} for cell in "012"})
    runs = {run: replace(score, answers=hash(run[-1]) if run[0] != "2" else 0) for run, score in scored[0].runs.items()}
    look = make_look(PLAN, [], contrasts(DESIGN), replace(scored[0], runs=runs), arms)
    assert look.decisions == {"a": "same predictions"}


def test_looks_in_words() -> None:
    looks = [Look(3, {"a": 0.1, "b": 0.0}, {"a": "better"}, ["0-0"])]
    assert look_lines(PLAN, looks) == ["look after 3 seeds of at most 8: a better", "open: b"]
    assert look_lines(None, []) == []
