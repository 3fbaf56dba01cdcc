"""The cost of a bf16 product with any number of rows, or a multiple of 64, on this processor.

    python -m benchmarks.training.row_multiples   less than a minute

The four kinds of products of a MiniLM layer, forward and backward, for batches of 500 to 1,500 packed tokens, another
number each, as in training; the filled ones pay for the rows added. Writes results/measurements/rows.json.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common import machine, timing
from benchmarks.common.records import MEASUREMENTS, versions, write
from bertram.model.task_rows import ROWS

SIZES = ((384, 384), (384, 768), (384, 1536), (1536, 384))  # inputs, outputs
THREADS = 2
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
NAMES = {"bf16": "bfloat16", "fp32": "float32"}  # of the records
FILLINGS: dict[str, Callable[[int], int]] = {  # functions from a number of rows to the number multiplied
    "any": lambda count: count,
    "filled": lambda count: -(-count // ROWS) * ROWS,
}


@dataclass(frozen=True)
class Repetitions:
    """How often the products are multiplied.

    Attributes:
        batches: number of batches in a round.
        rounds: number of timed rounds.
        warm_up: number of rounds before them that are not timed.
    """

    batches: int = 30
    rounds: int = 9
    warm_up: int = 1


def measure(repetitions: Repetitions) -> dict[str, Any]:
    """Times of the products in both precisions, with any number of rows and with filled rows."""
    draw = random.Random(0)
    rounds = repetitions.rounds + repetitions.warm_up
    rows = [[draw.randint(500, 1500) for _ in range(repetitions.batches)] for _ in range(rounds)]

    def turn(dtype: torch.dtype, fill: Callable[[int], int]) -> timing.Turn:
        return lambda number: multiply([fill(count) for count in rows[number]], dtype)

    turns = {(f, p): turn(DTYPES[p], FILLINGS[f]) for p, f in product(DTYPES, FILLINGS)}
    times = timing.alternate(turns, repetitions.rounds, repetitions.warm_up)
    return {
        "any_over_filled": {p: timing.ratio(times["any", p], times["filled", p]) for p in DTYPES},
        "fp32_over_bf16": {f: timing.ratio(times[f, "fp32"], times[f, "bf16"]) for f in FILLINGS},
        "seconds": {f"{f}, {NAMES[p]}": timing.quartiles(seconds) for (f, p), seconds in times.items()},
    }


def multiply(rows: Sequence[int], dtype: torch.dtype) -> None:
    """Each product of a layer and its two gradients, for each number of rows."""
    for count in rows:
        for inputs, outputs in SIZES:
            x = torch.ones(count, inputs, dtype=dtype, requires_grad=True)
            weight = torch.ones(outputs, inputs, dtype=dtype, requires_grad=True)
            y: Tensor = F.linear(x, weight)
            torch.autograd.grad(y, [x, weight], torch.ones_like(y))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=MEASUREMENTS, help="folder of the record")
    out = parser.parse_args(arguments).out
    torch.set_num_threads(THREADS)
    if reason := machine.reason_against_bf16():
        raise SystemExit(f"nothing to measure: {reason}")
    repetitions = Repetitions()
    settings = {"sizes": SIZES, "rows": [500, 1500], "multiple": ROWS, "threads": THREADS, **asdict(repetitions)}
    results = measure(repetitions)
    print(json.dumps(results, indent=1))
    record = {
        "script": __spec__.name,
        "host": machine.host(),
        "settings": settings,
        "versions": versions(("bertram", "torch")),
        "results": results,
    }
    write(out / "rows.json", record)


if __name__ == "__main__":
    main()
