"""A kind of output that the package lacks is one file: it is configured, trained, scored, predicted and exported."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.trainings import logged_lines
from tests.model.outputs.poisson import Counts, Poisson, register_poisson

import bertram
from bertram import options, task_kinds
from bertram.config import Config
from bertram.errors import ConfigError
from bertram.export.write import export
from bertram.model.outputs import output_of, register, registry
from bertram.runs.directory import Run
from bertram.serving.messages import answer, answer_schema
from bertram.tasks import Task

TABLES: tuple[dict[Any, Any], ...] = (task_kinds.KINDS, task_kinds.LOSSES, registry.OUTPUTS)


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """The kind "count" is known to the tests of this file only."""
    before = [dict(table) for table in TABLES]
    register_poisson()
    yield
    for table, entries in zip(TABLES, before, strict=True):
        table.clear()
        table.update(entries)


def count_config(directory: Path, encoder: Path, **changes: Any) -> Config:
    """A task whose label is how often a text says "very"."""
    rows = [
        (" ".join(["very"] * count + ["good"] * length), count)
        for count, length in itertools.product(range(6), range(1, 9))
    ]
    for name, chosen in (("train", rows), ("dev", rows[::3])):
        lines = [f"{text}\t{count}" for text, count in chosen]
        (directory / f"{name}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    files = {"train": "train.tsv", "dev": "dev.tsv", "texts": ["text"]}
    values = {
        "tasks": {"very": {"kind": "count", "files": files, **changes}},
        "data": str(directory),
        "encoder": str(encoder),
        "precision": "fp32",
        "threads": 1,
        "model": {"pooling": "mean"},
        "optimizer": {"lr": 3e-3, "head_lr": 3e-2},
        "sampling": {"batch_size": 8, "epochs": 4},
        "smart": {"tasks": ["very"]},
        "log": {"logging_steps": 1},
    }
    return options.make(values)


@pytest.fixture(scope="module")
def run(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("count")
    return bertram.train(count_config(directory, tiny_encoder), directory / "run")


def test_its_names_are_choices_of_the_options(tmp_path: Path, tiny_encoder: Path) -> None:
    types = {name: values for name, values, _, _ in options.fields(Task)}
    assert types["kind"] == "class|binary|score|multi-label|count"
    assert types["loss"].endswith("|poisson")
    task = count_config(tmp_path, tiny_encoder).tasks["very"]
    assert task.trained_by == "poisson"
    assert task.scored_by == "spearman"
    with pytest.raises(ConfigError, match="loss 'mse' does not fit a count task; use poisson"):
        count_config(tmp_path, tiny_encoder, loss="mse")


def test_it_trains_and_is_scored(run: Run) -> None:
    losses = [line["losses"]["very"]["loss"] for line in logged_lines(run.path, "losses")]
    assert losses[-1] < losses[0] - 0.3
    dev = run.record["scores"]["dev"]["very"]
    assert set(dev) == {"spearman", "mae"}
    assert dev["spearman"]["value"] > 0.7
    assert set(run.record["baselines"]["very"]) == {"mean"}
    assert run.record["baselines"]["very"]["mean"]["mae"]["value"] > dev["mae"]["value"]


def test_it_predicts_as_it_says_it_answers(run: Run) -> None:
    model = bertram.load(run.path)
    few, many = model.predict("very", ["good good", "very very very very very good"])
    assert few.probabilities is None
    assert 0 <= few.value < many.value
    task = model.tasks["very"]
    (entry,) = answer(task, [few])["predictions"]
    assert entry == {"value": few.value}
    assert answer_schema(task)["properties"]["predictions"]["items"] == Counts().answer_schema()


def test_its_graph_gives_the_same_values(run: Run, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    out = export(run.path, "onnx", tmp_path / "graphs")
    described = json.loads((out / "tasks.json").read_text())["very"]
    assert described["output"] == "very.rate"
    model = bertram.load(run.path)
    text = "very very good"
    ids, _, _ = model.tokenizer.joined(model.tokenizer.encode([text]), 64)
    inputs = {"input_ids": [ids], "attention_mask": [[1] * len(ids)], "token_type_ids": [[0] * len(ids)]}
    arrays = {name: torch.tensor(values).numpy() for name, values in inputs.items()}
    (rate,) = onnxruntime.InferenceSession(str(out / "model.onnx")).run(["very.rate"], arrays)
    assert rate.tolist() == pytest.approx([model.predict("very", [text])[0].value], rel=1e-4)


def test_a_name_is_registered_once_and_a_new_kind_needs_a_label_space() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register("count", "poisson", lambda space, _: Poisson(space))
    with pytest.raises(ValueError, match="needs a label space"):
        register("angle", "cosine", lambda space, _: Poisson(space))


def test_a_new_loss_of_a_known_kind_needs_no_label_space() -> None:
    register("score", "huber", lambda _, task: output_of(task.model_copy(update={"loss": "mse"})))
    task = Task.model_validate({"kind": "score", "loss": "huber", "files": {"texts": ["text"]}})
    assert output_of(task).width == 1
