"""The cost of surgery, of SMART and of watched gradients over a plain step, and of that step over its floor.

    python -m benchmarks.training.techniques              about three minutes on 2 cores
    python -m benchmarks.training.techniques --cpu-time   processor time instead of the clock, for a busy machine

The steps of BERTram alone take turns in one process, in fp32 and bf16; no peer is needed. Writes
results/measurements/techniques.json.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import counting, machine, timing
from benchmarks.common.bertram_step import BertramStep
from benchmarks.common.records import MEASUREMENTS, default_data, versions, write
from benchmarks.common.workload import Workload, configuration, workload
from bertram.model.pretrained import find, read_config
from bertram.training.step import step

VARIANTS = ("plain", "pcgrad", "smart", "smart+pcgrad")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCHES = 6


def turns(work: Workload, data: str, precision: str, batches: int = BATCHES) -> dict[str, timing.Turn]:
    """A step of each technique, plain steps that report the tasks' Gramians, and the floor of a plain step."""

    def side(variant: str) -> BertramStep:
        return BertramStep(configuration(variant, data=data, encoder="minilm", precision=precision), work.data)

    def turn(stepper: BertramStep, **options: bool) -> timing.Turn:
        return lambda number: step(stepper.context, work.plain[number % batches], **options)

    tokens = round(sum(map(counting.tokens_of, work.plain)) / len(work.plain))
    multiply = counting.matrix_products(read_config(find("minilm")), tokens, DTYPES[precision])
    return {
        **{variant: turn(side(variant)) for variant in VARIANTS},
        "watched": turn(side("plain"), watch=True, exact=False),
        "watched exactly": turn(side("plain"), watch=True),
        "floor": lambda _: multiply(),
    }


def measure(work: Workload, data: str, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Ratios of each precision: techniques over the plain step, and the plain step over its floor."""
    results: dict[str, Any] = {}
    for precision in DTYPES:
        times = timing.alternate(turns(work, data, precision), rounds, warm_up=BATCHES, clock=clock)
        plain = times["plain"]
        results[precision] = {
            "over_plain": {name: timing.ratio(t, plain) for name, t in times.items() if name not in ("plain", "floor")},
            "plain_over_floor": timing.ratio(plain, times["floor"]),
            "seconds": {name: timing.quartiles(t) for name, t in times.items()},
        }
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the ratios and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=default_data(), help="directory of the course files, or sample")
    parser.add_argument("--threads", type=int, default=2, help="threads of each computation")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds")
    parser.add_argument("--cpu-time", action="store_true", help="processor time of this process instead of the clock")
    parser.add_argument("--out", type=Path, default=MEASUREMENTS, help="folder of the record")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    work = workload(chosen.data, "minilm", BATCHES)
    results = measure(work, chosen.data, chosen.rounds, time.process_time if chosen.cpu_time else time.perf_counter)
    for precision, figures in results.items():
        print(precision, "plain over floor", figures["plain_over_floor"]["median"])
        for name, ratio in figures["over_plain"].items():
            print(f"  {name} over plain {ratio['median']} [{ratio['low']} to {ratio['high']}]")
    record = {
        "script": __spec__.name,
        "host": machine.host(),
        "settings": {"threads": chosen.threads, "rounds": chosen.rounds, "cpu_time": chosen.cpu_time},
        "versions": versions(("bertram", "torch")),
        "results": results,
    }
    write(chosen.out / "techniques.json", record)


if __name__ == "__main__":
    main()
