"""Rows of several tasks in one pass of the encoder."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.families import save_peer, save_tokenizer
from tests.common.models import PAIRS, TEXTS, changed_task, random_model, study_tasks
from torch import nn

from bertram.errors import BertramError
from bertram.prediction.load import Ensemble
from bertram.prediction.model import Model, Prediction, Text
from bertram.serving.batched_predict import predict_rows, prepare
from bertram.tasks import SST

REQUESTS: list[tuple[str, list[Text]]] = [
    ("sst", list(TEXTS)),
    ("sts", list(PAIRS[:1])),
    ("ranks", list(TEXTS[:2])),
    ("quora", list(PAIRS)),
    ("sst", list(TEXTS[::-1])),
    ("sts", list(PAIRS[1:])),
]
RANKS = {"ranks": changed_task(SST, name="ranks", loss="coral")}


def counted_passes(network: nn.Module) -> list[int]:
    """A list that grows with every pass of an encoder."""
    passes: list[int] = []
    network.register_forward_pre_hook(lambda *_: passes.append(1))
    return passes


def encoded_tokens(network: nn.Module) -> list[int]:
    """A list of the number of tokens in every pass of an encoder."""
    tokens: list[int] = []
    network.register_forward_pre_hook(lambda _, inputs: tokens.append(len(inputs[0].token_ids)))
    return tokens


def together(model: Any) -> list[Prediction]:
    return predict_rows(model, [row for task, texts in REQUESTS for row in prepare(model, task, texts)])


def alone(model: Any) -> list[Prediction]:
    return [prediction for task, texts in REQUESTS for prediction in model.predict(task, texts)]


def assert_close(predictions: list[Prediction], wanted: list[Prediction]) -> None:
    for prediction, other in zip(predictions, wanted, strict=True):
        assert prediction.value == pytest.approx(other.value, abs=1e-5)
        assert prediction.probabilities == pytest.approx(other.probabilities, abs=1e-5)


@pytest.mark.parametrize("pair", [{}, {"encoding": "bi", "head": "cosine"}], ids=["cross", "bi"])
@pytest.mark.parametrize("both_orders", [False, True])
@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_one_pass_gives_each_request_its_own_predictions(
    pooling: str, both_orders: bool, pair: dict[str, str], tiny_encoder: Path
) -> None:
    model = random_model(tiny_encoder, study_tasks(**pair) | RANKS, pooling, both_orders=both_orders)
    passes = counted_passes(model.network.encoder)
    predictions = together(model)
    assert len(passes) == 1
    assert_close(predictions, alone(model))


@pytest.mark.parametrize("pair", [{}, {"encoding": "bi", "head": "cosine"}], ids=["cross", "bi"])
@pytest.mark.parametrize("both_orders", [False, True])
def test_rows_of_one_task_get_what_predict_gives_to_the_bit(
    both_orders: bool, pair: dict[str, str], tiny_encoder: Path
) -> None:
    model = random_model(tiny_encoder, study_tasks(**pair), both_orders=both_orders, max_tokens=16)
    texts = [*TEXTS, "good " * 40, *TEXTS[::-1]]
    pairs = [*PAIRS, ("good " * 40, "bad " * 30), *PAIRS[::-1]]
    for task in model.tasks.values():
        inputs: list[Any] = pairs if task.pair else texts
        assert predict_rows(model, prepare(model, task.name, inputs)) == model.predict(task.name, inputs)


@pytest.mark.parametrize("pair", [{}, {"encoding": "bi", "head": "cosine"}], ids=["cross", "bi"])
@pytest.mark.parametrize("both_orders", [False, True])
def test_the_cost_of_rows_is_the_number_of_tokens_that_the_encoder_reads(
    both_orders: bool, pair: dict[str, str], tiny_encoder: Path
) -> None:
    model = random_model(tiny_encoder, study_tasks(**pair), both_orders=both_orders, max_tokens=16)
    tokens = encoded_tokens(model.network.encoder)
    inputs: dict[str, list[Any]] = {"sst": [*TEXTS, "good " * 40], "sts": [*PAIRS, ("good " * 40, "bad " * 30)]}
    for task, texts in inputs.items():
        rows = prepare(model, task, texts)
        predict_rows(model, rows)
        assert tokens.pop() == sum(row.cost for row in rows)
        assert all(len(piece) <= 16 for row in rows for piece in row.pieces)


def test_the_cost_knows_the_separators_of_every_family(tmp_path: Path) -> None:
    """RoBERTa puts two tokens between the texts of a pair."""
    save_peer("roberta", tmp_path)
    save_tokenizer("roberta", tmp_path, TEXTS * 3)
    model = random_model(tmp_path, study_tasks())
    tokens = encoded_tokens(model.network.encoder)
    rows = prepare(model, "sts", PAIRS)
    predict_rows(model, rows)
    assert tokens.pop() == sum(row.cost for row in rows)


def test_an_ensemble_computes_each_task_by_itself_and_costs_the_sum_of_its_members(tiny_encoder: Path) -> None:
    members = [random_model(tiny_encoder, study_tasks() | RANKS, pooling, max_tokens=longest) for pooling, longest in
               (("cls", 8), ("mean", 24))]  # fmt: skip
    model = Ensemble(members)
    tokens = [encoded_tokens(member.network.encoder) for member in members]
    rows = prepare(model, "sst", TEXTS)
    assert predict_rows(model, rows) == model.predict("sst", TEXTS)
    assert sum(row.cost for row in rows) == tokens[0][0] + tokens[1][0]
    assert_close(together(model), alone(model))


def test_a_text_that_cannot_be_predicted_is_an_error(tiny_encoder: Path) -> None:
    with pytest.raises(BertramError, match="input 1: text is empty"):
        prepare(random_model(tiny_encoder, study_tasks()), "sst", ["good", " "])


@pytest.mark.parametrize("damage", [float("nan"), float("inf")])
def test_an_output_that_is_not_finite_is_an_error(damage: float, tiny_encoder: Path) -> None:
    model: Model = random_model(tiny_encoder, study_tasks())
    with torch.no_grad():
        next(model.network.encoder.parameters()).fill_(damage)
    for task, inputs in (("sst", TEXTS), ("sts", PAIRS)):
        with pytest.raises(BertramError, match=f"task {task}: the model's output is not finite"):
            predict_rows(model, prepare(model, task, inputs))
        with pytest.raises(BertramError, match="not finite"):
            model.predict(task, inputs)
