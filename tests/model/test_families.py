"""Encoders of every family give the hidden states, gradients and files of the transformers library."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers")
import transformers
from tests.common.families import FAMILIES, HIDDEN, POSITIONS, VOCABULARY, save_peer

from bertram.data.packing import pack
from bertram.errors import WeightsError
from bertram.model.encoders import Encoder
from bertram.model.encoders.word_rows import WordRows
from bertram.model.pretrained import read_config, read_encoder

LENGTHS = ([30, 1, 41, 17, 140, 33, 2], [5, 9, 9, 3])
GRADIENT_TOLERANCE = {"modernbert": 1e-7}  # relative; that peer rotates in fp32, whatever the weights are
FIRST_ID = 3  # smaller ids are special tokens; the peers give padding inside a text another position


class Pair(NamedTuple):
    """Our encoder and the peer's, with the same weights."""

    encoder: Encoder
    peer: Any
    directory: Path


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    directory = tmp_path_factory.mktemp(request.param)
    peer = save_peer(request.param, directory)
    return Pair(read_encoder(directory), peer, directory)


def random_batch(lengths: list[int], seed: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids, and segments as of pairs."""
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(FIRST_ID, VOCABULARY, (n,), generator=generator).tolist() for n in lengths]
    return ids, [[0] * (n - n // 3) + [1] * (n // 3) for n in lengths]


def peer_inputs(pair: Pair, ids: list[list[int]], segments: list[list[int]]) -> dict[str, Tensor]:
    """The batch padded and masked, as it is used."""
    longest, padding = max(map(len, ids)), pair.peer.config.pad_token_id
    inputs = {
        "input_ids": torch.tensor([[*row, *[padding] * (longest - len(row))] for row in ids]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids]),
    }
    if pair.encoder.reads_segments:
        inputs["token_type_ids"] = torch.tensor([[*row, *[0] * (longest - len(row))] for row in segments])
    return inputs


def peer_states(pair: Pair, ids: list[list[int]], segments: list[list[int]]) -> list[Tensor]:
    states = pair.peer(**peer_inputs(pair, ids, segments)).last_hidden_state
    return [rows[: len(row)] for rows, row in zip(states, ids, strict=True)]


@pytest.mark.parametrize("lengths", LENGTHS, ids=["long", "short"])
def test_hidden_states_are_those_of_the_peer(pair: Pair, lengths: list[int]) -> None:
    batch = random_batch(lengths)
    with torch.no_grad():
        expected = peer_states(pair, *batch)
    for states, reference in zip(pair.encoder.hidden_states(*batch), expected, strict=True):
        assert float((states - reference).abs().max()) < 1e-5


def test_gradients_are_those_of_the_peer(pair: Pair) -> None:
    encoder, peer = read_encoder(pair.directory).double(), pair.peer.double()
    try:
        ids, segments = batch = random_batch([30, 41, 3, 17, 33, 1])
        generator = torch.Generator().manual_seed(1)
        upstream = [torch.randn(len(row), HIDDEN, generator=generator, dtype=torch.float64) for row in ids]
        reference = peer_states(Pair(encoder, peer, pair.directory), *batch)
        peer.zero_grad()
        torch.autograd.backward(reference, upstream)
        expected = {key: p.grad for key, p in peer.named_parameters() if p.grad is not None}
        packed = pack(ids, segments)
        states = encoder(packed).split(packed.lengths.tolist())
        weighted = [(states[place] * w).sum() for place, w in zip(packed.inverse_order, upstream, strict=True)]
        torch.stack(weighted).sum().backward()
        gradients = encoder.unfused(expected)
        tolerance = GRADIENT_TOLERANCE.get(encoder.config.model_type, 1e-9)
        for name, keys in encoder.hugging_face_keys().items():
            gradient = encoder.get_parameter(name).grad
            if "pooler" in name:
                assert gradient is None
                continue
            assert gradient is not None, name
            wanted = torch.cat([gradients[key] for key in keys])
            assert float((gradient - wanted).abs().max()) <= tolerance * max(1.0, float(wanted.abs().max())), name
    finally:
        peer.float()


def test_the_pooler_is_that_of_the_peer(pair: Pair) -> None:
    ids, segments = random_batch([12])
    if pair.encoder.pooler is None:
        assert not hasattr(pair.peer, "pooler")
        return
    with torch.no_grad():
        pooled = torch.tanh(pair.encoder.pooler(pair.encoder(pack(ids, segments), first_only=True)))
        assert float((pooled - pair.peer(**peer_inputs(pair, ids, segments)).pooler_output).abs().max()) < 1e-5


@pytest.mark.parametrize("grad", [False, True])
def test_the_first_tokens_alone_are_those_of_the_full_pass(pair: Pair, grad: bool) -> None:
    packed = pack(*random_batch([30, 2, 33, 41]))
    with torch.set_grad_enabled(grad):
        full, first = pair.encoder(packed)[packed.starts], pair.encoder(packed, first_only=True)
    assert float((first - full).detach().abs().max()) < 1e-5


def test_word_rows_give_the_same_states_and_the_gradient_of_the_table(pair: Pair) -> None:
    encoder, packed = pair.encoder, pack(*random_batch([5, 9, 9, 2]))
    rows = WordRows(encoder.word_embeddings, packed.token_ids)
    dense, gathered = encoder(packed), encoder(packed, words=rows)
    assert torch.equal(dense, gathered)
    (of_table,) = torch.autograd.grad(dense.square().sum(), encoder.word_embeddings)
    (of_rows,) = torch.autograd.grad(gathered.square().sum(), rows.rows)
    torch.testing.assert_close(rows.sparse(of_rows, VOCABULARY).to_dense(), of_table, atol=1e-4, rtol=1e-4)


def test_an_offset_has_the_width_of_the_embeddings(pair: Pair) -> None:
    encoder, packed = pair.encoder, pack(*random_batch([5, 7]))
    zeros = torch.zeros(12, encoder.config.embedding_width, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder(packed, offset=zeros).square().sum(), zeros)
    assert torch.equal(encoder(packed, offset=zeros), encoder(packed))
    assert float(gradient.abs().min(dim=1).values.max()) > 0


def test_bf16_stays_close_to_fp32(pair: Pair) -> None:
    batch = random_batch([20, 7, 20])
    exact = torch.cat(pair.encoder.hidden_states(*batch))
    pair.encoder.set_precision("bf16")
    rounded = torch.cat(pair.encoder.hidden_states(*batch))
    pair.encoder.set_precision("fp32")
    assert 0 < float((exact - rounded).norm() / exact.norm()) < 0.05


def test_layer_outputs_end_with_the_last_hidden_states(pair: Pair) -> None:
    packed = pack(*random_batch([5, 9]))
    with torch.no_grad():
        outputs = pair.encoder.layer_outputs(packed)
        assert len(outputs) == len(pair.encoder.layers)
        torch.testing.assert_close(outputs[-1], pair.encoder(packed), atol=1e-6, rtol=1e-6)


def test_files_come_back_as_they_went(pair: Pair) -> None:
    encoder = pair.encoder
    assert encoder.config.max_tokens == POSITIONS
    assert encoder.read_config(encoder.config_values(encoder.config)) == encoder.config == read_config(pair.directory)
    state, reference = encoder.hugging_face_state(), dict(pair.peer.state_dict())
    assert all(torch.equal(value, reference[key]) for key, value in state.items())
    assert state.keys() == {key for key in reference if "position_ids" not in key}


def test_the_head_of_a_model_fine_tuned_for_one_task_is_left_out(pair: Pair, tmp_path: Path) -> None:
    name, values = FAMILIES[pair.encoder.config.model_type]
    for task in ("SequenceClassification", "TokenClassification", "QuestionAnswering"):
        model_class: Any = getattr(transformers, f"{name}For{task}")
        model_class(getattr(transformers, f"{name}Config")(**values)).save_pretrained(tmp_path / task)
        assert read_encoder(tmp_path / task).config.hidden == HIDDEN


def changed_config(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = directory / "config.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("family", "values", "message"),
    [
        ("roberta", {"model_type": "longformer"}, "model_type is 'longformer'; families that are read: bert, roberta"),
        ("modernbert", {"attention_bias": True}, "attention_bias is true"),
        ("modernbert", {"layer_types": ["sliding_attention"] * 4}, "layer_types: attention over the whole sequence"),
        ("distilbert", {"activation": "relu"}, "activation is 'relu', gelu is supported"),
        ("mpnet", {"hidden_size": 25}, "hidden_size 25 cannot be divided by 3 heads"),
        ("electra", {"max_position_embeddings": 0}, "max_position_embeddings is not a positive number"),
        ("xlm-roberta", {"max_position_embeddings": 2}, "max_position_embeddings 2 leaves no position for a token"),
    ],
)
def test_an_encoder_that_is_not_read_says_why_in_one_line(
    family: str, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save_peer(family, tmp_path)
    changed_config(tmp_path, lambda config: config.update(values))
    with pytest.raises(WeightsError) as refused:
        read_encoder(tmp_path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
