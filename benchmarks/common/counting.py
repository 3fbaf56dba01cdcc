"""Figures that are counted, not timed: tokens, operations, the lower bound they set, bytes between processes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bertram.data.examples import Batch
from bertram.model.encoders import EncoderConfig


def tokens_of(batches: Sequence[Batch]) -> int:
    """Number of tokens of a step, special tokens included, padding excluded."""
    return sum(len(tokens) for batch in batches for tokens, _ in batch.sequences)


def padded_tokens_of(batches: Sequence[Batch]) -> int:
    """Number of tokens of a step where each batch, and each side of a pair, is padded to its longest text."""
    total = 0
    for batch in batches:
        lengths = [len(tokens) for tokens, _ in batch.sequences]
        sides = [lengths[begin : begin + len(batch)] for begin in range(0, len(lengths), len(batch))]
        total += sum(len(side) * max(side) for side in sides)
    return total


def layer_shapes(shape: EncoderConfig) -> list[tuple[int, int]]:
    """(inputs, outputs) of each matrix of one layer."""
    hidden, inner = shape.hidden, shape.intermediate
    return [(hidden, hidden), (hidden, 2 * hidden), (hidden, hidden), (hidden, inner), (inner, hidden)]


def matrix_weights(shape: EncoderConfig) -> int:
    """Number of weights in the matrices of all layers."""
    return shape.layers * sum(inputs * outputs for inputs, outputs in layer_shapes(shape))


def step_flop(shape: EncoderConfig, tokens: int) -> float:
    """Floating-point operations of the matrix products of forward and backward: 2 + 4 for each weight and token.

    Attention's own products (a few per cent at the lengths of sentences) are not counted.
    """
    return 6.0 * matrix_weights(shape) * tokens


def cls_only_flop(shape: EncoderConfig, tokens: int, sequences: int) -> float:
    """Operations of a step whose last layer computes, beyond keys and values, only the first token of each sequence."""
    per_layer = matrix_weights(shape) // shape.layers
    saved = 6.0 * (per_layer - 2 * shape.hidden**2) * (tokens - sequences)
    return step_flop(shape, tokens) - saved


def attention_flop(shape: EncoderConfig, lengths: Sequence[int]) -> float:
    """Operations of attention's own products, forward and backward."""
    return sum(12.0 * shape.layers * shape.hidden * length**2 for length in lengths)


def matrix_products(shape: EncoderConfig, tokens: int, dtype: torch.dtype) -> Callable[[], None]:
    """The matrix products of one step and nothing else, which no implementation can do without.

    Returns:
        A function that multiplies for every layer: forward, gradient of the input, gradient of the weight.
    """
    generator = torch.Generator().manual_seed(0)

    def random(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator).to(dtype)

    operands = [(random(tokens, i), random(o, i), random(tokens, o)) for i, o in layer_shapes(shape)]

    def multiply() -> None:
        for _ in range(shape.layers):
            for x, weight, grad in operands:
                torch.mm(x, weight.t())
                torch.mm(grad, weight)
                torch.mm(grad.t(), x)

    return multiply


def message_bytes(shape: EncoderConfig, word_rows: int | None, head_parameters: int) -> int:
    """Bytes of one gradient as it is summed over processes, in fp32.

    Args:
        shape: shape of the encoder.
        word_rows: rows of the word-embedding table that are sent; None: the whole table.
        head_parameters: number of parameters in the heads.
    """
    hidden = shape.hidden
    vectors = shape.layers * (sum(outputs for _, outputs in layer_shapes(shape)) + 4 * hidden) + 2 * hidden
    tables = (shape.max_tokens + shape.segments) * hidden
    pooler = hidden * (hidden + 1)
    rows = shape.vocabulary if word_rows is None else word_rows
    return 4 * (matrix_weights(shape) + vectors + tables + pooler + rows * hidden + head_parameters)
