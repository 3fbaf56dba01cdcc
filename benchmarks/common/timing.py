"""Times of several things that take turns in one process, so that the drift of a machine touches all of them alike."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bertram.model.linear import choose_precision

Times = dict[str, list[float]]  # seconds of each round, by name


def alternate(turns: Mapping[str, Callable[[int], object]], rounds: int, warm_up: int) -> Times:
    """Let everything run once a round, in an order that rotates from round to round.

    Args:
        turns: by name; each gets the number of the round, the warm-up rounds included.
        rounds: that count.
        warm_up: rounds before them, which do not.
    """
    found: Times = {name: [] for name in turns}
    names = list(turns)
    for number in range(warm_up + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            begun = time.perf_counter()
            turns[name](number)
            if number >= warm_up:
                found[name].append(time.perf_counter() - begun)
    return found


def spread(values: Sequence[float], digits: int = 5) -> dict[str, float]:
    """Median and quartiles."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return {"median": round(median, digits), "low": round(low, digits), "high": round(high, digits)}


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, float]:
    """How many times longer the first took than the second, round by round."""
    return spread([a / b for a, b in zip(slow, fast, strict=True)], digits=3)


def why_not_bf16() -> str | None:
    """Why bf16 is not worth timing on this processor; None where it is."""
    capability = torch.backends.cpu.get_cpu_capability()
    if "AVX512" not in capability and "SVE" not in capability:
        return "no bf16 instructions"
    if choose_precision("auto", torch.device("cpu")) == "fp32":
        return "matrix products in bf16 are not faster than in fp32"
    return None


def host() -> dict[str, Any]:
    """What the times depend on beside the code."""
    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """The processor's name where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def forget_peak_memory() -> None:
    """Let the peak be counted from now on, where the system can; else it stays that of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mib() -> int:
    """The largest memory this process had since `forget_peak_memory`, in MiB.

    Linux keeps it by process image; what `resource` reports would count the parent's memory for a forked child.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    import resource  # noqa: PLC0415  (not on every system)

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
