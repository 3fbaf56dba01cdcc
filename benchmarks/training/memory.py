"""Peak memory of training steps with SMART and PCGrad, each side in a process of its own.

A process gets its batches tokenized and imports nothing that its side does not need.
"""

import argparse
import gc
import json
import pickle
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.common import machine
from benchmarks.common.bertram_step import BertramStep
from benchmarks.common.records import ROOT
from benchmarks.common.workload import Side, Workload, configuration, with_tasks_of
from bertram.model.pretrained import find
from bertram.training import setup
from bertram.training.process_state import release_freed_memory

STEPS = 6


def bertram_side(work: Workload, encoder: str) -> Side:
    """BERTram's step in its default precision."""
    config = configuration("smart+pcgrad", data="sample", encoder=encoder, precision="auto")
    return BertramStep(config, work.data)


def peer_side(work: Workload, encoder: str) -> Side:
    """The peers' step with torchjd's defaults."""
    return _peer_side(work, encoder, saving_memory=False)


def memory_saving_peer_side(work: Workload, encoder: str) -> Side:
    """The peers' step with those of torchjd's options that need the least memory."""
    return _peer_side(work, encoder, saving_memory=True)


def _peer_side(work: Workload, encoder: str, *, saving_memory: bool) -> Side:
    from benchmarks.common import peers  # noqa: PLC0415  (BERTram's side must not hold their libraries)

    config = configuration("smart+pcgrad", data="sample", encoder=encoder)
    model, _ = setup.build_model(config, torch.device("cpu"))  # its heads are copied, then it is freed
    setup.fit_starts(model.network, with_tasks_of(config, work.data))
    choice = peers.LEAST_MEMORY_OPTIONS if saving_memory else peers.FIRST_OPTIONS
    return peers.PeerStep(config, model.network, choice)


SIDES = {"ours": bertram_side, "theirs": peer_side, "theirs, saving memory": memory_saving_peer_side}


def peak_memory(work: Workload, encoder: str) -> dict[str, dict[str, int]]:
    """Memory of each side, in MiB: before the first step, and the peak."""
    batches_only = replace(work, data=replace(work.data, dev={}, watched={}, train_sample={}), texts=[])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "work"
        path.write_bytes(pickle.dumps(batches_only))
        return {side: _in_own_process(side, path, encoder) for side in SIDES}


def _in_own_process(side: str, work: Path, encoder: str) -> dict[str, int]:
    options = {"side": side, "work": work, "encoder": find(encoder).resolve(), "threads": torch.get_num_threads()}
    command = [sys.executable, "-m", __spec__.name, *(f"--{name}={value}" for name, value in options.items())]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    figures: dict[str, int] = json.loads(process.stdout.splitlines()[-1])
    return figures


def measured(side: Side, work: Workload) -> dict[str, int]:
    """Memory of this process, in MiB: before the first step of a side, and the peak of a few steps."""
    gc.collect()
    release_freed_memory()
    machine.reset_peak_memory()
    before = machine.peak_memory_mib()
    for batches in work.plain[:STEPS]:
        side.step(batches)
    return {"before": before, "peak": machine.peak_memory_mib()}


def main() -> None:
    """Measure one side in this process, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=SIDES, required=True, help="side to measure")
    parser.add_argument("--work", type=Path, required=True, help="pickled workload")
    parser.add_argument("--encoder", required=True, help="directory of the encoder")
    parser.add_argument("--threads", type=int, required=True, help="threads of each computation")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    work: Workload = pickle.loads(chosen.work.read_bytes())
    print(json.dumps(measured(SIDES[chosen.side](work, chosen.encoder), work)))


if __name__ == "__main__":
    main()
