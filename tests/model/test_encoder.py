"""The encoder is BERT: its hidden states and gradients are those of the transformers library, packed or alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bertram.data.packing import pack
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.encoders import Encoder, EncoderConfig
from bertram.model.encoders.bert import BertEncoder
from bertram.model.encoders.word_rows import WordRows
from bertram.model.pretrained import find, read_encoder

transformers = pytest.importorskip("transformers")

Batch = tuple[list[list[int]], list[list[int]]]
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"vocab_size": 300, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3,
             "intermediate_size": 40, "layer_norm_eps": 1e-6},
    "base width": {"vocab_size": 500, "hidden_size": 768, "num_hidden_layers": 2, "num_attention_heads": 12,
                   "intermediate_size": 3072},
}  # fmt: skip


def random_batch(lengths: list[int], vocabulary: int, seed: int) -> Batch:
    """Token ids, and segments 0…0 1…1 that change anywhere."""
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(vocabulary, (n,), generator=generator).tolist() for n in lengths]
    ends = [int(torch.randint(n + 1, (1,), generator=generator)) for n in lengths]
    return ids, [[0] * end + [1] * (n - end) for n, end in zip(lengths, ends, strict=True)]


def peer_of(name: str, directory: Path) -> tuple[Encoder, torch.nn.Module]:
    """Our encoder and the peer's, of MiniLM or of random weights that the peer wrote in the Hub layout."""
    if name == "minilm":
        directory = find("minilm")
    else:
        torch.manual_seed(0)
        peer = transformers.BertModel(transformers.BertConfig(**SHAPES[name]))
        with torch.no_grad():
            for parameter in peer.parameters():  # its norms start at 1 and its biases at 0, which would hide mistakes
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
        peer.save_pretrained(directory)
    return read_encoder(directory), transformers.BertModel.from_pretrained(directory).eval()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Encoder, torch.nn.Module]]:
    return {name: peer_of(name, tmp_path_factory.mktemp("peer")) for name in ("minilm", *SHAPES)}


def peer_states(peer: torch.nn.Module, batch: Batch) -> list[Tensor]:
    """The peer's hidden states: the batch padded and masked, as it is used."""
    ids, segments = batch
    longest = max(map(len, ids))
    outputs = peer(
        input_ids=torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids]),
        token_type_ids=torch.tensor([[*row, *[0] * (longest - len(row))] for row in segments]),
        attention_mask=torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids]),
    )
    return [states[: len(row)] for states, row in zip(outputs.last_hidden_state, ids, strict=True)]


@pytest.mark.parametrize("name", ["minilm", *SHAPES])
@pytest.mark.parametrize(
    "lengths",
    [pytest.param([512, 1, 300, 17], marks=pytest.mark.slow, id="long"),
     pytest.param([5, 64, 3, 23, 5, 2, 40, 41, 9], id="short")],
)  # fmt: skip
def test_hidden_states_are_those_of_the_peer(
    pairs: dict[str, tuple[Encoder, torch.nn.Module]], name: str, lengths: list[int]
) -> None:
    encoder, peer = pairs[name]
    batch = random_batch(lengths, encoder.config.vocabulary, seed=len(lengths))
    with torch.no_grad():
        expected = peer_states(peer, batch)
    for ours, theirs in zip(encoder.hidden_states(*batch), expected, strict=True):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().max()) < 1e-5


@settings(deadline=None, max_examples=15)
@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=8), seed=st.integers(0, 1000))
def test_hidden_states_of_any_batch_are_those_of_the_peer(
    pairs: dict[str, tuple[Encoder, torch.nn.Module]], lengths: list[int], seed: int
) -> None:
    encoder, peer = pairs["tiny"]
    batch = random_batch(lengths, encoder.config.vocabulary, seed)
    for ours, theirs in zip(encoder.hidden_states(*batch), peer_states(peer, batch), strict=True):
        assert float((ours - theirs).detach().abs().max()) < 1e-5


