"""What the processor can compute in int8."""

import platform
from pathlib import Path

FULL_RANGE = 127
SATURATING = 63  # largest weight where the sum of two products must fit into 16 bits


def weight_levels() -> int:
    """The largest int8 weight that this processor multiplies without saturation.

    Processors with VNNI or its like add products of 8 bits in 32 bits. On others of the x86 family the sum of two of
    them must fit into 16 bits, which seven bits a weight ensure.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return FULL_RANGE
    try:
        features = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return SATURATING
    return FULL_RANGE if "avx512_vnni" in features or "avx_vnni" in features else SATURATING
