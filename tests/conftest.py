"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked ``real_data`` where the course files are not at ``../shared/data``."""
    if REAL_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason="the real data are not at ../shared/data")
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of the course files."""
    return REAL_DATA


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a tiny random BERT, for `--encoder`."""
    from tiny import save_encoder

    return save_encoder(tmp_path_factory.mktemp("encoder"))
