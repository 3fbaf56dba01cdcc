"""BERTram beside what people use, in one process, on the same sentences, weights and mathematics.

    python -m benchmarks                everything, less than 15 minutes on 2 cores
    python -m benchmarks --quick        fewer rounds
    python -m tools.pages               the newest record as tables, into docs/performance.md

Both sides take turns round by round, so that a machine whose speed drifts is fair to both: the ratios count, not the
times. Before anything is timed, the losses of both sides are compared in fp32 without dropout. A record is written to
results/benchmarks/.
"""

import argparse
import gc
import json
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import targets, timing
from benchmarks.common.records import BENCHMARKS, dated, default_data, now, versions, write
from benchmarks.common.workload import Ours, Workload, configuration, workload

FORMAT = 1
BATCHES = 12  # of each task; the rounds go through them again and again
MEMORY_STEPS = 6
MEMORY_SIDES = ("ours", "theirs", "theirs, saving memory")
PACKAGES = ("bertram", "torch", "transformers", "sentence-transformers", "smart-pytorch", "torchjd", "tokenizers")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write a record."""
    given = _arguments(arguments)
    warnings.filterwarnings("ignore", message="There is a performance drop")  # torchjd's vmap over attention
    torch.set_num_threads(given.threads)
    if given.memory_of:
        sys.stdout.write(json.dumps(memory_of(given.memory_of, pickle.loads(given.work.read_bytes()), given.encoder)))
        return
    # It loads the peers, which the memory of our side must not hold.
    from benchmarks.training.side_by_side import Settings  # noqa: PLC0415

    settings = Settings(given.data, given.encoder, warm_up=2, rounds=9, passes=2, calls=60, sentences=2000, memory=True)
    if given.quick:
        settings = replace(settings, rounds=5, passes=1, calls=30)
    record = run(settings) | {"quick": given.quick}
    from tools.pages import benchmark_tables  # noqa: PLC0415

    print(benchmark_tables(record))
    write(dated(given.out, quick=given.quick), record)


def run(settings: "Settings") -> dict[str, Any]:  # type: ignore[name-defined]  # noqa: F821
    """All measurements, as a record."""
    from benchmarks.training import side_by_side as measure  # noqa: PLC0415

    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.0f} s] {text}", flush=True)

    work = workload(settings.data, settings.encoder, BATCHES)
    why_not = timing.why_not_bf16()
    record: dict[str, Any] = {
        "format": FORMAT,
        "finished": "",
        "host": timing.host(),
        "versions": versions(PACKAGES),
        "data": "sample" if settings.data == "sample" else "course files",
        "encoder": settings.encoder if settings.encoder == "minilm" else Path(settings.encoder).name,
        "default_precision": measure.precisions()[-1],
        "not_timed": {} if why_not is None else {"bf16": f"not timed here: {why_not}"},
    }
    say("losses of both sides")
    record["agreement"] = measure.agreement(work, settings)
    record["bf16_loss_difference"] = measure.bf16_difference(work, settings)
    gc.collect()
    for name, phase in (
        ("steps", measure.steps),
        ("evaluation", measure.evaluation),
        ("prediction", measure.prediction),
    ):
        say(name)
        record[name] = phase(work, settings)
        gc.collect()
    if settings.memory:
        say("memory")
        record["memory"] = memory(work, settings.encoder)
    record["targets"] = targets.reached(record)
    record["finished"] = now()
    record["minutes"] = round((time.monotonic() - begun) / 60, 1)
    say("done")
    return record


def memory_of(side: str, work: Workload, encoder: str) -> dict[str, int]:
    """Memory of a process that does nothing but steps with SMART and PCGrad, in MiB: before the first, and the peak."""
    precision = "auto" if side == "ours" else "fp32"
    config = configuration("smart+pcgrad", data="sample", encoder=encoder, precision=precision)
    trained: Any = Ours(config, work.data)
    if side != "ours":
        from benchmarks.common import peers  # noqa: PLC0415

        way = peers.WAYS[-1] if side.endswith("memory") else peers.WAYS[0]
        trained = peers.Peers(config, trained.model.network, way)
    gc.collect()
    timing.forget_peak_memory()
    before = timing.peak_memory_mib()
    for batches in work.plain[:MEMORY_STEPS]:
        trained.step(batches)
    return {"before": before, "peak": timing.peak_memory_mib()}


def memory(work: Workload, encoder: str) -> dict[str, dict[str, int]]:
    """Memory of each side, in processes of their own that get their sentences ready made."""
    found = {}
    small = replace(work, data=replace(work.data, dev={}, watched={}, train_sample={}), texts=[])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "work"
        path.write_bytes(pickle.dumps(small))
        for side in MEMORY_SIDES:
            command = [sys.executable, "-m", "benchmarks", "--memory-of", side, "--work", str(path),
                       "--encoder", encoder, "--threads", str(torch.get_num_threads())]  # fmt: skip
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[side] = json.loads(done.stdout.splitlines()[-1])
    return found


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--data", default=default_data(), help="a directory, or sample")
    parser.add_argument("--encoder", default="minilm", help="as bertram train takes it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=BENCHMARKS, help="where the record goes")
    parser.add_argument("--memory-of", choices=MEMORY_SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
