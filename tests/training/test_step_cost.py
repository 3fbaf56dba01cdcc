"""What a step costs beside another: the same configuration costs the same, and a penalty costs more."""

from pathlib import Path
from typing import Any

import pytest
from tests.common.commands import call

from bertram import options, recipes
from bertram.config import Config
from bertram.experiments.equal_time import read_step_costs
from bertram.experiments.study_tables import read_json
from bertram.training.step_cost import step_cost


def baseline(encoder: Path, **changes: Any) -> Config:
    return options.change(recipes.baseline(), encoder=str(encoder), threads=1, precision="fp32", **changes)


@pytest.mark.slow
def test_a_penalty_makes_a_step_dearer(tiny_encoder: Path) -> None:
    smart = baseline(tiny_encoder, smart={"tasks": ["all"]})
    assert step_cost(smart, baseline(tiny_encoder), rounds=3) > 1.2


@pytest.mark.slow
def test_the_same_configuration_costs_the_same(tiny_encoder: Path) -> None:
    assert step_cost(baseline(tiny_encoder), baseline(tiny_encoder)) == pytest.approx(1.0, rel=0.5)


@pytest.mark.slow
def test_a_study_at_equal_time_measures_once_and_is_not_mixed_with_another(tiny_encoder: Path, tmp_path: Path) -> None:
    words = [
        "ablate", "--factors", "smart-all,mse", "--design", "one-at-a-time", "--seeds", 1, "--recipe", "e4",
        "--encoder", tiny_encoder, "--threads", 1, "--epochs", 1, "--fraction", 0.1, "--max-eval-samples", 20,
        "--out", tmp_path / "out",
    ]  # fmt: skip
    assert call(*words, "--equal-time").code == 0
    costs = read_step_costs(tmp_path / "out")
    assert costs is not None
    assert list(costs.ratios) == ["none", "smart-all", "mse"]
    assert costs.ratios["none"] == 1
    assert costs.ratios["smart-all"] > 1.2
    assert "at equal time" in read_json(tmp_path / "out" / "ablation.json")["title"]
    again = call(*words, "--equal-time")
    assert again.code == 0
    assert read_step_costs(tmp_path / "out") == costs
    mixed = call(*words)
    assert mixed.code == 1
    assert "equal time" in mixed.err
