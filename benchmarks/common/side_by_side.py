"""The comparison with the peers: its settings, its phases one after the other, its command line.

Both sides take turns round by round, so that a machine whose speed drifts is fair to both: the ratios count, not the
times.
"""

import argparse
import gc
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import machine, targets
from benchmarks.common.bertram_step import BertramStep
from benchmarks.common.records import BENCHMARKS, dated, default_data, now, versions, write
from benchmarks.common.workload import Workload, configuration, workload
from tools.comparison_tables import comparison_tables

FORMAT = 1
BATCHES = 12  # batches of each task; the rounds use them again and again
PACKAGES = ("bertram", "torch", "transformers", "sentence-transformers", "smart-pytorch", "torchjd", "tokenizers")


@dataclass(frozen=True)
class Settings:
    """What is measured, and how often.

    Attributes:
        data: directory of the course files, or ``sample``.
        encoder: pretrained encoder, as a run takes it.
        precisions: precisions to time; the last one is BERTram's default on this processor.
        warm_up: rounds of training steps that are not timed.
        rounds: timed rounds of training steps.
        passes: passes over the dev sets and over the sentences to predict.
        calls: predictions of one sentence.
        sentences: number of sentences predicted at once.
    """

    data: str
    encoder: str
    precisions: tuple[str, ...]
    warm_up: int = 2
    rounds: int = 9
    passes: int = 2
    calls: int = 60
    sentences: int = 2000

    def bertram_step(self, variant: str, work: Workload, precision: str = "fp32") -> BertramStep:
        """BERTram's side of a variant."""
        config = configuration(variant, data=self.data, encoder=self.encoder, precision=precision)
        return BertramStep(config, work.data)


Phase = Callable[[Workload, Settings], object]


def main(
    phases: Mapping[str, Phase], description: str | None, prefix: str, arguments: Sequence[str] | None = None
) -> None:
    """Measure, print the tables, and write a record.

    Args:
        phases: functions that measure, by their field in the record.
        description: text of ``--help``.
        prefix: beginning of the record's file name.
        arguments: command-line arguments; None: those of the process.
    """
    chosen = _parser(description).parse_args(arguments)
    warnings.filterwarnings("ignore", message="There is a performance drop")  # torchjd's vmap over attention
    torch.set_num_threads(chosen.threads)
    reason = machine.reason_against_bf16()
    settings = Settings(chosen.data, chosen.encoder, ("fp32",) if reason else ("fp32", "bf16"))
    if chosen.quick:
        settings = replace(settings, rounds=5, passes=1, calls=30)
    record = run(settings, phases) | {"quick": chosen.quick}
    if reason:
        record["not_timed"] = {"bf16": f"not timed here: {reason}"}
    print(comparison_tables(record))
    write(dated(chosen.out, prefix=prefix, quick=chosen.quick), record)


def run(settings: Settings, phases: Mapping[str, Phase]) -> dict[str, Any]:
    """Measure all phases; gives the record."""
    begin = time.monotonic()

    def report(text: str) -> None:
        print(f"[{time.monotonic() - begin:5.0f} s] {text}", flush=True)

    work = workload(settings.data, settings.encoder, BATCHES)
    record: dict[str, Any] = {
        "format": FORMAT,
        "finished": "",
        "host": machine.host(),
        "versions": versions(PACKAGES),
        "data": "sample" if settings.data == "sample" else "course files",
        "encoder": settings.encoder if settings.encoder == "minilm" else Path(settings.encoder).name,
        "default_precision": settings.precisions[-1],
        "not_timed": {},
    }
    for name, phase in phases.items():
        report(name.replace("_", " "))
        record[name] = phase(work, settings)
        gc.collect()
    record["targets"] = targets.states(record)
    record["finished"] = now()
    record["minutes"] = round((time.monotonic() - begin) / 60, 1)
    report("done")
    return record


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--data", default=default_data(), help="directory of the course files, or sample")
    parser.add_argument("--encoder", default="minilm", help="pretrained encoder, as bertram train takes it")
    parser.add_argument("--threads", type=int, default=2, help="threads of each computation")
    parser.add_argument("--out", type=Path, default=BENCHMARKS, help="folder of the record")
    return parser
