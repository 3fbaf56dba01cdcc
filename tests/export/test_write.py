"""From a run to an exported directory with a card whose code runs."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.common import trainings
from tests.common.models import changed_task, random_model

from bertram import options
from bertram.errors import BertramError, RunError
from bertram.export import onnx
from bertram.export.int8_price import int8_price
from bertram.export.write import Form, OnnxOptions, export
from bertram.prediction.engines.int8 import choose_int8
from bertram.prediction.load import load
from bertram.recipes import quick
from bertram.runs.directory import Run, create
from bertram.tasks import QUORA, SST, STS
from bertram.training.train import train

RAW_PAIR = ("A lovely film.", "It's a fine movie!")  # what the cards of ONNX graphs ask about
FILMS = ("a lovely film", "a fine movie")


@pytest.fixture(scope="module")
def cross(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(trainings.tiny_config(tiny_encoder, sampling={"epochs": 1}), tmp_path_factory.mktemp("runs") / "cross")


@pytest.fixture(scope="module")
def bi(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    apart = {name: {"encoding": "bi", "head": "cosine"} for name in ("quora", "sts")}
    config = trainings.tiny_config(tiny_encoder, sampling={"epochs": 1}, tasks=apart)
    return train(config, tmp_path_factory.mktemp("runs") / "bi")


def run_code(card: str) -> dict[str, Any]:
    """Execute the Python of a card, as a reader would."""
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        exec(code, names)
    return names


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("recipe", "form", "task"),
    [
        pytest.param("cross", "hf", None, marks=pytest.mark.slow),
        pytest.param("cross", "sentence-transformers", "quora", marks=pytest.mark.slow),
        pytest.param("bi", "sentence-transformers", None, marks=pytest.mark.slow),
        ("cross", "onnx", None),
        pytest.param("bi", "onnx", "quora", marks=pytest.mark.slow),
    ],
)
def test_the_code_of_every_card_runs(
    recipe: str,
    form: Form,
    task: str | None,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = request.getfixturevalue(recipe)
    monkeypatch.chdir(export(run.path, form, tmp_path / "out", task))
    found = run_code(Path("README.md").read_text(encoding="utf-8"))
    model = load(run)
    if form == "onnx":
        for name in [task] if task else model.tasks:
            [wanted] = model.predict(name, [RAW_PAIR if model.tasks[name].pair else RAW_PAIR[0]])
            assert found["results"][name][0] == pytest.approx(wanted.probabilities or wanted.value, abs=1e-5)
        assert [path.name for path in Path().glob("*.onnx")] == ["model.onnx"]
    elif form == "hf":
        assert found["hidden"].shape[2] == 32
    elif recipe == "cross":
        [wanted] = model.predict("quora", [FILMS])
        assert wanted.probabilities is not None
        assert found["scores"][0] == pytest.approx(wanted.probabilities[1], abs=1e-5)


def test_a_card_tells_scores_data_limits_and_whose_work_it_is(cross: Run, tmp_path: Path) -> None:
    text = (export(cross.path, "hf", tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    scores = cross.record["scores"]["dev"]
    low, high = scores["sst"]["accuracy"]["ci95"]
    assert f"| sst | accuracy | {scores['sst']['accuracy']['value']:.4f} | {low:.4f} to {high:.4f} | 16 |" in text
    for name, file in cross.record["data"].items():
        [use] = file["uses"]
        used = f"{use['task']} {use['part']} | {use['rows']} | 0 | 0"
        assert f"| {name} | {used} | `{file['sha256'][:16]}…` |" in text
    assert "says nothing about methods" in text or "say nothing about methods" in text
    assert "CC0 1.0" in text
    assert "license: other" in text  # a random encoder of nobody's
    assert str(Path(cross.config.encoder).parent) not in text


@pytest.mark.parametrize(
    ("encoder", "data", "says"),
    [
        (
            "minilm",
            "sample",
            ["license: apache-2.0", "all-MiniLM-L6-v2", "Apache License 2.0", "changed by fine-tuning"],
        ),
        ("minilm", "hub", ["Socher et al. (2013)", "non-commercial", "LICENSE.txt", "pretrained on Quora pairs"]),
    ],
)
def test_a_card_names_the_origin_of_weights_and_data(encoder: str, data: str, says: list[str], cross: Run) -> None:
    from bertram.export.card import card
    from bertram.prediction.model import Model

    model = load(cross)
    assert isinstance(model, Model)
    run = Run(cross.path)
    run.__dict__["config"] = options.change(cross.config, encoder=encoder, data=data)
    text = card(run, model, "hf", "")
    assert [part for part in says if part not in text] == []


def test_what_cannot_be_exported_is_refused(cross: Run, tmp_path: Path) -> None:
    with pytest.raises(BertramError, match="unknown task 'nli'; choose one of sst, quora, sts"):
        export(cross.path, "sentence-transformers", tmp_path / "out", "nli")
    with pytest.raises(BertramError, match="omit --task"):
        export(cross.path, "hf", tmp_path / "out", "sst")
    with pytest.raises(RunError, match="there is no such run directory"):
        export(tmp_path / "nowhere", "hf", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("per_task", [False, True])
def test_the_code_of_a_card_runs_for_every_task_name_and_form_of_input(
    per_task: bool, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = {
        "class": changed_task(SST, name="class", text_normalization="plain"),
        "my-task": changed_task(QUORA, name="my-task", encoding="bi", head="cosine"),
        "3": changed_task(STS, name="3", head="features"),
        "größe_2": changed_task(SST, name="größe_2", loss="coral"),
    }
    model = random_model(tiny_encoder, tasks, both_orders=True)
    onnx.save_graphs(model, list(tasks.values()), tmp_path, per_task=per_task)
    monkeypatch.chdir(tmp_path)
    results = run_code(onnx.usage(model, list(tasks.values()), per_task=per_task))["results"]
    for name, task in tasks.items():
        [wanted] = model.predict(name, [RAW_PAIR if task.pair else RAW_PAIR[0]])
        assert results[name][0] == pytest.approx(wanted.probabilities or wanted.value, abs=1e-5)
    assert len(list(tmp_path.glob("*.onnx"))) == (len(tasks) if per_task else 1)


@pytest.mark.slow
def test_int8_is_written_with_its_price(cross: Run, tmp_path: Path) -> None:
    lines: list[str] = []
    whole = export(cross.path, "onnx", tmp_path / "fp32")
    out = export(cross.path, "onnx", tmp_path / "int8", onnx_options=OnnxOptions(int8=True, notify=lines.append))
    assert (out / "model.onnx").stat().st_size < 0.36 * (whole / "model.onnx").stat().st_size
    price = json.loads((out / "int8.json").read_text())
    assert [row["task"] for row in price["differences"]] == ["sst", "quora", "sts", "overall"]
    card = (out / "README.md").read_text(encoding="utf-8")
    for row in price["differences"]:
        assert any(line.startswith(f"{row['task']}: ") for line in lines)
        assert f"| {row['task']} | {row['metric']} | {row['n']} |" in card
    assert {"embeddings", "attention 1", "feed-forward up 2", "feed-forward down 2"} <= price["gains_on_train"].keys()


@pytest.mark.slow
def test_int8_is_chosen_and_priced_by_the_exported_tasks(tiny_encoder: Path, tmp_path: Path) -> None:
    """A task that pools a target has no graph, and does not stand in the way of the others."""
    run = create(tmp_path / "run", options.change(quick(), data="sample"))
    model = random_model(tiny_encoder, {"sst": changed_task(SST, pooling="target"), "sts": STS})
    choice = choose_int8(model, run, print, [STS])
    assert choice.weights
    price = int8_price(run, model, [STS], choice, print)
    assert price.missing == ""
    assert {row.task for row in price.rows} >= {"sts"}
    assert "sst" not in {row.task for row in price.rows}


def test_options_of_onnx_are_refused_for_other_formats(cross: Run, tmp_path: Path) -> None:
    with pytest.raises(BertramError, match="--int8: for --format onnx only"):
        export(cross.path, "hf", tmp_path / "out", onnx_options=OnnxOptions(int8=True))


def test_a_missing_package_is_named_with_its_remedy(
    cross: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BertramError, match=r"needs the package onnx; run: pip install 'bertram\[onnx\]'"):
        export(cross.path, "onnx", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_there_is_not_written_over(cross: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="exists already; choose another --out"):
        export(cross.path, "hf", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_an_ensemble_is_refused_with_a_way_out(cross: Run, tmp_path: Path) -> None:
    from bertram.merging.ensemble import ensemble

    both = ensemble([cross.path, copied(cross, tmp_path / "second")], tmp_path / "both")
    with pytest.raises(BertramError, match="an ensemble cannot be exported; export a member"):
        export(both.path, "hf", tmp_path / "out")


def copied(run: Run, to: Path) -> Path:
    import shutil

    shutil.copytree(run.path, to)
    return to
