"""The engines of a run beside sentence-transformers and its ONNX, int8 and OpenVINO backends, on the same sentences.

    python -m benchmarks.prediction.engines RUN --task sst --data DIR

All take turns round by round, so that a machine whose speed drifts is fair to them: the ratios count, not the times.
RUN has the encoder minilm, and its task reads single texts. Backends whose packages are not installed are listed as
skipped. The record goes to standard output as JSON.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bertram.data.rows import read_rows
from bertram.model.pretrained import find
from bertram.prediction.engines.load import load
from bertram.prediction.engines.reading import Engine
from bertram.runs.directory import open_run

ENGINES: tuple[Engine, ...] = ("torch", "onnx", "onnx-int8")
PEERS = {
    "SentenceTransformer fp32": ("torch", ""),
    "SentenceTransformer ONNX": ("onnx", "onnx/model.onnx"),
    "SentenceTransformer ONNX int8": ("onnx", "onnx/model_qint8_avx512_vnni.onnx"),
    "SentenceTransformer OpenVINO": ("openvino", "openvino/openvino_model.xml"),
}
BATCH = 32
BASELINE = "SentenceTransformer fp32"
Predict = Callable[[Sequence[str]], object]


def calls_of(run: Path, task: str) -> tuple[dict[str, Predict], dict[str, str]]:
    """The functions that are timed by name, and the reasons why others are not."""
    calls: dict[str, Predict] = {}
    skipped: dict[str, str] = {}
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - slow to import

    for name, (backend, file) in PEERS.items():
        options: dict[str, Any] = {"backend": backend, "model_kwargs": {"file_name": file}} if file else {}
        try:
            peer = SentenceTransformer(str(find("minilm")), device="cpu", **options)
        except Exception as error:  # each backend has errors of its own for what it lacks
            skipped[name] = str(error).splitlines()[0][:200]
            continue
        calls[name] = partial(peer.encode, batch_size=BATCH, show_progress_bar=False)
    for engine in ENGINES:
        calls[f"bertram {engine}"] = partial(load(open_run(run), engine).predict, task, batch_size=BATCH)
    return calls, skipped


def timed(calls: dict[str, Predict], inputs: Sequence[Sequence[str]], rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of a call, and the speed beside the baseline: the median of the ratios of each round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            for texts in inputs:
                call(texts)
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - begin)
    return {
        name: {
            "ms": 1000 * statistics.median(values) / len(inputs),
            "speed": statistics.median(a / b for a, b in zip(seconds[BASELINE], values, strict=True)),
        }
        for name, values in seconds.items()
    }


def main() -> None:
    """Measure one text at a time and batches of 32."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--task", default="sst")
    parser.add_argument("--data", required=True)
    parser.add_argument("--sentences", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    rows = read_rows(open_run(chosen.run).config.tasks[chosen.task], chosen.data, "dev")
    texts = [text for (text,) in rows.texts][: chosen.sentences]
    short = [[text] for text in texts if len(text) <= 60][:20]
    calls, skipped = calls_of(chosen.run, chosen.task)
    record = {
        "sentences": len(texts),
        "one text": timed(calls, short, chosen.rounds),
        "batches of 32": timed(calls, [texts], chosen.rounds),
        "skipped": skipped,
    }
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
