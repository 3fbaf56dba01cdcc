"""What a bf16 product costs when the number of rows is any number, or a multiple of 64, on this processor.

    python -m benchmarks.training.row_multiples       less than a minute

The four kinds of products of a MiniLM layer, forward and backward, for batches of 500 to 1,500 packed tokens, another
number each, as in training; the row-wise filled ones pay for the rows added. Writes results/measurements/rows.json.
"""

import argparse
import json
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common.records import MEASUREMENTS, versions, write
from benchmarks.common.timing import alternate, host, ratio, spread, why_not_bf16
from bertram.model.linear import ROWS

SIZES = ((384, 384), (384, 768), (384, 1536), (1536, 384))  # inputs, outputs
ROUNDS, WARM_UP, BATCHES, THREADS = 9, 1, 30, 2


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--out", type=Path, default=MEASUREMENTS / "rows.json")
    out = given.parse_args().out
    torch.set_num_threads(THREADS)
    if why := why_not_bf16():
        raise SystemExit(f"nothing to measure: {why}")
    draw = random.Random(0)
    rows = [[draw.randint(500, 1500) for _ in range(BATCHES)] for _ in range(ROUNDS + WARM_UP)]
    turns = {
        f"{name}, {dtype}".replace("torch.", ""): lambda number, fill=fill, dtype=dtype: products(
            [fill(one) for one in rows[number]], dtype
        )
        for dtype in (torch.bfloat16, torch.float32)
        for name, fill in (("any", lambda count: count), ("filled", lambda count: -(-count // ROWS) * ROWS))
    }
    times = alternate(turns, ROUNDS, WARM_UP)
    results = {
        "any_over_filled": {
            "bf16": ratio(times["any, bfloat16"], times["filled, bfloat16"]),
            "fp32": ratio(times["any, float32"], times["filled, float32"]),
        },
        "fp32_over_bf16": {
            "any": ratio(times["any, float32"], times["any, bfloat16"]),
            "filled": ratio(times["filled, float32"], times["filled, bfloat16"]),
        },
        "seconds": {name: spread(found) for name, found in times.items()},
    }
    settings = {
        "sizes": SIZES, "rows": [500, 1500], "multiple": ROWS, "batches": BATCHES, "rounds": ROUNDS, "threads": THREADS,
    }  # fmt: skip
    record = {
        "script": "benchmarks.training.row_multiples", "host": host(), "settings": settings,
        "versions": versions(("bertram", "torch")),
        "results": results,
    }  # fmt: skip
    write(out, record)
    print(json.dumps(results, indent=1))


def products(rows: list[int], dtype: torch.dtype) -> None:
    """Each product of a layer and its two gradients, for several batches."""
    for count in rows:
        for inputs, outputs in SIZES:
            x = torch.ones(count, inputs, dtype=dtype, requires_grad=True)
            weight = torch.ones(outputs, inputs, dtype=dtype, requires_grad=True)
            y: Tensor = F.linear(x, weight)
            torch.autograd.grad(y, [x, weight], torch.ones_like(y))


if __name__ == "__main__":
    main()
