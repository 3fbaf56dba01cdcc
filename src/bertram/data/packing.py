"""Packing: sequences of any lengths become one row of tokens, without padding.

Sequences are packed from short to long, so that those of about one length stand side by side and attention can
take them as one group. Only there, inside attention, is anything padded, and only up to the group's longest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

GROUP_SLACK = 4  # a group's lengths differ by at most this many tokens or a quarter
GROUP_AREA = 1 << 20  # most attention scores of one head in a group: bounds the memory of evaluation


@dataclass(frozen=True)
class Group:
    """Neighbouring sequences of similar length: tokens [start, stop), sequences [first, first + count)."""

    start: int
    stop: int
    first: int
    count: int
    length: int  # of the longest
    slots: Tensor | None  # [stop - start] place of each token among count * length slots; None: no padding
    attn_bias: Tensor | None  # [count, 1, 1, length] 0 for real tokens, -inf for padding


@dataclass(frozen=True)
class Packed:
    """S sequences with N tokens in all, packed from short to long."""

    token_ids: Tensor  # [N]
    segments: Tensor  # [N]
    positions: Tensor  # [N]
    sequence: Tensor  # [N] which packed sequence a token belongs to
    starts: Tensor  # [S] the first token of each packed sequence
    lengths: Tensor  # [S]
    inverse_order: Tensor  # [S] where the i-th given sequence stands among the packed ones
    groups: tuple[Group, ...]

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.starts)

    def to(self, device: torch.device) -> "Packed":
        """The same batch on another device; from pinned memory where that is CUDA."""
        if device.type == "cpu":
            return self

        def move(tensor: Tensor) -> Tensor:
            return tensor.pin_memory().to(device, non_blocking=True)

        groups = tuple(
            replace(g, slots=move(g.slots), attn_bias=move(g.attn_bias))
            if g.slots is not None and g.attn_bias is not None
            else g
            for g in self.groups
        )
        return Packed(
            move(self.token_ids),
            move(self.segments),
            move(self.positions),
            move(self.sequence),
            move(self.starts),
            move(self.lengths),
            move(self.inverse_order),
            groups,
        )


def pack(sequences: Sequence[Sequence[int]], segments: Sequence[Sequence[int]] | None = None) -> Packed:
    """Pack token ids.

    Args:
        sequences: S lists of token ids, each with at least one.
        segments: the segment id of each token; default: all 0.
    """
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    lengths = [len(sequences[i]) for i in order]
    bounds = [0, *accumulate(lengths)]
    length = torch.tensor(lengths)
    starts = torch.tensor(bounds[:-1])
    sequence = torch.repeat_interleave(torch.arange(len(order)), length)
    token_ids = torch.tensor([token for i in order for token in sequences[i]])
    inverse_order = torch.empty(len(order), dtype=torch.long)
    inverse_order[torch.tensor(order)] = torch.arange(len(order))
    return Packed(
        token_ids=token_ids,
        segments=torch.tensor([s for i in order for s in segments[i]]) if segments else torch.zeros_like(token_ids),
        positions=torch.arange(len(token_ids)) - starts[sequence],
        sequence=sequence,
        starts=starts,
        lengths=length,
        inverse_order=inverse_order,
        groups=tuple(_groups(lengths, bounds)),
    )


def _groups(lengths: list[int], bounds: list[int]) -> Iterator[Group]:
    begin = 0
    while begin < len(lengths):
        end = begin
        widest = max(lengths[begin] + GROUP_SLACK, lengths[begin] * 5 // 4)
        while end < len(lengths) and lengths[end] <= widest:
            if end > begin and (end + 1 - begin) * lengths[end] ** 2 > GROUP_AREA:
                break
            end += 1
        yield _group(lengths[begin:end], begin, bounds[begin])
        begin = end


def _group(lengths: list[int], first: int, start: int) -> Group:
    longest = lengths[-1]
    if lengths[0] == longest:
        return Group(start, start + sum(lengths), first, len(lengths), longest, None, None)
    real = torch.arange(longest) < torch.tensor(lengths)[:, None]  # [count, length]
    attn_bias = torch.zeros(real.shape).masked_fill_(~real, float("-inf"))
    slots = real.flatten().nonzero().flatten()
    return Group(start, start + sum(lengths), first, len(lengths), longest, slots, attn_bias[:, None, None, :])
