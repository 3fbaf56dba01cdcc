"""Requests for several tasks in one pass of the encoder."""

from pathlib import Path
from typing import Any

import pytest
from tests.common.models import PAIRS, TEXTS, changed_task, random_model, study_tasks
from torch import nn

from bertram.errors import BertramError
from bertram.prediction.load import Ensemble
from bertram.prediction.model import Predictor
from bertram.serving.batched_predict import PredictRequest, predict_together
from bertram.tasks import SST

ASKED: list[PredictRequest] = [
    ("sst", TEXTS),
    ("sts", PAIRS[:1]),
    ("ranks", TEXTS[:2]),
    ("quora", PAIRS),
    ("sst", TEXTS[::-1]),
    ("sts", PAIRS[1:]),
]
RANKS = {"ranks": changed_task(SST, name="ranks", loss="coral")}


def passes(network: nn.Module) -> list[int]:
    """A list that grows with every pass of an encoder."""
    found: list[int] = []
    network.register_forward_pre_hook(lambda *_: found.append(1))
    return found


def same_as_alone(model: Predictor, found: list[list[Any]]) -> None:
    for (task, texts), answers in zip(ASKED, found, strict=True):
        for one, wanted in zip(answers, model.predict(task, texts), strict=True):  # type: ignore[attr-defined]
            assert one.value == pytest.approx(wanted.value, abs=1e-5)
            assert one.probabilities == pytest.approx(wanted.probabilities, abs=1e-5)


@pytest.mark.parametrize("pair", [{}, {"encoding": "bi", "head": "cosine"}], ids=["cross", "bi"])
@pytest.mark.parametrize("both_orders", [False, True])
@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_one_pass_gives_each_request_its_own_predictions(
    pooling: str, both_orders: bool, pair: dict[str, str], tiny_encoder: Path
) -> None:
    model = random_model(tiny_encoder, study_tasks(**pair) | RANKS, pooling, both_orders=both_orders)
    counted = passes(model.network.encoder)
    found = predict_together(model, ASKED, 64)
    assert len(counted) == 1
    same_as_alone(model, found)


def test_more_texts_than_fit_one_pass_are_computed_in_several(tiny_encoder: Path) -> None:
    model = random_model(tiny_encoder, study_tasks() | RANKS)
    counted = passes(model.network.encoder)
    found = predict_together(model, ASKED, 8)
    assert len(counted) == 4  # one a task
    same_as_alone(model, found)


def test_an_ensemble_computes_each_task_by_itself(tiny_encoder: Path) -> None:
    members = [random_model(tiny_encoder, study_tasks() | RANKS, pooling) for pooling in ("cls", "mean")]
    model = Ensemble(members)
    same_as_alone(model, predict_together(model, ASKED, 64))


def test_a_text_that_cannot_be_predicted_is_an_error(tiny_encoder: Path) -> None:
    with pytest.raises(BertramError, match="input 1: text is empty"):
        predict_together(random_model(tiny_encoder, study_tasks()), [("sst", ["good", " "])], 64)
