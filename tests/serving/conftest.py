"""A finished run to serve."""

from pathlib import Path

import pytest
from tests.common import trainings

from bertram.runs.directory import Run
from bertram.training.train import train


@pytest.fixture(scope="session")
def run(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = trainings.tiny_config(tiny_encoder, sampling={"epochs": 1})
    return train(config, tmp_path_factory.mktemp("runs") / "served")
