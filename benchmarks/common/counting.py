"""What can be counted without a clock: tokens, operations, the floor that they set, and bytes between processes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bertram.data.examples import Batch
from bertram.model.encoder import EncoderConfig


def tokens_of(batches: Sequence[Batch]) -> int:
    """Real tokens of a step, special ones included."""
    return sum(len(tokens) for batch in batches for tokens, _ in batch.sequences)


def padded_tokens_of(batches: Sequence[Batch]) -> int:
    """Tokens of the same step where each batch, and each side of a pair, is padded to its longest text."""
    total = 0
    for batch in batches:
        lengths = [len(tokens) for tokens, _ in batch.sequences]
        sides = [lengths[begin : begin + len(batch)] for begin in range(0, len(lengths), len(batch))]
        total += sum(len(side) * max(side) for side in sides)
    return total


def layer_shapes(shape: EncoderConfig) -> list[tuple[int, int]]:
    """(inputs, outputs) of the matrices of one layer."""
    hidden, inner = shape.hidden, shape.intermediate
    return [(hidden, hidden), (hidden, 2 * hidden), (hidden, hidden), (hidden, inner), (inner, hidden)]


def matrix_weights(shape: EncoderConfig) -> int:
    """Weights in the matrices of all layers."""
    return shape.layers * sum(inputs * outputs for inputs, outputs in layer_shapes(shape))


def step_flop(shape: EncoderConfig, tokens: int) -> float:
    """Floating-point operations of the matrix products of forward and backward: 2 + 4 for each weight and token.

    Attention's own products (a few per cent at the lengths of sentences) are not counted.
    """
    return 6.0 * matrix_weights(shape) * tokens


def first_only_flop(shape: EncoderConfig, tokens: int, sequences: int) -> float:
    """The same where the last layer is computed for the first token of each sequence only, but for keys and values."""
    per_layer = matrix_weights(shape) // shape.layers
    spared = 6.0 * (per_layer - 2 * shape.hidden**2) * (tokens - sequences)
    return step_flop(shape, tokens) - spared


def attention_flop(shape: EncoderConfig, lengths: Sequence[int]) -> float:
    """Operations of attention's own products, forward and backward."""
    return sum(12.0 * shape.layers * shape.hidden * length**2 for length in lengths)


def products(shape: EncoderConfig, tokens: int, dtype: torch.dtype) -> Callable[[], None]:
    """The matrix products of one step and nothing else: what no implementation can do without.

    Returns:
        A function that multiplies once for every layer: forward, gradient of the input, gradient of the weight.
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


def message_bytes(shape: EncoderConfig, distinct_words: int | None, head_parameters: int) -> int:
    """Bytes of one gradient as it is summed over processes, in fp32.

    Args:
        shape: of the encoder.
        distinct_words: word-embedding rows of the step; None: the whole table.
        head_parameters: of the tasks whose gradient it is.
    """
    hidden = shape.hidden
    vectors = shape.layers * (sum(outputs for _, outputs in layer_shapes(shape)) + 4 * hidden) + 2 * hidden
    tables = (shape.max_tokens + shape.segments) * hidden
    pooler = hidden * (hidden + 1)
    rows = shape.vocabulary if distinct_words is None else distinct_words
    return 4 * (matrix_weights(shape) + vectors + tables + pooler + rows * hidden + head_parameters)
