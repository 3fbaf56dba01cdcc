"""Provenance of a run: software, machine, commit and time."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from bertram.runs.record_parts import Host, Provenance

PACKAGES = ("bertram", "torch", "numpy", "tokenizers", "safetensors")


def provenance(device: torch.device) -> Provenance:
    """Versions, host, commit and time, as they are now.

    Args:
        device: device that the model computes on.
    """
    host = Host(
        system=platform.system(),
        machine=platform.machine(),
        python=platform.python_version(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        device=str(device),
    )
    versions = {name: version(name) for name in PACKAGES}
    return Provenance(versions, host, _git_commit(), datetime.now(UTC).isoformat(timespec="seconds"))


def peak_memory_mib() -> int | None:
    """The most memory that this process has had so far, MiB; None where the operating system does not say."""
    try:
        import resource  # noqa: PLC0415 - Linux and macOS have it
    except ModuleNotFoundError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 1024**2


def _git_commit() -> str | None:
    """The commit of BERTram's own checkout; None where the package is installed, also inside another repository."""
    root = Path(__file__).resolve().parents[3]
    if not ((root / ".git").exists() and (root / "src" / "bertram" / "runs").is_dir()):
        return None
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],
            capture_output=True, text=True, check=True, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip()