@pytest.mark.parametrize("name", ["minilm", *SHAPES])
def test_the_pooler_is_that_of_the_peer(pairs: dict[str, tuple[Encoder, torch.nn.Module]], name: str) -> None:
    encoder, peer = pairs[name]
    ids, _ = random_batch([12], encoder.config.vocabulary, seed=0)
    with torch.no_grad():
        assert encoder.pooler is not None
        ours = torch.tanh(encoder.pooler(encoder(pack(ids), first_only=True)))
        assert float((ours - peer(torch.tensor(ids)).pooler_output).abs().max()) < 1e-5


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("tiny", 1e-10),
        *(pytest.param(*wide, marks=pytest.mark.slow) for wide in (("base width", 1e-10), ("minilm", 1e-8))),
    ],
)
def test_gradients_are_those_of_the_peer(
    pairs: dict[str, tuple[Encoder, torch.nn.Module]], tmp_path: Path, name: str, tolerance: float
) -> None:
    encoder, peer = peer_of(name, tmp_path)
    encoder.double()
    peer.double()
    lengths = [9, 3, 14, 3, 1, 11]
    ids, segments = batch = random_batch(lengths, encoder.config.vocabulary, seed=1)
    generator = torch.Generator().manual_seed(2)
    upstream = [torch.randn(n, encoder.config.hidden, generator=generator, dtype=torch.float64) for n in lengths]
    theirs_out = peer_states(peer, batch)
    torch.stack([(x * w).sum() for x, w in zip(theirs_out, upstream, strict=True)]).sum().backward()
    theirs = {key: parameter.grad for key, parameter in peer.named_parameters()}
    packed = pack(ids, segments)
    ours_out = encoder(packed).split(packed.lengths.tolist())
    weighted = [(ours_out[place] * w).sum() for place, w in zip(packed.inverse_order, upstream, strict=True)]
    torch.stack(weighted).sum().backward()
    for ours, keys in encoder.hugging_face_keys().items():
        found = encoder.get_parameter(ours).grad
        if "pooler" in ours:
            assert found is None
            continue
        assert found is not None
        expected = torch.cat([gradient for key in keys if (gradient := theirs[key]) is not None])
        scale = float(expected.abs().max())
        assert float((found - expected).abs().max()) <= tolerance * max(scale, 1.0), ours


def test_an_offset_is_added_to_the_word_embeddings_alone(pairs: dict[str, tuple[Encoder, torch.nn.Module]]) -> None:
    encoder, peer = pairs["tiny"]
    ids, _ = random_batch([8], encoder.config.vocabulary, seed=0)
    offset = torch.randn(8, encoder.config.hidden)
    words = peer.get_submodule("embeddings.word_embeddings")(torch.tensor(ids))
    with torch.no_grad():
        expected = peer(inputs_embeds=words + offset).last_hidden_state[0]
        assert float((encoder(pack(ids), offset=offset) - expected).abs().max()) < 1e-5


@pytest.fixture(scope="module")
def small() -> Encoder:
    encoder = BertEncoder(EncoderConfig(vocabulary=50, hidden=12, layers=2, heads=2, intermediate=20, max_tokens=32))
    encoder.initialize(torch.Generator().manual_seed(0), std=0.3)
    return encoder


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(1, 32), min_size=1, max_size=10), seed=st.integers(0, 1000), grad=st.booleans())
def test_a_packed_pass_equals_each_sequence_alone(small: Encoder, lengths: list[int], seed: int, grad: bool) -> None:
    ids, segments = random_batch(lengths, 50, seed)
    with torch.set_grad_enabled(grad):
        packed = pack(ids, segments)
        parts = small(packed).split(packed.lengths.tolist())
        for number, rank in enumerate(packed.inverse_order.tolist()):
            alone = small(pack([ids[number]], [segments[number]]))
            assert torch.allclose(parts[rank], alone, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(1, 32), min_size=1, max_size=10), seed=st.integers(0, 1000))
