"""Attention over packed tokens against a plain reference, sequence by sequence, and its gradient."""

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bertram.data import packing
from bertram.data.packing import Packed, pack
from bertram.model.attention import attend
from bertram.model.dropout import NO_DROPOUT, Dropout

HEADS, WIDTH = 2, 6
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=9)


def packed(lengths: list[int]) -> Packed:
    return pack([[0] * length for length in lengths])


def inputs(batch: Packed, *, first_only: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = len(batch) if first_only else len(batch.token_ids)
    query = torch.randn(rows, WIDTH, generator=generator, dtype=torch.float64)
    key_value = torch.randn(len(batch.token_ids), 2 * WIDTH, generator=generator, dtype=torch.float64)
    return query.requires_grad_(), key_value.requires_grad_()


def dropout(rate: float) -> Dropout:
    return Dropout(torch.Generator().manual_seed(7), attention_rate=rate)


def masks(batch: Packed, rate: float, *, first_only: bool) -> Iterator[Tensor]:
    """The dropout factors of each packed sequence, [heads, queries, keys], as `attend` must draw them."""
    source = dropout(rate)
    for group in batch.groups:
        asking = 1 if first_only else group.length
        like = torch.empty(group.count, HEADS, asking, group.length, dtype=torch.float64)
        mask = source.attention_mask(like)
        for number in range(group.count):
            length = int(batch.lengths[group.first + number])
            queries = 1 if first_only else length
            yield torch.ones(HEADS, queries, length) if mask is None else mask[number, :, :queries, :length]


def reference(query: Tensor, key_value: Tensor, batch: Packed, rate: float, *, first_only: bool) -> Tensor:
    """softmax(QKᵀ/√d)·V of each sequence and head, written down."""
    outputs = []
    for number, mask in enumerate(masks(batch, rate, first_only=first_only)):
        begin, end = int(batch.starts[number]), int(batch.starts[number] + batch.lengths[number])
        q = query[number : number + 1] if first_only else query[begin:end]
        k, v = key_value[begin:end].chunk(2, dim=1)
        heads = []
        for head, factor in enumerate(mask):
            part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
            probabilities = torch.softmax(q[:, part] @ k[:, part].t() / math.sqrt(WIDTH // HEADS), dim=1)
            heads.append((probabilities * factor) @ v[:, part])
        outputs.append(torch.cat(heads, dim=1))
    return torch.cat(outputs)


@settings(deadline=None, max_examples=20)
@given(lengths=LENGTHS, rate=st.sampled_from([0.0, 0.3]), first_only=st.booleans())
def test_outputs_and_gradients_are_those_of_the_reference(lengths: list[int], rate: float, first_only: bool) -> None:
    batch = packed(lengths)
    query, key_value = inputs(batch, first_only=first_only)
    expected = reference(query, key_value, batch, rate, first_only=first_only)
    found = attend(query, key_value, batch, HEADS, dropout(rate))
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.allclose(found, expected, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad((found * upstream).sum(), [query, key_value]),
        torch.autograd.grad((expected * upstream).sum(), [query, key_value]),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.4], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("lengths", [[3, 3], [1, 4, 2]], ids=["even", "uneven"])
@pytest.mark.parametrize("first_only", [False, True])
def test_the_gradient_is_that_of_finite_differences(lengths: list[int], rate: float, first_only: bool) -> None:
    batch = packed(lengths)
    assert torch.autograd.gradcheck(
        lambda q, kv: attend(q, kv, batch, HEADS, dropout(rate)), inputs(batch, first_only=first_only)
    )


@settings(deadline=None, max_examples=20)
@given(lengths=LENGTHS, rate=st.sampled_from([0.0, 0.3]), first_only=st.booleans())
def test_without_gradients_the_outputs_are_the_same(lengths: list[int], rate: float, first_only: bool) -> None:
    batch = packed(lengths)
    query, key_value = (x.detach().float() for x in inputs(batch, first_only=first_only))
    with torch.enable_grad():
        tracked = attend(query.requires_grad_(), key_value, batch, HEADS, dropout(rate)).detach()
    with torch.no_grad():
        assert torch.allclose(attend(query, key_value, batch, HEADS, dropout(rate)), tracked, atol=1e-6)


@pytest.mark.parametrize("grad", [False, True])
def test_dropout_draws_from_its_own_generator_and_from_none_without_one(grad: bool) -> None:
    batch = packed([5, 9, 9])
    query, key_value = (x.detach().float() for x in inputs(batch))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with torch.set_grad_enabled(grad):
        plain = attend(query, key_value, batch, HEADS, NO_DROPOUT)
        assert torch.equal(attend(query, key_value, batch, HEADS, Dropout(None, attention_rate=0.5)), plain)
        dropped = attend(query, key_value, batch, HEADS, dropout(0.5))
        assert torch.equal(attend(query, key_value, batch, HEADS, dropout(0.5)), dropped)
    assert not torch.allclose(dropped, plain)
    assert torch.equal(torch.get_rng_state(), before)


@settings(deadline=None, max_examples=20)
@given(lengths=LENGTHS, number=st.integers(0, 8))
def test_a_sequence_looks_at_no_other(lengths: list[int], number: int) -> None:
    batch = packed(lengths)
    number %= len(lengths)
    query, key_value = (x.detach() for x in inputs(batch))
    before = attend(query.requires_grad_(), key_value, batch, HEADS, NO_DROPOUT)
    mine = batch.sequence == number
    key_value[mine] += 1.0
    after = attend(query, key_value, batch, HEADS, NO_DROPOUT)
    assert torch.equal(before[~mine], after[~mine])
    assert not torch.equal(before[mine], after[mine])


def test_how_sequences_are_grouped_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [1, 2, 3, 5, 5, 6, 8, 9, 30, 31]
    outputs = []
    for slack, area in ((4, 1 << 20), (0, 1), (100, 1 << 20), (100, 60)):
        monkeypatch.setattr(packing, "GROUP_SLACK", slack)
        monkeypatch.setattr(packing, "GROUP_AREA", area)
        batch = packed(lengths)
        outputs.append((len(batch.groups), attend(*inputs(batch), batch, HEADS, NO_DROPOUT)))
    assert len({count for count, _ in outputs}) == len(outputs)
    for _, output in outputs[1:]:
        assert torch.allclose(output, outputs[0][1], atol=1e-12)
