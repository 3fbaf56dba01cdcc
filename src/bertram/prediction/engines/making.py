"""Making the graphs of an engine from a trained model, and probing them against PyTorch's answers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bertram.data.examples import Examples
from bertram.errors import BertramError
from bertram.prediction.answers import Pieces
from bertram.prediction.engines import multitask_graph
from bertram.prediction.engines.cache import FORMAT, GRAPH, PAIRS, Manifest
from bertram.prediction.engines.session import OnnxModel
from bertram.prediction.model import Model
from bertram.tasks import Task

WIDE_WEIGHTS = 40_000_000  # weights in matrices from which one sentence keeps several threads busy
ROUNDS = 3  # turns of a timing
BATCH = 16  # inputs of the batch that is timed
TEXT = (
    "a lovely film about two sisters who inherit a farm in the north and have to decide whether to sell it , which "
    "takes them most of a summer and costs them more than they had thought ; nobody laughs , and yet it is a comedy"
)
WORDS = TEXT.split()


@dataclass(frozen=True)
class Int8Choice:
    """Parts of a model that are computed in int8.

    Attributes:
        weights: names of the weights in int8.
        levels: largest int8 weight.
        fp32: parts of the encoder that are left in fp32.
        gains: part -> change of the answers that is saved by leaving it in fp32.
    """

    weights: frozenset[str] = frozenset()
    levels: int = 127
    fp32: tuple[str, ...] = ()
    gains: Mapping[str, float] = field(default_factory=dict)


FP32 = Int8Choice()


def engine_of(
    model: Model, directory: Path, tasks: Sequence[Task] | None = None, choice: Int8Choice = FP32
) -> OnnxModel:
    """An engine whose graphs lie in a directory and are not probed.

    Args:
        model: trained model.
        directory: existing directory.
        tasks: tasks that it predicts; default: all tasks of the model.
        choice: weights in int8.

    Raises:
        BertramError: as by `write_graphs`.
    """
    chosen = list(model.tasks.values()) if tasks is None else tasks
    return _opened(model, directory, _write(model, directory, chosen, "", choice))


def write_graphs(model: Model, directory: Path, *, sha256: str, choice: Int8Choice = FP32) -> Manifest:
    """Write the graphs of an engine, and describe them and how its answers and its speed compare with PyTorch's.

    Args:
        model: trained model.
        directory: existing directory.
        sha256: hash of the model.
        choice: weights in int8; none: the engine is onnx.

    Raises:
        BertramError: a task cannot be exported, a package is missing, or onnxruntime cannot run the graph.
    """
    manifest = _write(model, directory, list(model.tasks.values()), sha256, choice)
    return Manifest(**{**vars(manifest), **probe(model, _opened(model, directory, manifest))})


def _opened(model: Model, directory: Path, manifest: Manifest) -> OnnxModel:
    tasks = {name: model.tasks[name] for name in manifest.tasks}
    return OnnxModel(
        directory, manifest, tasks, model.tokenizer, max_tokens=model.max_tokens, both_orders=model.both_orders
    )


def _write(model: Model, directory: Path, tasks: Sequence[Task], sha256: str, choice: Int8Choice) -> Manifest:
    """The description of new graphs of some tasks, without a probe."""
    if pooling := [task.name for task in tasks if task.pools_target]:
        reason = "pools a marked target, which an ONNX graph does not know"
        raise BertramError(f"tasks.{pooling[0]}: {reason}; use --engine torch")
    save_graph(multitask_graph.engine_graph(model, tasks, int8=choice.weights, levels=choice.levels), directory / GRAPH)
    pairs = multitask_graph.pairs_graph(model, tasks)
    if pairs is not None:
        save_graph(pairs, directory / PAIRS)
    weight_count = sum(value.numel() for value in model.network.encoder.layers.parameters() if value.ndim == 2)
    return Manifest(
        format=FORMAT,
        model=sha256,
        engine="onnx-int8" if choice.weights else "onnx",
        runtime=version("onnxruntime"),
        files={},
        tasks={task.name: multitask_graph.engine_task(model, task) for task in tasks},
        segments=multitask_graph.needs_segments(model, tasks),
        wide=weight_count >= WIDE_WEIGHTS,
        difference=0.0,
        speed=0.0,
        single_speed=0.0,
        levels=choice.levels if choice.weights else 0,
        fp32=list(choice.fp32),
    )


def probe(model: Model, engine: OnnxModel) -> dict[str, float]:
    """Largest difference of an engine's answers from PyTorch's, and its relative speeds, as fields of a manifest."""
    pieces = {name: probe_pieces(model, task) for name, task in model.tasks.items()}
    inputs = [(name, part) for name, texts in pieces.items() for part in texts[:-1]]
    batches = {name: batch_pieces(model, task) for name, task in model.tasks.items()}
    return {
        "difference": _difference(model, engine, pieces),
        "speed": _speed(model, engine, list(batches.items())),
        "single_speed": _speed(model, engine, [(name, [part]) for name, part in inputs]),
    }


def _difference(model: Model, engine: OnnxModel, pieces: Mapping[str, list[Pieces]]) -> float:
    """The largest difference of a probability, or of a score in shares of its range."""
    answers = engine.answers(pieces)
    difference = 0.0
    for name, task in model.tasks.items():
        expected = answers_by_torch(model, task, pieces[name])
        low, high = task.label_space.bounds or (0.0, 1.0)
        gap = float((torch.from_numpy(answers[name].meaning) - expected).abs().max()) / (high - low)
        difference = max(difference, gap) if gap == gap else float("inf")  # noqa: PLR0124 - not a number
    return difference


def _speed(model: Model, engine: OnnxModel, calls: Sequence[tuple[str, list[Pieces]]]) -> float:
    """PyTorch's time over the engine's for some calls, the shortest of alternating turns each."""

    def by_torch() -> None:
        for name, part in calls:
            answers_by_torch(model, model.tasks[name], part)

    def by_engine() -> None:
        for name, part in calls:
            engine.predict_mixed({name: part})

    times: dict[Callable[[], None], list[float]] = {by_torch: [], by_engine: []}
    for _ in range(ROUNDS):
        for turn, seconds in times.items():
            begin = time.perf_counter()
            turn()
            seconds.append(time.perf_counter() - begin)
    return min(times[by_torch]) / min(times[by_engine])


def probe_pieces(model: Model, task: Task) -> list[Pieces]:
    """Token ids of inputs of many lengths, some of them longer than the encoder can read."""
    texts = [" ".join(WORDS[start : start + length]) for start, length in enumerate((1, 5, 9, 14, 20, 30))]
    texts.append(" ".join(WORDS * (1 + model.max_tokens // len(WORDS))))
    rows = [(text, texts[-1 - number]) if task.pair else (text,) for number, text in enumerate(texts)]
    return model.tokenizer.encode_rows(rows)


def batch_pieces(model: Model, task: Task) -> list[Pieces]:
    """Token ids of a batch of inputs of 5 to 30 words, as many of them as sentences of a film review have."""
    texts = [" ".join(WORDS[start : start + 5 + 7 * start % 26]) for start in range(BATCH)]
    rows = [(text, texts[-1 - number]) if task.pair else (text,) for number, text in enumerate(texts)]
    return model.tokenizer.encode_rows(rows)


def answers_by_torch(model: Model, task: Task, pieces: list[Pieces]) -> torch.Tensor:
    """Probabilities, [n, K], or scores, [n], of tokenized inputs."""
    ids = list(map(str, range(len(pieces))))
    return model.outputs(Examples(task, ids, pieces, None, model.tokenizer, model.max_tokens))


def save_graph(graph: Any, path: Path) -> None:
    """Write an ONNX model to a file.

    Raises:
        BertramError: it is too large for one.
    """
    try:
        path.write_bytes(graph.SerializeToString())
    except ValueError as error:  # protobuf's limit of 2 GiB
        raise BertramError(f"{path.name}: the graph is too large for one file ({error}); use --engine torch") from None
