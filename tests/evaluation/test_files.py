"""Evaluating files: baselines, kept predictions, and predictions that are scored as any other file of predictions."""

import json
import shutil
from pathlib import Path

import pytest
from tests.common.commands import call
from tests.common.trainings import tiny_config

from bertram import load, options
from bertram.evaluation.files import evaluate_run
from bertram.runs.directory import Run
from bertram.training.train import train

TRAIN = [
    f"t{number},{text},{label}" for number, (text, label) in enumerate([("fine", "B"), ("late", "A"), ("new", "B")])
]
DEV = ["d1,old,A", "d2,broken,A", "d3,lovely,B", "d4,slow,A"]


@pytest.fixture(scope="module")
def run(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of one own task with an id column and display names; most training rows are B, most dev rows A."""
    directory = tmp_path_factory.mktemp("own")
    for name, rows in (("train", TRAIN), ("dev", DEV)):
        (directory / f"{name}.csv").write_text("\n".join(["ticket,body,mood", *rows]) + "\n")
    files = {"train": "train.csv", "dev": "dev.csv", "texts": ["body"], "label": "mood", "id": "ticket"}
    task = {"kind": "class", "labels": ["A", "B"], "label_names": ["sad", "glad"], "files": files}
    values = options.dump(tiny_config(tiny_encoder, sampling={"epochs": 1}))
    return train(options.make(values | {"tasks": {"mood": task}, "data": str(directory)}), directory / "run")


def test_the_majority_is_the_commonest_label_of_the_training_file_wherever_it_is_shown(run: Run) -> None:
    found = evaluate_run(run).baselines["mood"]["majority"]["accuracy"].value
    assert found == run.record.baselines["mood"]["majority"]["accuracy"].value == 0.25
    dev = Path(run.config.data) / "dev.csv"
    assert (
        "0.2500 majority"
        in call("score", run.predictions("mood"), dev, "--task", "mood", "--config", run.path / "config.toml")[1]
    )


def test_without_the_training_file_the_baseline_says_what_it_is(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.config.data, tmp_path / "data")
    moved = tmp_path / "data" / "run"
    toml = (moved / "config.toml").read_text().replace(run.config.data, str(tmp_path / "data"))
    (moved / "config.toml").write_text(toml)
    (tmp_path / "data" / "train.csv").unlink()
    assert list(evaluate_run(Run(moved)).baselines["mood"]) == ["majority_of_scored_rows"]


@pytest.mark.parametrize("output_format", ["jsonl", "csv", "labels"])
def test_what_predict_writes_is_scored_with_own_ids_and_names(run: Run, tmp_path: Path, output_format: str) -> None:
    dev = Path(run.config.data) / "dev.csv"
    code, out, _ = call("predict", run.path, dev, "--task", "mood")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line["id"] for line in lines] == ["d1", "d2", "d3", "d4"]
    assert [line["label"] for line in lines] == [["sad", "glad"][line["value"]] for line in lines]
    predictions = tmp_path / "p"
    if output_format == "labels":
        out = "ticket,mood\n" + "".join(f"{line['id']},{line['label']}\n" for line in lines)
    if output_format == "csv":
        out = call("predict", run.path, dev, "--task", "mood", "--output-format", "csv")[1]
        header, *rows = out.splitlines()
        assert header == "id,index,label,probability of sad,probability of glad"
        shares = [line["probabilities"].values() for line in lines]
        assert rows == [
            ",".join(map(str, (line["id"], line["value"], line["label"], *values)))
            for line, values in zip(lines, shares, strict=True)
        ]
    predictions.write_text(out)
    code, out, _ = call("score", predictions, dev, "--task", "mood", "--config", run.path / "config.toml")
    assert code == 0
    assert f"{run.record['scores']['dev']['mood']['accuracy']['value']:.4f}" in out


def test_a_prediction_has_its_label(run: Run) -> None:
    [prediction] = load(run).predict("mood", ["fine"])
    assert prediction.label == ("sad", "glad")[int(prediction.value)]


def test_dev_predictions_are_kept_for_the_same_rows_only(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    copy = Run(tmp_path / "run")
    kept = copy.predictions("mood")
    kept.unlink()
    (tmp_path / "data").mkdir()
    changed = "\n".join(["ticket,body,mood", *reversed(DEV)]) + "\n"
    (tmp_path / "data" / "dev.csv").write_text(changed)
    evaluate_run(copy, str(tmp_path / "data"))
    assert not kept.exists()
    shutil.copy(Path(run.config.data) / "dev.csv", tmp_path / "data")
    evaluate_run(copy, str(tmp_path / "data"))
    assert kept.exists()
