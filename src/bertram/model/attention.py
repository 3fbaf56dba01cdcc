"""Self-attention over packed tokens (Vaswani et al., 2017, eq. 1), group by group.

The backward pass is written out: the short sentences of small batches make attention a matter of many small
operations, and the closed form needs half as many as automatic differentiation.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from bertram.data.packing import Group, Packed
from bertram.model.dropout import Dropout


def attend(
    query: Tensor,
    key_value: Tensor,
    batch: Packed,
    heads: int,
    dropout: Dropout,
    bias: Tensor | None = None,
    tasks: Tensor | None = None,
) -> Tensor:
    """Each query's mixture of the values of its own sequence.

    Args:
        query: [N, H] for all tokens, or [S, H] for the first token of each packed sequence only.
        key_value: [N, 2H], keys then values.
        batch: the packing, which says what stands where.
        heads: number of heads; each has H / heads coordinates.
        dropout: masks of the attention probabilities.
        bias: [heads or 1, L, L] for sequences of up to L tokens, added to the score of query place and key place;
            finite, so that no row of scores is blocked as a whole. Or such a bias for each task, [T, heads or 1, L, L].
        tasks: [S] number of each packed sequence's task, for a bias for each task.

    Returns:
        As many rows as `query` has.
    """
    if not dropout.drops_attention and (query.is_cuda or not torch.is_grad_enabled()):
        return _fused(query, key_value, batch, heads, bias, tasks)
    result: Tensor = _Attention.apply(query, key_value, batch, heads, dropout, bias, tasks)  # type: ignore[no-untyped-call]
    return result


def _fused(
    query: Tensor, key_value: Tensor, batch: Packed, heads: int, bias: Tensor | None, tasks: Tensor | None
) -> Tensor:
    """PyTorch's fused kernel, where it pays: without gradients, and on CUDA.

    It draws dropout from the global generator, so a pass with dropout, which must be repeatable, goes the other way.
    """
    outputs = []
    for group, rows in _rows(query, batch):
        q = _split(query[rows], group, heads, padded=len(query) == len(key_value))
        k, v = (_split(x, group, heads) for x in key_value[group.start : group.stop].chunk(2, dim=1))
        mixed = F.scaled_dot_product_attention(q, k, v, _added(group, bias, tasks, q.shape[2]))
        outputs.append(_join(mixed, group, padded=len(query) == len(key_value)))
    return torch.cat(outputs)


class _Attention(torch.autograd.Function):
    """Attention with dropout; inside it, count and heads are one dimension, so that products need no reshaping."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key_value: Tensor,
        batch: Packed,
        heads: int,
        dropout: Dropout,
        bias: Tensor | None,
        tasks: Tensor | None,
    ) -> Tensor:
        hidden = query.shape[1]
        scale = (hidden // heads) ** -0.5
        everywhere = len(query) == len(key_value)
        output = torch.empty_like(query)
        saved = []
        for group, rows in _rows(query, batch):
            (q,) = _heads(query[rows], group, heads, 1, padded=everywhere)  # [count * heads, Lq, d]
            k, v = _heads(key_value[group.start : group.stop], group, heads, 2)  # [count * heads, L, d]
            scores = torch.bmm(q, k.transpose(1, 2)).mul_(scale)  # [count * heads, Lq, L]
            by_head = scores.view(group.count, heads, *scores.shape[1:])
            added = _added(group, bias, tasks, q.shape[1])
            if added is not None:
                by_head += added
            probabilities = torch.softmax(scores, dim=-1)
            mask = dropout.attention_mask(probabilities)
            used = probabilities if mask is None else probabilities * mask
            _write(output[rows], [torch.bmm(used, v)], group, heads, padded=everywhere)
            saved += [q, k, v, probabilities, mask]
        ctx.save_for_backward(*saved)
        ctx.batch, ctx.heads, ctx.scale, ctx.everywhere = batch, heads, scale, everywhere
        ctx.rows, ctx.tasks = (len(query), len(key_value), hidden), tasks
        ctx.bias_shape = bias.shape if bias is not None and ctx.needs_input_grad[5] else None
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        queries, tokens, hidden = ctx.rows
        grad_query = grad.new_empty(queries, hidden)
        grad_key_value = grad.new_empty(tokens, 2 * hidden)
        grad_bias = None if ctx.bias_shape is None else grad.new_zeros(ctx.bias_shape)
        saved = iter(ctx.saved_tensors)
        for group, rows in _rows(grad, ctx.batch):
            q, k, v, probabilities, mask = (next(saved) for _ in range(5))
            used = probabilities if mask is None else probabilities * mask
            (go,) = _heads(grad[rows], group, ctx.heads, 1, padded=ctx.everywhere)
            grad_v = torch.bmm(used.transpose(1, 2), go)
            grad_p = torch.bmm(go, v.transpose(1, 2))
            if mask is not None:
                grad_p *= mask
            grad_s = torch._softmax_backward_data(grad_p, probabilities, -1, grad_p.dtype)
            if grad_bias is not None:
                by_head = grad_s.view(group.count, ctx.heads, *grad_s.shape[1:])
                _add_bias_gradient(grad_bias, by_head, group, ctx.tasks)
            grad_s.mul_(ctx.scale)
            _write(grad_query[rows], [torch.bmm(grad_s, k)], group, ctx.heads, padded=ctx.everywhere)
            grad_k = torch.bmm(grad_s.transpose(1, 2), q)
            _write(grad_key_value[group.start : group.stop], [grad_k, grad_v], group, ctx.heads)
        return grad_query, grad_key_value, None, None, None, grad_bias, None


def _added(group: Group, bias: Tensor | None, tasks: Tensor | None, queries: int) -> Tensor | None:
    """Terms that are added to the scores of a group, broadcast to [count, heads, queries, length]."""
    if bias is None:
        return group.attn_bias
    bias = bias[..., :queries, : group.length]
    if bias.ndim > 3:  # one for each task
        assert tasks is not None
        bias = bias[tasks[group.first : group.first + group.count]]
    return bias if group.attn_bias is None else bias + group.attn_bias


def _add_bias_gradient(grad_bias: Tensor, grad_scores: Tensor, group: Group, tasks: Tensor | None) -> None:
    """Add what the scores of a group, [count, heads, queries, length], contribute to the gradient of the bias."""
    part = grad_bias[..., : grad_scores.shape[2], : group.length]
    if grad_bias.ndim > 3:  # one for each task
        assert tasks is not None
        part.index_add_(0, tasks[group.first : group.first + group.count], grad_scores)
    else:
        part += grad_scores.sum(0)


def _rows(query: Tensor, batch: Packed) -> Iterator[tuple[Group, slice]]:
    """Each group with the rows of `query` that belong to it."""
    everywhere = len(query) == len(batch.token_ids)
    for group in batch.groups:
        yield group, slice(group.start, group.stop) if everywhere else slice(group.first, group.first + group.count)


def _heads(rows: Tensor, group: Group, heads: int, parts: int, *, padded: bool = True) -> tuple[Tensor, ...]:
    """[rows, parts * H] to a [count * heads, length, d] of each part, with zeros where the group is uneven."""
    if padded and group.slots is not None:
        rows = rows.new_zeros(group.count * group.length, rows.shape[1]).index_copy_(0, group.slots, rows)
    split = rows.view(group.count, -1, parts, heads, rows.shape[1] // parts // heads).permute(2, 0, 3, 1, 4)
    return split.reshape(parts, group.count * heads, *split.shape[3:]).unbind()


def _write(rows: Tensor, parts: Sequence[Tensor], group: Group, heads: int, *, padded: bool = True) -> None:
    """Write parts of [count * heads, length, d] to the rows of a group, [rows, parts * H]: the inverse of `_heads`."""
    slots = group.slots if padded else None
    target = rows if slots is None else rows.new_empty(group.count * group.length, rows.shape[1])
    split = target.view(group.count, -1, len(parts), heads, parts[0].shape[2])
    for number, part in enumerate(parts):
        split[:, :, number].copy_(part.view(group.count, heads, *part.shape[1:]).transpose(1, 2))
    if slots is not None:
        torch.index_select(target, 0, slots, out=rows)


def _split(rows: Tensor, group: Group, heads: int, *, padded: bool = True) -> Tensor:
    """[rows, H] to [count, heads, length, d], padded with zeros where the group is uneven."""
    if padded and group.slots is not None:
        rows = rows.new_zeros(group.count * group.length, rows.shape[1]).index_copy_(0, group.slots, rows)
    return rows.reshape(group.count, -1, heads, rows.shape[1] // heads).transpose(1, 2).contiguous()


def _join(mixed: Tensor, group: Group, *, padded: bool = True) -> Tensor:
    """[count, heads, length, d] back to [rows, H]."""
    count, heads, length, width = mixed.shape
    rows = mixed.transpose(1, 2).reshape(count * length, heads * width)
    return rows[group.slots] if padded and group.slots is not None else rows
