"""Heads that read a marked target: beside other tasks, in training, prediction and serving."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.models import random_model
from tests.common.trainings import tiny_config

from bertram.data.examples import make_examples
from bertram.errors import BertramError
from bertram.export.write import export
from bertram.model.dropout import NO_DROPOUT
from bertram.prediction.load import load
from bertram.serving.batched_predict import predict_rows, prepare
from bertram.task_files import Files
from bertram.tasks import SST, Task
from bertram.training.train import train

PAIRS = [
    ("the <t>plane</t> left at noon", "a <t>plane</t> in space has no end and no beginning, said the teacher"),
    ("<t>planes</t> and trains", "he cut the old <t>plane tree</t> down"),
    ("who took the <t>plane</t>?", "<t>plane</t>"),
]


def target_task(name: str = "wic", **changes: Any) -> Task:
    values = {
        "name": name,
        "kind": "score",
        "range": (1, 4),
        "encoding": "bi",
        "head": "cosine",
        "pooling": "target",
        "files": Files(train="train.tsv", dev="train.tsv", texts=("text1", "text2")),
    }
    return Task.model_validate(values | changes)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_a_head_reads_the_mean_of_the_target_s_tokens(tiny_encoder: Path, pooling: str) -> None:
    model = random_model(tiny_encoder, {"sst": SST, "wic": target_task()}, pooling)
    network, texts = model.network, [("no target here",), ("none here either, and it is longer",)]
    wic = make_examples(model.tasks["wic"], ["1", "2", "3"], PAIRS, model.tokenizer, 64).batch(range(3))
    sst = make_examples(SST, ["1", "2"], texts, model.tokenizer, 64).batch(range(2))
    raw_sst, raw_wic = network([sst, wic])

    states = network.encoder.hidden_states([tokens for tokens, _ in wic.sequences])
    assert wic.targets is not None
    means = torch.stack([state[begin:end].mean(0) for state, ((begin, end),) in zip(states, wic.targets, strict=True)])
    expected = network.heads["wic"](means, NO_DROPOUT)
    torch.testing.assert_close(raw_wic, expected)
    torch.testing.assert_close(raw_sst, network([sst])[0])
    torch.testing.assert_close(raw_wic, network([wic])[0])


def test_features_of_one_sequence_are_those_of_its_two_targets(tiny_encoder: Path) -> None:
    task = target_task(encoding="cross", head="features")
    model = random_model(tiny_encoder, {"wic": task})
    batch = make_examples(task, ["1", "2", "3"], PAIRS, model.tokenizer, 64).batch(range(3))
    ids, segments = zip(*batch.sequences, strict=True)
    states = model.network.encoder.hidden_states(ids, segments)
    assert batch.targets is not None
    means = [
        torch.stack([state[slice(*spans[place])].mean(0) for state, spans in zip(states, batch.targets, strict=True)])
        for place in (0, 1)
    ]
    torch.testing.assert_close(model.network([batch])[0], model.network.heads["wic"](torch.cat(means), NO_DROPOUT))


def test_other_words_around_a_target_change_the_answer_and_so_does_another_target(tiny_encoder: Path) -> None:
    model = random_model(tiny_encoder, {"wic": target_task()})
    pairs = [
        ("the <t>plane</t> left the field", "a <t>plane</t>"),
        ("the plane left the <t>field</t>", "a <t>plane</t>"),
        ("the <t>plane</t> left the house", "a <t>plane</t>"),
    ]
    values = [prediction.value for prediction in model.predict("wic", pairs)]
    assert len(set(values)) == 3


def test_served_answers_are_those_of_predict(tiny_encoder: Path) -> None:
    model = random_model(tiny_encoder, {"sst": SST, "wic": target_task()}, max_tokens=12)
    wic, sst = prepare(model, "wic", PAIRS), prepare(model, "sst", ["a fine film"])
    served = predict_rows(model, [*wic, *sst])
    expected = [*model.predict("wic", PAIRS), *model.predict("sst", ["a fine film"])]
    assert [one.value for one in served] == pytest.approx([one.value for one in expected], abs=1e-5)


def test_a_text_without_a_target_is_refused(tiny_encoder: Path) -> None:
    model = random_model(tiny_encoder, {"wic": target_task()})
    with pytest.raises(BertramError, match="input 1: the text has no target; mark the target of each text once"):
        model.predict("wic", [PAIRS[0], ("<t>marked</t>", "not marked")])


@pytest.mark.slow
def test_such_a_task_trains_beside_others_and_only_the_encoder_is_exported(tiny_encoder: Path, tmp_path: Path) -> None:
    rows = [f"{first}\t{second}\t{1 + number % 4}" for number in range(4) for first, second in PAIRS]
    (tmp_path / "train.tsv").write_text("\n".join(["text1\ttext2\tlabel", *rows]) + "\n")
    task = target_task(files={"train": str(tmp_path / "train.tsv"), "dev": str(tmp_path / "train.tsv"),
                              "texts": ("text1", "text2")})  # fmt: skip
    config = tiny_config(
        tiny_encoder,
        tasks={"wic": task, "sst": SST.model_copy(update={"max_train_samples": 24})},
        smart={"tasks": ["wic"]},
        surgery={"method": "pcgrad"},
        model={"pooling": "cls"},
    )
    run = train(config, tmp_path / "run")
    assert run.record["scores"]["dev"]["wic"]["pearson"]["n"] == 12
    with pytest.raises(BertramError, match=r"tasks\.wic: it pools a marked target"):
        export(run.path, "onnx", tmp_path / "onnx", "wic")
    export(run.path, "hf", tmp_path / "hf")
    assert load(run.path).predict("wic", PAIRS)
