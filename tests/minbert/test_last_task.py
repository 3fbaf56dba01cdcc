"""The claim that a model is best on the task it saw last, from runs whose truth is known."""

from pathlib import Path

import pytest
from tests.common.studies import made_up_run

from bertram import options
from bertram.comparison.verdict import Decision, Reason
from bertram.config import Config
from bertram.errors import DataError
from bertram.minbert import rows as e
from bertram.minbert.last_task import ALL_TASKS, claim, last_task
from bertram.runs.directory import Run

TASKS = ("sst", "quora", "sts")
QUALITY = {"sst": 0.5, "quora": 0.6, "sts": 0.5}


def rotation(first: str | None, seed: int = 0) -> Config:
    return options.change(e.e4(), seed=seed, sampling={"first_task": first})


def rotations(out: Path, gain: float, seeds: int = 3, first_tasks: tuple[str, ...] = TASKS) -> list[Run]:
    """Runs of each rotation that are better by `gain` on the task that they saw last."""
    configs = [rotation(first, seed) for first in first_tasks for seed in range(seeds)]
    return [
        made_up_run(
            out / f"{config.sampling.first_task}-{config.seed}",
            config,
            {name: quality + gain * (name == last_task(config)) for name, quality in QUALITY.items()},
        )
        for config in configs
    ]


def test_the_task_before_the_first_one_is_the_last() -> None:
    assert [last_task(rotation(first)) for first in (None, *TASKS)] == ["sts", "sts", "sst", "quora"]
    assert last_task(e.e8()) is None  # rotating: the last task changes
    assert last_task(e.e9()) is None  # joint: all come last


def test_a_gain_that_is_there_is_seen_on_each_task(tmp_path: Path) -> None:
    result = claim([*rotations(tmp_path, 0.3), made_up_run(tmp_path / "joint", e.e9(), QUALITY)])
    assert list(result.evidence) == [ALL_TASKS, *TASKS]
    assert result.evidence[ALL_TASKS].verdict.decision is Decision.BETTER
    together, *tasks = (row.effect for row in result.evidence.values() if row.effect is not None)
    on_unit_scale = [effect / (2 if name == "sts" else 1) for name, effect in zip(TASKS, tasks, strict=True)]
    assert together == pytest.approx(sum(on_unit_scale) / 3)
    assert tasks[:2] == pytest.approx([0.3, 0.3], abs=0.12)
    assert result.sentences()[0].startswith(f"{ALL_TASKS}: seen last is better than seen earlier")
    assert result.notes == ["Every run saw about 100 examples of each task."]


@pytest.mark.slow
def test_a_loss_counts_against_the_claim_and_nothing_is_not_called_something(tmp_path: Path) -> None:
    worse = claim(rotations(tmp_path / "worse", -0.3)).evidence[ALL_TASKS]
    assert worse.verdict.decision is Decision.WORSE
    nothing = claim(rotations(tmp_path / "nothing", 0.0)).evidence[ALL_TASKS]
    assert nothing.verdict.decision not in (Decision.BETTER, Decision.WORSE)


def test_fewer_than_three_seeds_give_no_verdict(tmp_path: Path) -> None:
    row = claim(rotations(tmp_path, 0.3, seeds=2)).evidence[ALL_TASKS]
    assert row.effect is not None
    assert row.verdict.reason is Reason.TOO_FEW_SEEDS


def test_what_is_no_test_of_the_claim_is_refused(tmp_path: Path) -> None:
    runs = rotations(tmp_path, 0.3, seeds=1, first_tasks=("sst", "quora"))
    with pytest.raises(DataError, match="no run has quora last"):
        claim(runs)
    twice = made_up_run(tmp_path / "twice", options.change(rotation("sst"), threads=1), QUALITY)
    with pytest.raises(DataError, match=r"sst-0 and .*twice both have sts last and seed 0"):  # not 2 configurations
        claim([*runs, twice])
    other = options.change(rotation("sts"), optimizer={"lr": 1e-4})
    with pytest.raises(DataError, match="2 configurations"):
        claim([*runs, made_up_run(tmp_path / "other", other, QUALITY)])
    with pytest.raises(DataError, match="0 configurations"):
        claim([made_up_run(tmp_path / "joint", e.e9(), QUALITY)])
