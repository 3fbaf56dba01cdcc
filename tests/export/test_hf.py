"""What `transformers` makes of an exported encoder."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.models import TEXTS, random_model, study_tasks
from transformers import AutoTokenizer, BertModel

from bertram.export.hf import save_encoder
from bertram.prediction.model import Model

UNUSUAL = ["Ünïcödé, don't — “quote” 2.5%", "漢字 and emoji 🙂 mixed", "a" * 300, "MiXeD CaSe\tand\u00a0spaces"]


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> Model:
    return random_model(tiny_encoder, study_tasks(), max_tokens=48)


@pytest.fixture(scope="module")
def exported(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hf")
    save_encoder(model, directory)
    return directory


def test_its_tokenizer_gives_our_token_ids(model: Model, exported: Path) -> None:
    theirs = AutoTokenizer.from_pretrained(exported)
    texts = [*TEXTS, *UNUSUAL, "word " * 200]
    ours = [model.tokenizer.joined([piece], model.max_tokens)[0] for piece in model.tokenizer.encode(texts)]
    assert theirs(texts, truncation=True)["input_ids"] == ours


def test_pairs_have_our_segments(model: Model, exported: Path) -> None:
    a, b = model.tokenizer.encode(TEXTS[:2])
    ids, segments, _ = model.tokenizer.joined([a, b], model.max_tokens)
    theirs = AutoTokenizer.from_pretrained(exported)(*TEXTS[:2])
    assert (theirs["input_ids"], theirs["token_type_ids"]) == (ids, segments)


def test_bert_model_gives_our_hidden_states(model: Model, exported: Path) -> None:
    pair: Any = BertModel.from_pretrained(exported, output_loading_info=True)
    theirs, loading = pair
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    inputs = AutoTokenizer.from_pretrained(exported)([*TEXTS, *UNUSUAL], padding=True, truncation=True,
                                                     return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        hidden = theirs.eval()(**inputs).last_hidden_state
    rows = [
        ids[: int(mask.sum())].tolist() for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    ]
    for found, wanted in zip(hidden, model.network.encoder.hidden_states(rows), strict=True):
        torch.testing.assert_close(found[: len(wanted)], wanted, atol=1e-5, rtol=1e-5)
