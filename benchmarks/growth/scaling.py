"""What a step of ours costs as batches, sentences, tasks and the encoder grow.

    python -m benchmarks.growth             about 15 minutes on 2 cores
    python -m benchmarks.growth --quick     the small sizes only

Weights are random, since time does not depend on them. Writes a record to results/benchmarks/ and docs/growth.png;
`python -m tools.pages` puts the tables into docs/performance.md.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import counting, timing
from benchmarks.common.records import BENCHMARKS, ROOT, dated, default_data, now, versions, write
from benchmarks.common.workload import Workload, workload
from benchmarks.growth import gpu_forecast
from bertram import options
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.model.encoder import Encoder, EncoderConfig
from bertram.model.linear import Precision, choose_precision
from bertram.model.multitask import Multitask
from bertram.tasks import SST, Task
from bertram.training import setup
from bertram.training.objective import Objective
from bertram.training.step import Learner, step

SHAPES = {
    "MiniLM 6×384": EncoderConfig(),
    "base 12×768": EncoderConfig(hidden=768, layers=12, heads=12, intermediate=3072),
}
BATCH_SIZES, LENGTHS, TASKS = (4, 8, 16, 32, 64), (8, 16, 32, 64, 128, 256, 512), (1, 2, 3, 4, 6, 8)
USUAL_BATCH = 8
PCGRAD = ", PCGrad"  # beside an encoder's name


@dataclass(frozen=True)
class Point:
    """One size of one series."""

    series: str
    label: str
    size: int
    learner: Learner
    batches: list[Batch]

    @property
    def tokens(self) -> int:
        """Real ones."""
        return counting.tokens_of(self.batches)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, plot, and write a record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the small sizes only")
    parser.add_argument("--data", default=default_data(), help="a directory, or sample")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=BENCHMARKS, help="where the record goes")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "growth.png")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    record = run(given.data, SHAPES, rounds=3, largest=6e11 if given.quick else 6e12)
    write(dated(given.out, prefix="growth-", quick=given.quick), record)
    plot(record, given.plot)


def run(data: str, shapes: Mapping[str, EncoderConfig], rounds: int, largest: float) -> dict[str, Any]:
    """All series, as a record.

    Args:
        data: where sentences come from: a directory, or ``sample``.
        shapes: of the encoders, by name; the last one is the prediction's.
        rounds: of each point.
        largest: operations of a step above which it is left out.
    """
    work = workload(data, "minilm", steps=max(TASKS))
    precision = choose_precision("auto", torch.device("cpu"))
    points = [
        point
        for name, shape in shapes.items()
        for point in _points(name, shape, work, precision)
        if counting.step_flop(shape, point.tokens) <= largest
    ]
    seconds = _measure(points, rounds)
    series: dict[str, Any] = {
        "batch size": {"title": "Batch size, of each of three tasks (real sentences)", "points": {}},
        "length": {"title": f"Length of the sentences, one task, batches of {USUAL_BATCH}", "points": {}},
        "tasks": {"title": f"Number of tasks, batches of {USUAL_BATCH} real sentences each", "points": {}},
    }
    for point, times in zip(points, seconds, strict=True):
        shape = shapes[point.label.removesuffix(PCGRAD)]
        median = timing.spread(times)["median"]
        series[point.series]["points"].setdefault(point.label, []).append({
            "size": point.size, "tokens": point.tokens, "seconds": timing.spread(times),
            "gflop_per_second": round(counting.step_flop(shape, point.tokens) / max(median, 1e-9) / 1e9, 1),
        })  # fmt: skip
    largest_shape = list(shapes.values())[-1]
    return {
        "format": 1,
        "finished": now(),
        "host": timing.host(),
        "versions": versions(("torch", "bertram")),
        "precision": precision,
        "series": series,
        "prediction": _prediction(largest_shape, work),
        "communication": communication(shapes, work),
    }


def _points(name: str, shape: EncoderConfig, work: Workload, precision: Precision) -> list[Point]:
    tasks = {f"sst{number}": SST for number in range(1, max(TASKS) + 1)}
    study = _learner(shape, {key: one.task for key, one in work.data.train.items()}, precision)
    several = _learner(shape, tasks, precision)
    operated = setup.operating(several, _config(tasks, "pcgrad"), torch.Generator().manual_seed(0))
    sentences = [_renamed(_drawn(work, USUAL_BATCH)[0], name) for name in tasks]
    lengths = [size for size in LENGTHS if size <= shape.max_tokens]
    return [
        *(Point("batch size", name, size, study, _drawn(work, size)) for size in BATCH_SIZES),
        *(Point("length", name, size, several, [_of_length(size, shape)]) for size in lengths),
        *(Point("tasks", name, count, several, sentences[:count]) for count in TASKS),
        *(Point("tasks", f"{name}{PCGRAD}", count, operated, sentences[:count]) for count in TASKS),
    ]


def _config(tasks: Mapping[str, Task], method: str = "none") -> Config:
    joint = {"order": "joint", "steps_per_epoch": 1000, "epochs": 1}
    return options.make(
        {"tasks": dict(tasks), "model": {"pooling": "cls"}, "sampling": joint, "surgery": {"method": method}}
    )


def _learner(shape: EncoderConfig, tasks: Mapping[str, Task], precision: Precision) -> Learner:
    """What our step works on, around an encoder with random weights."""
    config = _config(tasks)
    encoder = Encoder(shape)
    encoder.initialize(torch.Generator().manual_seed(0))
    encoder.set_precision(precision)
    network = Multitask(encoder, config.tasks, config.model.pooling)
    for _, head in network.task_heads():
        head.initialize(torch.Generator().manual_seed(1))
    generators = setup.generators(0, torch.device("cpu"))
    dropout = setup.training_dropout(config, encoder, generators.dropout)
    objective = Objective(network, config, dropout, generators.noise, total_steps=1000)
    return setup.learner(config, network, objective, generators.surgery)


def _drawn(work: Workload, size: int) -> list[Batch]:
    """A batch of so many training examples of each task."""
    return [one.batch([place % len(one) for place in range(size)]) for one in work.data.train.values()]


def _renamed(batch: Batch, task: str) -> Batch:
    return replace(batch, task=task)


def _of_length(length: int, shape: EncoderConfig) -> Batch:
    """Sentences of exactly so many tokens, of random words."""
    generator = torch.Generator().manual_seed(length)
    words = torch.randint(1000, shape.vocabulary, (USUAL_BATCH, length), generator=generator).tolist()
    sequences = [(sentence, [0] * length) for sentence in words]
    labels = torch.arange(USUAL_BATCH) % SST.classes
    return Batch("sst1", tuple(map(str, range(USUAL_BATCH))), sequences, labels)


def _measure(points: Sequence[Point], rounds: int) -> list[list[float]]:
    """Seconds of each point, all points in turns."""
    turns: dict[str, Callable[[int], object]] = {
        str(number): (lambda _, point=point: step(point.learner, point.batches))  # type: ignore[misc]
        for number, point in enumerate(points)
    }
    return list(timing.alternate(turns, rounds, warm_up=1).values())


def _prediction(shape: EncoderConfig, work: Workload) -> dict[str, Any]:
    """By counting four small steps in bf16."""
    tasks = {key: one.task for key, one in work.data.train.items()}

    def stepper(layers: int) -> gpu_forecast.Stepper:
        learner = _learner(replace(shape, layers=layers), tasks, "bf16")
        return lambda batches: step(learner, batches)

    counted = gpu_forecast.count(stepper, _drawn(work, 1), _drawn(work, 3))
    sizes = {f"batches of {size} of three tasks": _drawn(work, size) for size in (8, 32, 64)}
    return gpu_forecast.predict(counted, shape, sizes)


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
    """Of the study's three heads: a linear one, and the scales and offsets of two cosines."""
    return SST.classes * (shape.hidden + 1) + 4


