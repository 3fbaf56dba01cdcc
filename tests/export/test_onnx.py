"""What onnxruntime makes of our graphs."""

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from tests.common.models import CASES, PAIRS, TEXTS, inputs_for, random_model, study_tasks
from tests.common.quick import quick_only

from bertram.data.examples import Examples
from bertram.export import onnx
from bertram.prediction.model import Model
from bertram.tasks import Task

LONG = "a long text that goes on and on " * 12
Arrays = dict[str, np.ndarray[Any, Any]]
Exported = tuple[Model, Task, Path]


@pytest.fixture(
    scope="module", params=quick_only({"yes or no, cls", "classes by CORAL, pooler", "texts apart, features"}, CASES)
)
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
    return Examples(task, ids, model.tokenizer.encode_rows(rows), None, model.tokenizer, model.max_tokens)


def padded(model: Model, task: Task, texts: list[Any]) -> Arrays:
    """What a graph reads, made of our own sequences."""
    examples, places = examples_of(model, task, texts), range(len(texts))
    sequences = examples.batch(places).sequences
    if model.both_orders:
        sequences = sequences + examples.batch(places, swapped=True).sequences
    ids, segments = zip(*sequences, strict=True)
    found: Arrays = {
        "input_ids": rectangle(ids),
        "attention_mask": rectangle([[1] * len(one) for one in ids]),
        "token_type_ids": rectangle(segments),
    }
    if len(sequences) > len(texts):
        found |= {"first": np.arange(len(texts)), "second": np.arange(len(texts), 2 * len(texts))}
    return found


def rectangle(rows: Any) -> np.ndarray[Any, Any]:
    return np.array(list(zip_longest(*rows, fillvalue=0))).T


def run(exported: Exported, feed: Arrays) -> np.ndarray[Any, Any]:
    _, task, directory = exported
    session = onnxruntime.InferenceSession(directory / "model.onnx")
    meaning = "score" if task.kind == "score" else "probabilities"
    [found] = session.run([f"{task.name}.{meaning}"], feed)
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
        name: array if array.ndim == 1 else np.pad(array, ((0, 0), (0, 9)), constant_values=7 * (name == "input_ids"))
        for name, array in feed.items()
    }
    np.testing.assert_allclose(run(exported, wider), run(exported, feed), rtol=0, atol=1e-5)


def test_one_graph_answers_all_tasks_in_one_pass(tiny_encoder: Path, tmp_path: Path) -> None:
    tasks = study_tasks(encoding="bi", head="cosine")
    model = random_model(tiny_encoder, tasks)
    onnx.save_graphs(model, list(tasks.values()), tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    described = json.loads((tmp_path / "tasks.json").read_text())
    assert {described[name]["graph"] for name in tasks} == {"model.onnx"}
    outputs = [place for task in described.values() for place in (task["output"], task["decision"])]
    assert [one.name for one in session.get_outputs()] == ["pooled", *outputs]
    assert all(isinstance(size, str) for one in session.get_inputs() for size in one.shape)  # none is fixed
    feed = padded(model, tasks["quora"], PAIRS)
    results = dict(zip(["pooled", *outputs], session.run(None, feed), strict=True))
    assert results["pooled"].shape == (2 * len(PAIRS), 32)
    for name, task in tasks.items():
        texts: list[Any] = PAIRS if task.pair else [text for pair in zip(*PAIRS, strict=True) for text in pair]
        wanted = model.outputs(examples_of(model, task, texts))
        np.testing.assert_allclose(results[described[name]["output"]], wanted.numpy(), atol=1e-5)
        assert results[described[name]["decision"]].tolist() == pytest.approx(
            [one.value for one in model.predict(name, texts)], abs=1e-5
        )
