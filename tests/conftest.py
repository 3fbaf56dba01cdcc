"""Fixtures shared by all tests."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Test processes run side by side: one thread each, and for what they start. Set before the first import of PyTorch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test depends on how fast the machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked ``real_data`` where the course files are not at ``../shared/data``."""
    if REAL_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason="the real data are not at ../shared/data")
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Exempt what collecting has loaded from garbage collection, which would walk it thousands of times."""
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of the course files."""
    return REAL_DATA


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a tiny random BERT, for `--encoder`."""
    from tests.common.encoders import save_encoder

    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def tiny_runs(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with finished runs of a tiny model: `cross-0`, `cross-1`, and `bi-0`, which encodes text by text."""
    from tests.common.trainings import tiny_config

    from bertram.training.train import train

    directory = tmp_path_factory.mktemp("runs")
    bi = {name: {"encoding": "bi", "head": "cosine"} for name in ("quora", "sts")}
    train(tiny_config(tiny_encoder), directory / "cross-0")
    train(tiny_config(tiny_encoder, seed=1), directory / "cross-1")
    train(tiny_config(tiny_encoder, tasks=bi), directory / "bi-0")
    return directory