def plot(record: Mapping[str, Any], path: Path) -> None:
    """Step time against size, one panel a series."""
    import matplotlib as mpl  # noqa: PLC0415  (slow to import)

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(1, len(record["series"]), figsize=(10, 3.2), sharey=True, layout="constrained")
    colors: dict[str, str] = {}
    for panel, (name, series) in zip(panels, record["series"].items(), strict=True):
        for label, points in series["points"].items():
            sizes = [point["size"] for point in points]
            encoder, dashes = label.removesuffix(PCGRAD), "--" if label.endswith(PCGRAD) else "-"
            color = colors.setdefault(encoder, f"C{len(colors)}")
            low, median, high = ([point["seconds"][key] for point in points] for key in ("low", "median", "high"))
            panel.plot(sizes, median, dashes, color=color, marker="o", markersize=3, linewidth=1, label=label)
            panel.fill_between(sizes, low, high, alpha=0.2, color=color)
        panel.set(xscale="log", yscale="log", xlabel=name)
        ticks = sorted({point["size"] for points in series["points"].values() for point in points})
        panel.set_xticks(ticks, labels=[str(size) for size in ticks])
        panel.minorticks_off()
        panel.grid(visible=True, linewidth=0.3)
    panels[0].set_ylabel("seconds a step")
    panels[-1].legend(fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    main()
