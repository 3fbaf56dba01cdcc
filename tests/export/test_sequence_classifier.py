"""`transformers` loads the exported classifier, and its pipeline answers as the run predicts."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.families import FAMILIES, save_peer, save_tokenizer
from tests.common.models import TEXTS, changed_task, random_model, study_tasks
from tests.common.quick import quick_only
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from bertram.errors import BertramError
from bertram.export.sequence_classifier import chosen_task, save_classifier, usage
from bertram.prediction.model import Model
from bertram.tasks import QUORA, SST, STS, Task

TASKS = {
    "sst": changed_task(SST, text_normalization="plain", temperature=1.7),
    "quora": changed_task(QUORA, text_normalization="plain"),
    "sts": changed_task(STS, text_normalization="plain"),
    "share": changed_task(STS, name="share", text_normalization="plain", loss="binary-cross-entropy"),
    "topics": Task.model_validate(
        {"name": "topics", "kind": "multi-label", "labels": ["a", "b", "c"], "files": {"texts": ["t"]},
         "thresholds": [0.2, 0.5, 0.7]}
    ),
}  # fmt: skip
UNUSUAL = ["Ünïcödé, don't — “quote” 2.5%", "a" * 300, "word " * 200]
PAIR_TEXTS = [(TEXTS[0], TEXTS[2]), (UNUSUAL[0], TEXTS[1]), (TEXTS[1], TEXTS[1])]


def answers(directory: Path, texts: list[Any]) -> list[list[float]]:
    """The scores of all labels, in order, as the pipeline gives them."""
    classify = pipeline("text-classification", model=str(directory), top_k=None, device="cpu")
    inputs = [{"text": a, "text_pair": b} for a, b in texts] if isinstance(texts[0], tuple) else texts
    labels = json.loads((directory / "config.json").read_text())["id2label"].values()
    scores = []
    for given in inputs:
        found: Any = classify(given, truncation=True)
        by_label = {entry["label"]: entry["score"] for entry in (found[0] if isinstance(found[0], list) else found)}
        scores.append([by_label[label] for label in labels])
    return scores


def expected(model: Model, task: Task, texts: list[Any]) -> list[list[float]]:
    predictions = model.predict(task.name, texts)
    if task.class_names:
        return [list(prediction.probabilities or ()) for prediction in predictions]
    low, high = task.range
    return [[(prediction.value - low) / (high - low)] for prediction in predictions]


@pytest.mark.parametrize("pooling", quick_only({"cls"}, ["cls", "pooler"]))
@pytest.mark.parametrize("name", TASKS)
def test_the_pipeline_answers_as_the_run_predicts(name: str, pooling: str, tiny_encoder: Path, tmp_path: Path) -> None:
    model = random_model(tiny_encoder, TASKS, pooling)
    task = chosen_task(model, name)
    save_classifier(model, task, tmp_path)
    texts: list[Any] = PAIR_TEXTS if task.pair else [*TEXTS, *UNUSUAL]
    for found, wanted in zip(answers(tmp_path, texts), expected(model, task, texts), strict=True):
        assert found == pytest.approx(wanted, abs=1e-4)
    labels = json.loads((tmp_path / "config.json").read_text())["id2label"]
    assert list(labels.values()) == list(task.class_names or ["score"])


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "modernbert"])
def test_every_family_with_a_fitting_class(family: str, tmp_path: Path) -> None:
    save_peer(family, tmp_path / "encoder")
    save_tokenizer(family, tmp_path / "encoder", [*TEXTS, *UNUSUAL] * 3)
    model = random_model(tmp_path / "encoder", TASKS, "cls")
    for name in ("sst", "quora"):
        out = tmp_path / name
        save_classifier(model, chosen_task(model, name), out)
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(out, output_loading_info=True)
        assert not any(loaded[1][kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        texts: list[Any] = PAIR_TEXTS if model.tasks[name].pair else TEXTS
        inputs = AutoTokenizer.from_pretrained(out)(
            *(zip(*texts, strict=True) if model.tasks[name].pair else [texts]), padding=True, truncation=True,
            return_tensors="pt",
        )  # fmt: skip
        with torch.no_grad():
            found = loaded[0].eval()(**inputs).logits.softmax(1)
        for one, wanted in zip(found.tolist(), expected(model, model.tasks[name], texts), strict=True):
            assert one == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "pooling", "both_orders", "name", "reason"),
    [
        ({}, "mean", False, "sst", "reads the first token, but this run takes the mean"),
        ({"head": "mlp"}, "cls", False, "quora", "one linear layer, this task has head = mlp"),
        ({"head": "features"}, "mean", False, "quora", "this task has head = features"),
        ({"encoding": "bi", "head": "cosine"}, "cls", False, "sts", "this task has head = cosine"),
        ({}, "cls", True, "quora", "this run averages both"),
        ({}, "cls", False, "ranks", "cannot hold the loss coral"),
        ({}, "cls", False, None, "has one task; use --task sst or --task quora"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    changes: dict[str, Any], pooling: str, both_orders: bool, name: str | None, reason: str, tiny_encoder: Path
) -> None:
    tasks = study_tasks(**changes) | {"ranks": changed_task(SST, name="ranks", loss="coral")}
    model = random_model(tiny_encoder, tasks, pooling, both_orders=both_orders)
    with pytest.raises(BertramError, match=reason):
        chosen_task(model, name)


def test_a_family_without_a_fitting_class_is_refused(tmp_path: Path) -> None:
    save_peer("modernbert", tmp_path)
    save_tokenizer("modernbert", tmp_path, TEXTS * 3)
    with pytest.raises(BertramError, match="the sequence classifier of modernbert has a norm"):
        chosen_task(random_model(tmp_path, TASKS, "cls"), "sst")


def test_the_card_says_what_a_score_means(tiny_encoder: Path) -> None:
    model = random_model(tiny_encoder, study_tasks() | {"topics": TASKS["topics"]}, "cls")
    assert "0 + 5 · the score of the pipeline" in usage(model, model.tasks["sts"])
    assert "lower-cased, and a space was put before" in usage(model, model.tasks["quora"])
    assert "above the thresholds 0.2, 0.5, 0.7" in usage(model, model.tasks["topics"])
    decided = random_model(tiny_encoder, {"quora": changed_task(QUORA, thresholds=[0.8])}, "cls")
    assert f"; the run predicts “{QUORA.class_names[1]}” above 0.8." in usage(decided, decided.tasks["quora"])
    assert "is its probability. " in usage(model, model.tasks["quora"])
