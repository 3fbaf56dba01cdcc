"""A multi-label task from its files to everything that is made of it, from the command line and from Python."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.common.commands import call

import bertram
from bertram import options
from bertram.comparison.gold import run_predictions
from bertram.config import Config
from bertram.data.checks import cautions, read_files
from bertram.evaluation.files import evaluate_run
from bertram.export.write import export
from bertram.prediction.model import Model
from bertram.report.write import write_report
from bertram.runs.directory import Run
from bertram.serving.messages import answer, answer_schema
from bertram.training.objective import Objective
from bertram.training.setup import begin

LABELS = ("price", "food", "staff")
WORDS = {"price": "cheap", "food": "tasty", "staff": "friendly"}
SETS = [tuple(label for bit, label in enumerate(LABELS) if number >> bit & 1) for number in range(8)]
ROWS = [(f"{number}-{copy}", " ".join(["it is", *(WORDS[label] for label in SETS[number]), "here" * copy]).strip(),
         SETS[number]) for number in range(8) for copy in range(1, 5)]  # fmt: skip


def written(form: str, labels: tuple[str, ...]) -> dict[str, Any]:
    """The label cells of a row in one of the forms of a file."""
    if form == "columns":
        return {label: "yes" if label in labels else "no" for label in LABELS}
    return {"topics": "; ".join(labels) or "[]" if form == "text" else list(labels)}


def save(directory: Path, form: str) -> None:
    rows = [{"key": key, "text": text} | written(form, labels) for key, text, labels in ROWS]
    for name, chosen in (("train", rows), ("dev", rows[::2]), ("test", rows[1::3])):
        with (directory / f"{name}.{'jsonl' if form == 'list' else 'csv'}").open("w", newline="") as file:
            if form == "list":
                file.writelines(json.dumps(row) + "\n" for row in chosen)
            else:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(chosen)


def config_for(directory: Path, encoder: Path, form: str = "list", **task: Any) -> Config:
    ending = "jsonl" if form == "list" else "csv"
    column = {"label_columns": list(LABELS)} if form == "columns" else {"label": "topics"}
    files = {name: f"{name}.{ending}" for name in ("train", "dev", "test")} | {"texts": ["text"], "id": "key"} | column
    values: dict[str, Any] = {
        "tasks": {"topics": {"kind": "multi-label", "labels": list(LABELS), "files": files, **task}},
        "data": str(directory), "encoder": str(encoder), "precision": "fp32", "threads": 1,
        "model": {"pooling": "mean", "head_dropout": 0.0}, "optimizer": {"lr": 3e-3, "head_lr": 3e-2},
        "sampling": {"batch_size": 8, "epochs": 20}, "smart": {"tasks": ["topics"]},
        "log": {"logging_steps": 20}, "evaluation": {"eval_steps": 40},
    }  # fmt: skip
    return options.make(values)


@pytest.fixture(scope="module")
def run(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("topics")
    save(directory, "list")
    return bertram.train(config_for(directory, tiny_encoder), directory / "run")


@pytest.mark.parametrize("form", ["text", "columns"])
def test_every_form_of_a_file_gives_the_same_rows(form: str, tiny_encoder: Path, tmp_path: Path) -> None:
    labels = []
    for each in ("list", form):
        save(tmp_path, each)
        rows, problems, _ = read_files(config_for(tmp_path, tiny_encoder, each).tasks, str(tmp_path))
        assert not problems
        labels.append({part: (read.ids, np.asarray(read.labels).tolist()) for (_, part), read in rows.items()})
    assert labels[0] == labels[1]
    assert labels[0]["dev"][1][:4] == [0, 0, 1, 1]


@pytest.mark.slow
def test_it_learns_and_is_scored_beside_constant_answers(run: Run) -> None:
    dev, baselines = run.record.scores.dev.tasks["topics"], run.record.baselines["topics"]
    assert set(dev) == {"micro_f1", "macro_f1", "subset_accuracy", "nll", "brier"}
    assert dev["micro_f1"].value is not None
    assert dev["micro_f1"].value > 0.9
    assert set(baselines) == {"majority", "frequent_labels", "every_label"}
    best = max(answer["micro_f1"].value or 0.0 for answer in baselines.values())
    assert dev["micro_f1"].value > best
    assert run.record.confusion == {}
    assert evaluate_run(run).scores.tasks["topics"] == dev


@pytest.mark.slow
def test_predictions_hold_places_and_names(run: Run) -> None:
    model = bertram.load(run.path, engine="torch")
    two, none = model.predict("topics", ["it is cheap friendly", "it is here"])
    assert (two.value, two.label) == ((0, 2), ("price", "staff"))
    assert (none.value, none.label) == ((), ())
    assert two.probabilities is not None
    assert two.probabilities[0] > 0.5 > two.probabilities[1]
    task = model.tasks["topics"]
    (entry,) = answer(task, [two])["predictions"]
    assert json.loads(json.dumps(entry))["value"] == [0, 2]
    properties = answer_schema(task)["properties"]["predictions"]["items"]["properties"]
    assert properties.keys() == entry.keys()


@pytest.mark.slow
def test_predicted_files_are_scored_with_the_same_numbers(run: Run, tmp_path: Path) -> None:
    source = Path(run.config.data) / "dev.jsonl"
    dev = run.record.scores.dev.tasks["topics"]
    for form in ("jsonl", "csv"):
        predicted = call("predict", run.path, source, "--task", "topics", "--output-format", form)
        assert predicted.code == 0, predicted.err
        path = tmp_path / f"predicted.{form}"
        path.write_text(predicted.out)
        scored = call("score", path, source, "--task", "topics", "--config", run.path / "config.toml")
        assert scored.code == 0, scored.err
        for metric in ("micro_f1", "macro_f1", "subset_accuracy"):
            assert f"{dev[metric].value:.4f}" in scored.out
    header, first, *_ = csv.reader(io.StringIO(call("predict", run.path, source, "--task", "topics",
                                                     "--output-format", "csv").out))  # fmt: skip
    assert header[:4] == ["id", "index", "label", "probability of price"]
    assert first[:3] == ["0-1", "[]", "[]"]


@pytest.mark.slow
def test_kept_predictions_are_read_back(run: Run) -> None:
    values, probabilities = run_predictions(run, "topics", "dev")
    lines = [json.loads(line) for line in gzip.decompress(run.predictions("topics").read_bytes()).splitlines()]
    assert all(isinstance(line["value"], list) for line in lines)
    assert values["3-1"] == 3
    assert len(probabilities["3-1"]) == 3


@pytest.mark.slow
def test_two_runs_are_compared(run: Run, tiny_encoder: Path, tmp_path: Path) -> None:
    other = bertram.train(options.change(run.config, seed=1), tmp_path / "other")
    shown = call("compare", run.path, other.path)
    assert shown.code == 0, shown.err
    assert "topics" in shown.out


@pytest.mark.slow
def test_the_report_has_a_table_of_the_labels(run: Run, tmp_path: Path) -> None:
    page = write_report(run.path, out=tmp_path / "report.html").read_text()
    assert "topics: each label" in page
    for label in LABELS:
        assert f">{label}<" in page
    assert "topics: reliability" in page
    assert "confusion" not in page


@pytest.mark.slow
def test_a_submission_holds_the_probabilities(run: Run, tmp_path: Path) -> None:
    outcome = call("submission", run.path, "--out", tmp_path / "upload")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in (tmp_path / "upload").iterdir()) == [
        "topics-dev-output.csv", "topics-test-output.csv",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO((tmp_path / "upload" / "topics-test-output.csv").read_text())))
    assert [row["id"] for row in rows] == [key for key, _, _ in ROWS[1::3]]
    texts = [text for _, text, _ in ROWS[1::3]]
    for row, prediction in zip(rows, bertram.load(run.path).predict("topics", texts), strict=True):
        assert [float(row[label]) for label in LABELS] == pytest.approx(prediction.probabilities, abs=2e-6)


@pytest.mark.slow
def test_its_graph_gives_the_same_probabilities(run: Run, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    out = export(run.path, "onnx", tmp_path / "graphs")
    model = bertram.load(run.path, engine="torch")
    text = "it is cheap here"
    ids, _, _ = model.tokenizer.joined(model.tokenizer.encode([text]), 64)
    inputs = {"input_ids": [ids], "attention_mask": [[1] * len(ids)], "token_type_ids": [[0] * len(ids)]}
    session = onnxruntime.InferenceSession(str(out / "model.onnx"))
    known = {entry.name for entry in session.get_inputs()}
    (probabilities,) = session.run(["topics.probabilities"], {name: v for name, v in inputs.items() if name in known})
    assert probabilities[0].tolist() == pytest.approx(model.predict("topics", [text])[0].probabilities, abs=1e-4)


@pytest.mark.slow
def test_thresholds_decide_label_by_label(run: Run) -> None:
    model = bertram.load(run.path, "torch")
    assert isinstance(model, Model)
    text = "it is cheap tasty here"
    (usual,) = model.predict("topics", [text])
    assert usual.probabilities is not None
    price, food, staff = usual.probabilities
    eager = model.tasks["topics"].model_copy(update={"thresholds": ((price + 1) / 2, food / 2, staff / 2)})
    model.network.set_task(eager)
    assert model.predict("topics", [text])[0].value == (1, 2)


def test_balanced_weights_are_those_of_the_training_rows(tiny_encoder: Path, tmp_path: Path) -> None:
    save(tmp_path, "list")
    path = tmp_path / "train.jsonl"
    path.write_text(
        "".join(
            line
            for line in path.read_text().splitlines(True)
            if '"price"' not in line or '"0' in line or '"1-1' in line
        )
    )
    training = begin(config_for(tmp_path, tiny_encoder, class_weights="balanced"), torch.device("cpu"))
    task = training.model.network.tasks["topics"]
    assert task.class_weights == (16 / 1, 9 / 8, 9 / 8)
    assert isinstance(training.context.objective, Objective)
    assert training.model.network.output("topics").settings.class_weights == task.class_weights


def test_a_label_without_training_rows_is_told(tiny_encoder: Path, tmp_path: Path) -> None:
    save(tmp_path, "list")
    path = tmp_path / "train.jsonl"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if '"staff"' not in line))
    tasks = config_for(tmp_path, tiny_encoder).tasks
    rows, _, _ = read_files(tasks, str(tmp_path))
    assert "topics: the label staff has no training row (8 in dev); it can never be predicted" in cautions(tasks, rows)
