"""With what, where and when a run was made."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("bertram", "torch", "numpy", "tokenizers", "safetensors")


def provenance(device: torch.device) -> dict[str, Any]:
    """The part of a record that says with which versions, on which host, from which commit and when.

    Args:
        device: on which the model computes.
    """
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "host": {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version(),
                 "cores": os.cpu_count(), "threads": torch.get_num_threads(), "device": str(device)},
        "git_commit": _git_commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def peak_memory_mib() -> int | None:
    """The most memory that this process has had so far, MiB; None where the operating system does not say."""
    try:
        import resource  # noqa: PLC0415 - Linux and macOS have it
    except ModuleNotFoundError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 1024**2


def _git_commit() -> str | None:
    """The commit of the working tree that runs, if it is one."""
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],
            capture_output=True, text=True, check=True, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
