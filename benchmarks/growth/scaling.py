"""The cost of BERTram's step as batches, texts, tasks and the encoder grow.

    python -m benchmarks.growth             about 15 minutes on 2 cores
    python -m benchmarks.growth --quick     the small sizes only
    python -m tools.pages                   puts tables and picture of the newest record into docs/performance.md

Weights are random, since time does not depend on them. The record goes to results/benchmarks/.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import counting, machine, timing
from benchmarks.common.bertram_step import new_context
from benchmarks.common.records import BENCHMARKS, dated, default_data, now, versions, write
from benchmarks.common.workload import Workload, workload
from benchmarks.growth import gpu_forecast
from bertram import options
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.model.encoders import EncoderConfig
from bertram.model.encoders.bert import BertEncoder
from bertram.model.linear import Precision, choose_precision
from bertram.model.multitask import Multitask
from bertram.tasks import SST, Task
from bertram.training import setup
from bertram.training.step import StepContext, step

SHAPES = {
    "MiniLM 6×384": EncoderConfig(),
    "base 12×768": EncoderConfig(hidden=768, layers=12, heads=12, intermediate=3072),
}
BATCH_SIZES, LENGTHS, TASKS = (4, 8, 16, 32, 64), (8, 16, 32, 64, 128, 256, 512), (1, 2, 3, 4, 6, 8)
USUAL_BATCH = 8
TOTAL_STEPS = 1000
LARGEST_FLOP, LARGEST_QUICK_FLOP = 6e12, 6e11  # operations of a step
TITLES = {
    "batch size": "Batch size, of each of three tasks (real sentences)",
    "length": f"Length of the sentences, one task, batches of {USUAL_BATCH}",
    "tasks": f"Number of tasks, batches of {USUAL_BATCH} real sentences each",
}


@dataclass(frozen=True)
class Point:
    """One size of one series.

    Attributes:
        series: name of the series.
        encoder: name of the encoder's shape.
        method: what stands behind that name in the record.
        size: batch size, length or number of tasks.
        context: model and optimizer.
        batches: batches of its step.
    """

    series: str
    encoder: str
    method: str
    size: int
    context: StepContext
    batches: list[Batch]

    @property
    def tokens(self) -> int:
        """Number of tokens of its step."""
        return counting.tokens_of(self.batches)

    def turn(self) -> timing.Turn:
        """Its step as a function to time."""
        return lambda _: step(self.context, self.batches)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write a record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the small sizes only")
    parser.add_argument("--data", default=default_data(), help="directory of the course files, or sample")
    parser.add_argument("--threads", type=int, default=2, help="threads of each computation")
    parser.add_argument("--out", type=Path, default=BENCHMARKS, help="folder of the record")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    record = run(chosen.data, SHAPES, rounds=3, largest=LARGEST_QUICK_FLOP if chosen.quick else LARGEST_FLOP)
    write(dated(chosen.out, prefix="growth-", quick=chosen.quick), record)


def run(data: str, shapes: Mapping[str, EncoderConfig], rounds: int, largest: float) -> dict[str, Any]:
    """Measure all series; gives the record.

    Args:
        data: directory of the course files, or ``sample``.
        shapes: shapes of the encoders by name; the forecast for a GPU is of the last one.
        rounds: timed rounds of each point.
        largest: operations of a step above which a point is left out.
    """
    work = workload(data, "minilm", steps=max(TASKS))
    precision = choose_precision("auto", torch.device("cpu"))
    points = [
        point
        for name, shape in shapes.items()
        for point in _points(name, shape, work, precision)
        if counting.step_flop(shape, point.tokens) <= largest
    ]
    times = timing.alternate({number: point.turn() for number, point in enumerate(points)}, rounds, warm_up=1)
    series: dict[str, Any] = {name: {"title": title, "points": {}} for name, title in TITLES.items()}
    for number, point in enumerate(points):
        seconds = timing.quartiles(times[number])
        flop = counting.step_flop(shapes[point.encoder], point.tokens)
        series[point.series]["points"].setdefault(point.encoder + point.method, []).append({
            "size": point.size, "tokens": point.tokens, "seconds": seconds,
            "gflop_per_second": round(flop / max(seconds["median"], 1e-9) / 1e9, 1),
        })  # fmt: skip
    return {
        "format": 1,
        "finished": now(),
        "host": machine.host(),
        "versions": versions(("torch", "bertram")),
        "precision": precision,
        "series": series,
        "prediction": forecast(list(shapes.values())[-1], work),
        "communication": communication(shapes, work),
    }


def _points(name: str, shape: EncoderConfig, work: Workload, precision: Precision) -> list[Point]:
    tasks = {f"sst{number}": SST for number in range(1, max(TASKS) + 1)}
    study = new_random_context(shape, _study_tasks(work), precision)
    copies = new_random_context(shape, tasks, precision)
    with_surgery = setup.with_surgery(copies, _config(tasks, "pcgrad"), torch.Generator().manual_seed(0))
    sentences = [replace(drawn(work, USUAL_BATCH)[0], task=task) for task in tasks]
    lengths = [size for size in LENGTHS if size <= shape.max_tokens]
    return [
        *(Point("batch size", name, "", size, study, drawn(work, size)) for size in BATCH_SIZES),
        *(Point("length", name, "", size, copies, [_of_length(size, shape)]) for size in lengths),
        *(Point("tasks", name, "", count, copies, sentences[:count]) for count in TASKS),
        *(Point("tasks", name, ", PCGrad", count, with_surgery, sentences[:count]) for count in TASKS),
    ]


def _study_tasks(work: Workload) -> dict[str, Task]:
    return {name: examples.task for name, examples in work.data.train.items()}


def _config(tasks: Mapping[str, Task], method: str = "none") -> Config:
    joint = {"order": "joint", "steps_per_epoch": TOTAL_STEPS, "epochs": 1}
    return options.make(
        {"tasks": dict(tasks), "model": {"pooling": "cls"}, "sampling": joint, "surgery": {"method": method}}
    )


def new_random_context(shape: EncoderConfig, tasks: Mapping[str, Task], precision: Precision) -> StepContext:
    """A model with random weights, and its optimizer."""
    config = _config(tasks)
    encoder = BertEncoder(shape)
    encoder.initialize(torch.Generator().manual_seed(0))
    encoder.set_precision(precision)
    network = Multitask(encoder, config.tasks, config.model.pooling)
    for _, head in network.task_heads():
        head.initialize(torch.Generator().manual_seed(1))
    context, _ = new_context(config, network, TOTAL_STEPS)
    return context


def drawn(work: Workload, size: int) -> list[Batch]:
    """A batch of so many training examples of each task."""
    return [examples.batch([place % len(examples) for place in range(size)]) for examples in work.data.train.values()]


def _of_length(length: int, shape: EncoderConfig) -> Batch:
    """Sentences of random words with exactly so many tokens."""
    generator = torch.Generator().manual_seed(length)
    words = torch.randint(1000, shape.vocabulary, (USUAL_BATCH, length), generator=generator).tolist()
    sequences = [(sentence, [0] * length) for sentence in words]
    labels = torch.arange(USUAL_BATCH) % SST.classes
    return Batch("sst1", tuple(map(str, range(USUAL_BATCH))), sequences, labels)


def forecast(shape: EncoderConfig, work: Workload) -> dict[str, Any]:
    """The forecast for a GPU, from four small steps in bf16 whose operations are counted."""

    def stepper(layers: int) -> gpu_forecast.Stepper:
        context = new_random_context(replace(shape, layers=layers), _study_tasks(work), "bf16")
        return lambda batches: step(context, batches)

    counted = gpu_forecast.count(stepper, drawn(work, 1), drawn(work, 3))
    sizes = {f"batches of {size} of three tasks": drawn(work, size) for size in (8, 32, 64)}
    return gpu_forecast.forecast(counted, shape, sizes)


def communication(shapes: Mapping[str, EncoderConfig], work: Workload) -> list[dict[str, Any]]:
    """Bytes of a gradient as it is summed over processes in a step of the study."""
    batches = work.plain[0]
    words = len({token for batch in batches for tokens, _ in batch.sequences for token in tokens})
    return [
        {
            "encoder": name,
            "word_rows": words,
            "rows_bytes": counting.message_bytes(shape, words, _head_parameters(shape)),
            "dense_bytes": counting.message_bytes(shape, None, _head_parameters(shape)),
        }
        for name, shape in shapes.items()
    ]


def _head_parameters(shape: EncoderConfig) -> int:
    """Parameters of the study's three heads: a linear one, and the scales and offsets of two cosines."""
    return SST.classes * (shape.hidden + 1) + 4


if __name__ == "__main__":
    main()
