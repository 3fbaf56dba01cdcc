"""What onnxruntime makes of our graphs."""

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from tests.common.models import TEXTS, changed_task, inputs_for, random_model

from bertram.data.examples import Examples, tokenize
from bertram.export import onnx
from bertram.prediction.model import Model
from bertram.tasks import QUORA, SST, STS, Task

LONG = "a long text that goes on and on " * 12
CASES: dict[str, tuple[Task, dict[str, Any]]] = {
    "classes, mean": (SST, {"pooling": "mean"}),
    "classes by CORAL, pooler": (changed_task(SST, loss="coral"), {"pooling": "pooler"}),
    "yes or no, cls": (QUORA, {"pooling": "cls"}),
    "score, mlp, both orders": (changed_task(STS, head="mlp"), {"pooling": "mean", "both_orders": True}),
    "texts apart, learned cosine": (changed_task(QUORA, encoding="bi", head="cosine"), {"pooling": "mean"}),
    "texts apart, score by plain cosine": (
        changed_task(STS, encoding="bi", head="cosine", loss="cosine-mse"), {"pooling": "pooler"}
    ),
    "texts apart, distance": (changed_task(STS, encoding="bi", head="euclidean"), {"pooling": "cls"}),
    "texts together, features": (changed_task(QUORA, head="features"), {"pooling": "mean"}),
    "texts apart, features": (changed_task(STS, encoding="bi", head="features"), {"pooling": "cls"}),
}  # fmt: skip
Arrays = dict[str, np.ndarray[Any, Any]]
Exported = tuple[Model, Task, Path]


@pytest.fixture(scope="module", params=[pytest.param(case, marks=pytest.mark.slow) for case in CASES])
def exported(request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    task, settings = CASES[request.param]
    model = random_model(tiny_encoder, {task.name: task}, **settings)
    if task.trained_by == "coral":  # ranks out of order, which the cumulative minimum has to mend
        with torch.no_grad():
            bias = model.network.head(task.name).get_parameter("compare.bias")
            bias.copy_(torch.tensor([0.5, -0.5, 0.8, -1.0]))
    directory = tmp_path_factory.mktemp("onnx")
    onnx.save_graphs(model, [task], directory)
    return model, task, directory


def examples_of(model: Model, task: Task, texts: list[Any]) -> Examples:
    rows = [(one,) if isinstance(one, str) else tuple(one) for one in texts]
    ids = [str(number) for number in range(len(rows))]
    return Examples(task, ids, tokenize(rows, model.tokenizer), None, model.tokenizer, model.max_tokens)


def padded(model: Model, task: Task, texts: list[Any]) -> Arrays:
    """What a graph reads, made of our own sequences."""
    examples, places = examples_of(model, task, texts), range(len(texts))
    sequences = examples.batch(places).sequences
    if model.both_orders:
        sequences = sequences + examples.batch(places, swapped=True).sequences
    found: Arrays = {}
    for start in range(0, len(sequences), len(texts)):
        end = f"_{start // len(texts) + 1}" if len(sequences) > len(texts) else ""
        ids, segments = zip(*sequences[start : start + len(texts)], strict=True)
        found["input_ids" + end] = rectangle(ids)
        found["attention_mask" + end] = rectangle([[1] * len(one) for one in ids])
        if task.encodings_per_example == 1:
            found["token_type_ids" + end] = rectangle(segments)
    return found


def rectangle(rows: Any) -> np.ndarray[Any, Any]:
    return np.array(list(zip_longest(*rows, fillvalue=0))).T


def run(exported: Exported, feed: Arrays) -> np.ndarray[Any, Any]:
    _, task, directory = exported
    session = onnxruntime.InferenceSession(directory / f"{task.name}.onnx")
    [found] = session.run(None, feed)
    return np.asarray(found)


def test_a_graph_gives_our_outputs_for_any_number_and_length(exported: Exported) -> None:
    model, task, _ = exported
    several = inputs_for(task)
    long = (LONG, TEXTS[0]) if task.pair else LONG
    for texts in ([several[1]], several, [*several, long, *several], [long] * 2):
        wanted = model.outputs(examples_of(model, task, texts)).numpy()
        np.testing.assert_allclose(run(exported, padded(model, task, texts)), wanted, rtol=0, atol=1e-5)


def test_padding_changes_nothing_whatever_it_holds(exported: Exported) -> None:
    model, task, _ = exported
    feed = padded(model, task, inputs_for(task))
    wider = {
        name: np.pad(array, ((0, 0), (0, 9)), constant_values=7 if "input_ids" in name else 0)
        for name, array in feed.items()
    }
    np.testing.assert_allclose(run(exported, wider), run(exported, feed), rtol=0, atol=1e-5)


def test_a_graph_has_the_inputs_and_outputs_that_are_described(exported: Exported) -> None:
    _, task, directory = exported
    described = json.loads((directory / "tasks.json").read_text())[task.name]
    session = onnxruntime.InferenceSession(directory / described["graph"])
    assert [one.name for one in session.get_inputs()] == described["inputs"]
    assert [one.name for one in session.get_outputs()] == [described["output"]]
    assert all(isinstance(size, str) for one in session.get_inputs() for size in one.shape)  # none is fixed
    if task.encodings_per_example == 2:
        assert described["inputs"] == ["input_ids_1", "attention_mask_1", "input_ids_2", "attention_mask_2"]


def test_the_padded_encoder_is_the_packed_one(tiny_encoder: Path) -> None:
    encoder = random_model(tiny_encoder, {"sst": SST}).network.encoder
    ids = torch.randint(1000, 2000, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    segments = torch.tensor([[0] * 4 + [1] * 5, [0] * 9])
    with torch.no_grad():
        found = encoder.encode(onnx.PaddedLayout(ids, mask, segments))
    rows = [ids[0].tolist(), ids[1, :5].tolist()]
    for ours, theirs in zip(encoder.hidden_states(rows, [segments[0].tolist(), [0] * 5]), found, strict=True):
        torch.testing.assert_close(theirs[: len(ours)], ours, atol=1e-5, rtol=1e-5)
