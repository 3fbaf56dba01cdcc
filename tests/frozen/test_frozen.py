"""Twelve short trainings give the numbers in frozen.json; see `freeze`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.common.quick import quick_only
from tests.frozen import freeze

TOLERANCE = 1e-4
"""Largest difference elsewhere, relative for numbers above 1: ten times that of AVX2 or scalar kernels to AVX512."""
SMART_TOLERANCE = 5e-3
"""The same with SMART, whose ascent amplifies rounding: eight times the difference of these kernels."""
SMART = {"04-smart-one-task", "05-smart-all", "06-bregman-momentum", "08-pcgrad-epoch"}
RECORD: dict[str, Any] = json.loads(freeze.FROZEN.read_text(encoding="utf-8"))
ELSEWHERE = [f"{key} is {value}" for key, value in freeze.platform_facts().items() if value != RECORD["made"][key]]

Outcome = Callable[[str], dict[str, Any]]
each = pytest.mark.parametrize("name", freeze.NAMES)
QUICK = {"01-plain-cross", "07-pcgrad-step"}
"""Configurations that the quick tests train."""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The outcome of a configuration, which is trained once."""
    directory = tmp_path_factory.mktemp("frozen")
    encoder: Path = freeze.save_encoder(directory / "encoder")
    outcomes: dict[str, dict[str, Any]] = {}

    def train(name: str) -> dict[str, Any]:
        if name not in outcomes:
            outcomes[name] = freeze.train(name, encoder, directory / name)
        return outcomes[name]

    return train


@pytest.mark.slow
@each
def test_a_training_gives_the_frozen_numbers_within_the_tolerance(name: str, outcome: Outcome) -> None:
    now, frozen = (dict(freeze.numbers(values)) for values in (outcome(name), RECORD["outcomes"][name]))
    tolerance = SMART_TOLERANCE if name in SMART else TOLERANCE
    assert now.keys() == frozen.keys()
    for place, values in frozen.items():
        assert now[place] == pytest.approx(values, rel=tolerance, abs=tolerance, nan_ok=True), place


@pytest.mark.skipif(bool(ELSEWHERE), reason=f"bits differ between installations: {', '.join(ELSEWHERE)}")
@pytest.mark.parametrize("name", quick_only(QUICK, freeze.NAMES))
def test_a_training_gives_the_frozen_bits(name: str, outcome: Outcome) -> None:
    assert not freeze.differences(name, outcome(name), RECORD["outcomes"][name])


def test_every_configuration_is_frozen() -> None:
    assert len(freeze.NAMES) == 12
    assert list(RECORD["outcomes"]) == freeze.NAMES
