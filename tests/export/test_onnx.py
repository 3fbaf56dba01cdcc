"""What onnxruntime makes of our graphs."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from bertram.export import onnx
from bertram.model.predict import Model
from bertram.tasks import QUORA, SST, STS, Task
from served import TEXTS, changed, inputs, random_model

LONG = "a long text that goes on and on " * 12
CORAL = changed(SST, loss="coral")
CASES: dict[str, tuple[Task, dict[str, Any]]] = {
    "classes, mean": (SST, {"pooling": "mean"}),
    "CORAL, pooler": (CORAL, {"pooling": "pooler"}),
    "yes or no, cls": (QUORA, {"pooling": "cls"}),
    "score, both orders": (STS, {"pooling": "mean", "both_orders": True}),
    "texts apart, cosine": (changed(QUORA, encoding="bi", head="cosine"), {"pooling": "mean"}),
    "texts apart, features": (changed(STS, encoding="bi", head="features"), {"pooling": "cls"}),
}


def padded(model: Model, task: Task, examples: list[Any]) -> dict[str, np.ndarray[Any, Any]]:
    """What the graph reads, made by our own tokenizer."""
    found = {}
    for number in range(onnx.sequences(model, task)):
        rows = []
        for example in examples:
            texts = (example,) if isinstance(example, str) else tuple(example)
            texts = (texts[number],) if task.encoding == "bi" else texts[:: -1 if number else 1]
            rows.append(
                model.tokenizer.joined(model.tokenizer.encode([t.lower() for t in texts]), model.max_tokens)[:2]
            )
        longest = max(len(ids) for ids, _ in rows)
        suffix = "_2" if number else ""
        for name, column in (("input_ids", 0), ("token_type_ids", 1)):
            found[name + suffix] = np.array([row[column] + [0] * (longest - len(row[column])) for row in rows])
        found["attention_mask" + suffix] = np.array([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows])
    return found


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def graph(
    request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Model, Task, onnxruntime.InferenceSession]:
    task, settings = request.param
    model = random_model(tiny_encoder, {task.name: task}, **settings)
    directory = tmp_path_factory.mktemp("onnx")
    onnx.save_graphs(model, [task], directory)
    return model, task, onnxruntime.InferenceSession(directory / f"{task.name}.onnx")


def test_a_graph_gives_our_outputs_for_any_number_and_length(
    graph: tuple[Model, Task, onnxruntime.InferenceSession],
) -> None:
    model, task, session = graph
    several = inputs(task)
    for examples in (several[:1], several, [*several, LONG if not task.pair else (LONG, TEXTS[0])] * 3):
        [found] = session.run(None, padded(model, task, examples))
        ours = model.predict(task.name, examples)
        wanted = [one.value if one.probabilities is None else one.probabilities for one in ours]
        np.testing.assert_allclose(found, np.array(wanted), atol=1e-4)


def test_padding_changes_nothing(graph: tuple[Model, Task, onnxruntime.InferenceSession]) -> None:
    model, task, session = graph
    feed = padded(model, task, inputs(task)[:1])
    wider = {name: np.pad(array, ((0, 0), (0, 9))) for name, array in feed.items()}
    np.testing.assert_allclose(session.run(None, wider)[0], session.run(None, feed)[0], atol=1e-5)


def test_the_padded_encoder_is_the_packed_one(tiny_encoder: Path) -> None:
    encoder = random_model(tiny_encoder, {"sst": SST}).network.encoder
    ids = torch.randint(1000, 2000, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    segments = torch.tensor([[0] * 4 + [1] * 5, [0] * 9])
    with torch.no_grad():
        found = onnx.encode(encoder, ids, mask, segments)
    rows = [ids[0].tolist(), ids[1, :5].tolist()]
    for ours, theirs in zip(encoder.hidden_states(rows, [segments[0].tolist(), [0] * 5]), found, strict=True):
        torch.testing.assert_close(theirs[: len(ours)], ours, atol=1e-5, rtol=1e-5)
