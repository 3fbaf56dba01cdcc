"""Packing: nothing is lost, nothing is padded outside attention, and groups are alike in length."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertram.data import packing
from bertram.data.packing import GROUP_AREA, GROUP_SLACK, pack

ANY = settings(deadline=None, max_examples=60)
LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=40)


def numbered(lengths: list[int]) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids that are all different, and segments that change in the middle."""
    begin, ids = 0, []
    for length in lengths:
        ids.append(list(range(begin, begin + length)))
        begin += length
    return ids, [[0] * (n // 2) + [1] * (n - n // 2) for n in lengths]


@ANY
@given(lengths=LENGTHS)
def test_every_sequence_is_found_where_its_rank_says(lengths: list[int]) -> None:
    ids, segments = numbered(lengths)
    packed = pack(ids, segments)
    assert len(packed) == len(lengths)
    assert len(packed.token_ids) == sum(lengths)
    assert sorted(packed.inverse_order.tolist()) == list(range(len(lengths)))
    for number, rank in enumerate(packed.inverse_order.tolist()):
        begin = int(packed.starts[rank])
        here = slice(begin, begin + int(packed.lengths[rank]))
        assert packed.token_ids[here].tolist() == ids[number]
        assert packed.segments[here].tolist() == segments[number]
        assert packed.positions[here].tolist() == list(range(lengths[number]))
        assert set(packed.sequence[here].tolist()) == {rank}


@ANY
@given(lengths=LENGTHS)
def test_sequences_stand_from_short_to_long_and_equals_in_their_order(lengths: list[int]) -> None:
    packed = pack(numbered(lengths)[0])
    assert packed.lengths.tolist() == sorted(lengths)
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    assert packed.inverse_order[order].tolist() == list(range(len(lengths)))
    assert not packed.segments.any()


@ANY
@given(lengths=LENGTHS)
def test_groups_cover_everything_once_with_little_padding(lengths: list[int]) -> None:
    packed = pack(numbered(lengths)[0])
    token, sequence = 0, 0
    for group in packed.groups:
        assert (group.start, group.first) == (token, sequence)
        token, sequence = group.stop, group.first + group.count
        of_group = packed.lengths[group.first : sequence]
        assert group.stop - group.start == int(of_group.sum())
        assert group.length == int(of_group.max())
        shortest = int(of_group.min())
        assert group.length <= max(shortest + GROUP_SLACK, shortest * 1.25)
        assert group.count == 1 or group.count * group.length**2 <= GROUP_AREA
        assert (group.slots is None) == (group.attn_bias is None) == (shortest == group.length)
    assert (token, sequence) == (sum(lengths), len(lengths))


@ANY
@given(lengths=LENGTHS)
def test_slots_and_blocks_say_where_real_tokens_stand(lengths: list[int]) -> None:
    packed = pack(numbered(lengths)[0])
    for group in packed.groups:
        if group.slots is None or group.attn_bias is None:
            continue
        padded = torch.full((group.count * group.length,), -1)
        padded[group.slots] = packed.token_ids[group.start : group.stop]
        table = padded.view(group.count, group.length)
        assert group.attn_bias.shape == (group.count, 1, 1, group.length)
        assert torch.equal(torch.isinf(group.attn_bias[:, 0, 0]), table == -1)
        assert set(group.attn_bias.unique().tolist()) <= {0.0, float("-inf")}
        for number, row in enumerate(table):
            rank = group.first + number
            begin, length = int(packed.starts[rank]), int(packed.lengths[rank])
            assert torch.equal(row[:length], packed.token_ids[begin : begin + length])
            assert bool((row[length:] == -1).all())


def test_the_area_of_a_group_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "GROUP_AREA", 3 * 10**2)
    assert [group.count for group in pack([[1] * 10] * 7).groups] == [3, 3, 1]
    monkeypatch.setattr(packing, "GROUP_AREA", 1)
    assert [group.count for group in pack([[1] * 10] * 3).groups] == [1, 1, 1]


def test_a_batch_stays_on_the_cpu_as_it_is() -> None:
    packed = pack([[1, 2], [3]])
    assert packed.to(torch.device("cpu")) is packed
