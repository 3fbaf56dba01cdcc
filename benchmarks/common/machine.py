"""The facts of a machine that times and memory depend on."""

import contextlib
from pathlib import Path
from typing import Any

import torch

from bertram.model.linear import choose_precision
from bertram.runs import provenance


def host() -> dict[str, Any]:
    """Processor, its vector instructions, and the number of threads."""
    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def reason_against_bf16() -> str | None:
    """The reason why bf16 is not worth timing on this processor; None where it is worth timing."""
    capability = torch.backends.cpu.get_cpu_capability()
    if "AVX512" not in capability and "SVE" not in capability:
        return "no bf16 instructions"
    if choose_precision("auto", torch.device("cpu")) == "fp32":
        return "matrix products in bf16 are not faster than in fp32"
    return None


def reset_peak_memory() -> None:
    """Count the peak from now on where the system can; elsewhere it stays the peak of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mib() -> int:
    """Peak memory of this process since `reset_peak_memory`, in MiB.

    Linux keeps it by process image; `resource` would count the parent's memory for a forked child.

    Raises:
        RuntimeError: the system does not tell it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    peak = provenance.peak_memory_mib()
    if peak is None:
        raise RuntimeError("this system does not tell the peak memory of a process")
    return peak


def _processor() -> str:
    """The processor's name where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