def test_the_first_tokens_alone_are_those_of_the_full_pass(small: Encoder, lengths: list[int], seed: int) -> None:
    packed = pack(*random_batch(lengths, 50, seed))
    upstream = torch.randn(len(lengths), 12, generator=torch.Generator().manual_seed(seed))
    full, first = small(packed)[packed.starts], small(packed, first_only=True)
    assert torch.allclose(first, full, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(small(packed, first_only=True), full, atol=1e-5)
    used = [parameter for name, parameter in small.named_parameters() if "pooler" not in name]
    for a, b in zip(
        torch.autograd.grad((full * upstream).sum(), used),
        torch.autograd.grad((first * upstream).sum(), used),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-4 * max(1.0, float(a.abs().max())))


def test_gathered_rows_give_the_same_states_and_the_gradient_of_the_table(small: Encoder) -> None:
    packed = pack(*random_batch([5, 9, 9, 2], 50, seed=3))
    rows = WordRows(small.word_embeddings, packed.token_ids)
    upstream = torch.randn(len(packed.token_ids), 12)
    dense_out, rows_out = small(packed), small(packed, words=rows)
    assert torch.equal(dense_out, rows_out)
    (dense,) = torch.autograd.grad((dense_out * upstream).sum(), small.word_embeddings)
    (gathered,) = torch.autograd.grad((rows_out * upstream).sum(), rows.rows)
    sparse = rows.sparse(gathered, 50)
    assert sparse.is_coalesced()
    assert sparse.shape == small.word_embeddings.shape
    assert torch.allclose(sparse.to_dense(), dense, atol=1e-6)
    assert rows.ids.tolist() == sorted(set(packed.token_ids.tolist()))


def test_dropout_is_drawn_for_embeddings_attention_and_each_sub_layer(small: Encoder) -> None:
    packed = pack(*random_batch([6, 6], 50, seed=3))
    plain = small(packed)
    for rates in ({"hidden_rate": 0.5}, {"attention_rate": 0.5}):
        outputs = [small(packed, Dropout(torch.Generator().manual_seed(seed), **rates)) for seed in (0, 0, 1)]
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])
        assert not torch.equal(outputs[0], plain)
    assert torch.equal(small(packed, Dropout(torch.Generator(), head_rate=0.5)), plain)
    assert torch.equal(small(packed, NO_DROPOUT), plain)


def test_bf16_stays_close_to_fp32(pairs: dict[str, tuple[Encoder, torch.nn.Module]]) -> None:
    encoder, _ = pairs["minilm"]
    batch = random_batch([20, 7, 20], encoder.config.vocabulary, seed=0)
    exact = torch.cat(encoder.hidden_states(*batch))
    encoder.set_precision("bf16")
    rounded = torch.cat(encoder.hidden_states(*batch))
    encoder.set_precision("fp32")
    assert rounded.dtype == torch.float32
    assert 0 < float((exact - rounded).norm() / exact.norm()) < 0.03
    assert torch.equal(torch.cat(encoder.hidden_states(*batch)), exact)


def test_hidden_states_come_in_the_order_given_without_a_graph(small: Encoder) -> None:
    found = small.hidden_states([[1] * 9, [2], [3] * 4])
    assert [tuple(one.shape) for one in found] == [(9, 12), (1, 12), (4, 12)]
    assert not any(one.requires_grad for one in found)
    assert small.hidden_states([]) == []


def test_segments_are_zero_by_default(small: Encoder) -> None:
    zeros = small.hidden_states([[4, 5], [6]], [[0, 0], [0]])
    ones = small.hidden_states([[4, 5], [6]], [[0, 1], [0]])
    default = small.hidden_states([[4, 5], [6]])
    assert torch.equal(torch.cat(zeros), torch.cat(default))
    assert not torch.equal(ones[0], default[0])


@pytest.mark.parametrize(
    ("ids", "segments", "said"),
    [
        ([[1], []], None, "sequence 1 has 0 tokens; 1 to 32"),
        ([[1] * 33], None, "sequence 0 has 33 tokens; 1 to 32"),
        ([[1, 2], [3]], [[0], [0, 0]], "one segment id for each token"),
        ([[1, 2], [3]], [[0, 0]], "one segment id for each token"),
    ],
)
def test_sequences_that_cannot_be_read_are_refused(
    small: Encoder, ids: list[list[int]], segments: list[list[int]] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        small.hidden_states(ids, segments)


def test_random_weights_come_from_the_generator() -> None:
    shape = EncoderConfig(vocabulary=400, hidden=60, layers=1, heads=2, intermediate=80)
    first, second = BertEncoder(shape), BertEncoder(shape)
    for encoder in (first, second):
        encoder.initialize(torch.Generator().manual_seed(5))
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, second.get_parameter(name))
        if parameter.ndim == 2:
            assert float(parameter.detach().std()) == pytest.approx(0.02, rel=0.1)
        else:
            assert bool((parameter == (1.0 if name.endswith("norm.weight") else 0.0)).all())
