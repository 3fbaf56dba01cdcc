"""Encoders of every family train with each technique, resume, and are exported."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.common.quick import quick_only

pytest.importorskip("transformers")
from tests.common.families import FAMILIES, POSITIONS, save_peer, save_tokenizer
from tests.common.models import PAIRS, TEXTS, changed_task, random_model
from tests.common.trainings import begin_training, copy_weights, equal_weights, take_steps, tiny_config

from bertram.data.examples import Examples
from bertram.data.packing import pack
from bertram.errors import ConfigError, WeightsError
from bertram.export import hf, onnx
from bertram.export.sentence_transformers import save_scores, save_vectors
from bertram.prediction.load import load
from bertram.tasks import QUORA
from bertram.training.train import train

TECHNIQUES: dict[str, dict[str, Any]] = {
    "first-tokens": {"model": {"pooling": "cls"}},
    "dense": {"optimizer": {"embedding_update": "dense"}},
    "smart": {"smart": {"tasks": ["sst", "sts"], "radius": 0.5}},
    "surgery-by-layer": {"surgery": {"method": "pcgrad", "granularity": "layer"}},
    "bf16": {"precision": "bf16"},
    "features": {"tasks": {name: {"head": "features"} for name in ("quora", "sts")}},
}


@pytest.fixture(scope="module", params=quick_only({"roberta"}, FAMILIES))
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp(request.param)
    save_peer(request.param, directory)
    save_tokenizer(request.param, directory, [*TEXTS, "what is the best way to learn to play the piano?"])
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_each_technique_trains_the_encoder(encoder: Path, technique: str) -> None:
    training = begin_training(tiny_config(encoder, **TECHNIQUES[technique]))
    before = copy_weights(training)
    reports = take_steps(training, 2)
    for report in reports:
        assert all(np.isfinite(figures["loss"]) for figures in report.losses.values())
        if technique == "smart":
            assert report.losses["sst"]["smart/penalty"] > 0
    after = copy_weights(training)
    unmoved = {name for name in before if name.startswith("encoder.") and torch.equal(before[name], after[name])}
    assert not {name for name in unmoved if "pooler" not in name}


@pytest.mark.slow
def test_a_resumed_training_ends_with_the_same_weights(encoder: Path) -> None:
    config = tiny_config(encoder, smart={"tasks": ["sst"]}, surgery={"method": "pcgrad"})
    whole, resumed = begin_training(config), begin_training(config)
    take_steps(whole, 2)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    take_steps(whole, 2)
    take_steps(resumed, 2)
    assert equal_weights(copy_weights(whole), copy_weights(resumed))


@pytest.mark.slow
def test_a_run_predicts_as_the_training_did(encoder: Path, tmp_path: Path) -> None:
    run = train(tiny_config(encoder, sampling={"epochs": 1}), tmp_path / "run")
    model = load(run)
    assert len(model.predict("quora", PAIRS)) == len(PAIRS)
    assert run.record["encoder"]["shape"]["layers"] == 4


def test_an_exported_encoder_gives_the_peer_our_hidden_states(encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    model = random_model(encoder, {"quora": QUORA})
    hf.save_encoder(model, tmp_path)
    tokenizer, peer = AutoTokenizer.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path).eval()
    inputs = tokenizer(*map(list, zip(*PAIRS, strict=True)), padding=True, return_tensors="pt")
    with torch.no_grad():
        states = peer(**inputs).last_hidden_state
    columns = [model.tokenizer.encode(texts) for texts in zip(*PAIRS, strict=True)]
    joined = [model.tokenizer.joined(pieces, 512)[:2] for pieces in zip(*columns, strict=True)]
    ours = model.network.encoder.hidden_states([ids for ids, _ in joined], [segments for _, segments in joined])
    for rows, reference in zip(states, ours, strict=True):
        assert float((rows[: len(reference)] - reference).abs().max()) < 1e-5


@pytest.mark.parametrize("head", quick_only({"features"}, ["linear", "features"]))
def test_graphs_give_our_probabilities(encoder: Path, head: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    import tokenizers

    from bertram.prediction.engines.making import write_graphs

    task = changed_task(QUORA, head=head)
    model = random_model(encoder, {"quora": task}, max_tokens=POSITIONS)
    onnx.save_graphs(model, [task], tmp_path)
    tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.enable_padding()
    encodings = tokenizer.encode_batch(PAIRS)
    feed = {
        "input_ids": np.array([row.ids for row in encodings]),
        "attention_mask": np.array([row.attention_mask for row in encodings]),
        "token_type_ids": np.array([row.type_ids for row in encodings]),
    }
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    [found] = session.run(["quora.probabilities"], {one.name: feed[one.name] for one in session.get_inputs()})
    pieces = model.tokenizer.encode_rows(PAIRS)
    wanted = model.outputs(Examples(task, ["0", "1", "2"], pieces, None, model.tokenizer, POSITIONS))
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
    assert write_graphs(model, tmp_path, sha256="").difference < 1e-5  # the engine's own graph


def test_what_an_encoder_cannot_do_is_said_before_training(tmp_path: Path) -> None:
    save_peer("distilbert", tmp_path)
    save_tokenizer("distilbert", tmp_path, TEXTS)
    with pytest.raises(ConfigError, match=r"model.pooling: this encoder has no pooler; use cls or mean"):
        begin_training(tiny_config(tmp_path, model={"pooling": "pooler"}))
    with pytest.raises(ConfigError, match=r"model.max_length: the encoder has 140 positions"):
        begin_training(tiny_config(tmp_path, model={"max_length": 141}))
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"no tokenizer\.json and no vocab\.txt"):
        begin_training(tiny_config(tmp_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sentence_transformers_gives_our_vectors_and_scores(encoder: Path, tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    plain = changed_task(QUORA, text_normalization="plain")  # some tokenizers know case, and the library keeps it
    bi_encoded = changed_task(plain, encoding="bi", head="cosine")
    bi = random_model(encoder, {"quora": bi_encoded}, "mean", max_tokens=POSITIONS)
    save_vectors(bi, tmp_path / "vectors")
    vectors = sentence_transformers.SentenceTransformer(str(tmp_path / "vectors"), device="cpu").encode(TEXTS)
    pieces = bi.tokenizer.encode(TEXTS)
    with torch.no_grad():
        pooled = bi.network.pooled(pack([bi.tokenizer.joined([ids], POSITIONS)[0] for ids in pieces]))
    np.testing.assert_allclose(vectors, pooled, atol=1e-5)
    cross = random_model(encoder, {"quora": plain}, "mean", max_tokens=POSITIONS)
    save_scores(cross, plain, tmp_path / "scores")
    scores = sentence_transformers.CrossEncoder(str(tmp_path / "scores"), device="cpu").predict(PAIRS)
    yes = [prediction.probabilities[1] for prediction in cross.predict("quora", PAIRS) if prediction.probabilities]
    np.testing.assert_allclose(scores, yes, atol=1e-5)
