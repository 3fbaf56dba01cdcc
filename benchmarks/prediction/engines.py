"""The engines of a run beside sentence-transformers and its compiled, ONNX, int8 and OpenVINO forms, on real sentences.

    python -m benchmarks.prediction.engines RUN --task sst --data DIR     writes the record
    python -m tools.pages                                                 puts it into the pages

All take turns round by round in one process, so that a machine whose speed drifts is fair to them: the ratios count,
not the times. RUN has the encoder minilm, and its task reads single texts. Backends whose packages are not installed
are listed as skipped; docs/engines.md says how to install them.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import machine, timing
from benchmarks.common.records import ROOT, default_data, now, write
from benchmarks.prediction.sentence_transformers import BASELINE, Encode, encoders
from bertram.data.rows import read_rows
from bertram.prediction.engines.load import load
from bertram.prediction.engines.reading import Engine
from bertram.prediction.engines.session import thread_count
from bertram.runs.directory import open_run
from tools.engine_tables import engine_tables

ENGINES: tuple[Engine, ...] = ("torch", "onnx", "onnx-int8")
PACKAGES = ("torch", "transformers", "sentence-transformers", "onnxruntime", "optimum-onnx", "openvino", "nncf")
RECORD = ROOT / "results" / "prediction" / "engines.json"
BATCH = 32
SHORT = 60  # characters of the longest sentence that is predicted alone
SINGLES = 20  # sentences that are predicted alone in each round


def measure(calls: Mapping[str, Encode], inputs: Sequence[Sequence[str]], rounds: int) -> dict[str, Any]:
    """Milliseconds of a call, and the speed beside the baseline.

    Args:
        calls: what is timed, by name.
        inputs: texts of each call of a round.
        rounds: number of timed rounds.
    """

    def all_inputs(call: Encode, _: int) -> None:
        for texts in inputs:
            call(texts)

    turns = {name: partial(all_inputs, call) for name, call in calls.items()}
    seconds = timing.alternate(turns, rounds, warm_up=1)
    return {
        name: {
            "ms": timing.quartiles([1000 * value / len(inputs) for value in values], digits=2),
            "speed": timing.ratio(seconds[BASELINE], values),
        }
        for name, values in seconds.items()
    }


def agreement(calls: Mapping[str, Encode], texts: Sequence[str]) -> dict[str, float]:
    """Mean cosine between the vectors of each peer and those of the baseline."""
    vectors = {name: np.asarray(call(texts)) for name, call in calls.items()}
    norms = {name: value / np.linalg.norm(value, axis=1, keepdims=True) for name, value in vectors.items()}
    return {name: round(float((value * norms[BASELINE]).sum(1).mean()), 5) for name, value in norms.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one text at a time and batches of 32, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="directory of the run")
    parser.add_argument("--task", default="sst", help="task of single texts")
    parser.add_argument("--data", default=default_data(), help="directory of the course files, or sample")
    parser.add_argument("--sentences", type=int, default=1024, help="number of sentences")
    parser.add_argument("--rounds", type=int, default=9, help="number of timed rounds")
    parser.add_argument("--out", type=Path, default=RECORD, help="file of the record")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(thread_count())
    run = open_run(chosen.run)
    task = run.config.tasks[chosen.task]
    texts = [text for (text,) in read_rows(task, chosen.data, "dev").texts][: chosen.sentences]
    train = [text for (text,) in read_rows(task, chosen.data, "train").texts]
    short = [[text] for text in texts if len(text) <= SHORT][:SINGLES]
    with tempfile.TemporaryDirectory() as directory:
        peers, skipped = encoders(Path(directory), train, BATCH)
        ours = {
            f"bertram, {engine}": partial(load(run, engine).predict, task.name, batch_size=BATCH) for engine in ENGINES
        }
        record = {
            "host": machine.host(),
            "versions": {package: found for package in PACKAGES if (found := _version(package))},
            "sentences": len(texts),
            "rounds": chosen.rounds,
            "agreement": agreement(peers, texts[:64]),
            "one text": measure(peers | ours, short, chosen.rounds),
            "batches of 32": measure(peers | ours, [texts], chosen.rounds),
            "skipped": skipped,
            "finished": now(),
        }
    print(engine_tables(record))
    write(chosen.out, record)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
