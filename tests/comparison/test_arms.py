"""One rule for what makes an arm, for every command: only the seed and what cannot change a result may differ."""

from dataclasses import dataclass
from typing import Any

import pytest
from tests.common.records import record_of, scores

from bertram import options
from bertram.comparison.arms import arms, by_configuration
from bertram.config import Config
from bertram.minbert.catalogue import recipe
from bertram.runs.record import Record
from bertram.runs.record_parts import DataFile, Merged

CONFIG = recipe("quick")


@dataclass(frozen=True)
class Recorded:
    config: Config
    record: Record | None = None


def changed(**changes: Any) -> Record:
    return record_of(CONFIG, scores({}), **changes)


@pytest.mark.parametrize(
    "change", [{"log": {"every": 7}}, {"threads": 3}, {"device": "cpu"}, {"data": "elsewhere"}, {"recipe": "mine"}]
)
def test_what_cannot_change_a_result_makes_no_other_arm(change: dict[str, Any]) -> None:
    runs = {"a": Recorded(CONFIG), "b": Recorded(options.change(CONFIG, seed=1, **change))}
    assert by_configuration(runs) == [{CONFIG.seed: "a", 1: "b"}]


def test_options_other_data_files_and_merged_runs_make_other_arms() -> None:
    runs = {
        "a": Recorded(CONFIG),
        "lr": Recorded(options.change(CONFIG, seed=1, optimizer={"lr": 1e-3})),
        "data": Recorded(options.change(CONFIG, seed=2), changed(data={"sst": DataFile("other", 1, 0)})),
        "soup": Recorded(options.change(CONFIG, seed=3), changed(merged=Merged("soup", "all", [], []))),
    }
    assert [list(group.values()) for group in by_configuration(runs)] == [["a"], ["lr"], ["data"], ["soup"]]


def test_a_second_run_with_one_seed_is_an_arm_of_its_own() -> None:
    runs = {"a": Recorded(CONFIG), "again": Recorded(CONFIG)}
    assert [list(group.values()) for group in by_configuration(runs)] == [["a"], ["again"]]


def test_arms_are_named_by_what_their_runs_have_in_common() -> None:
    warm = options.change(CONFIG, optimizer={"warmup_ratio": 0.5})
    runs = {
        "plain-seed0": Recorded(CONFIG),
        "plain-seed1": Recorded(options.change(CONFIG, seed=1)),
        "warm-seed0": Recorded(warm),
        "warm-seed1": Recorded(options.change(warm, seed=1)),
    }
    assert [arm.name for arm in arms(runs)] == ["plain", "warm"]
