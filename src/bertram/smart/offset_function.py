"""The function from an offset of the word embeddings to outputs: a check of it, and its dropout."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bertram.smart.divergences import Outputs, difference


@torch.no_grad()
def check_offset_function(
    f: Callable[[Tensor], Outputs], clean: Outputs, like: Tensor, tolerance: float = 1e-3
) -> None:
    """Check once, before training, that f adds its offset to the embeddings of the clean pass: f(0) gives its outputs.

    It costs one pass of f. Call it in evaluation mode, or with `same_dropout`.

    Args:
        f: function from an offset to outputs.
        clean: outputs without an offset.
        like: word embeddings, for shape, type and device.
        tolerance: largest difference allowed, relative to the largest output.

    Raises:
        ValueError: f(0) differs from the clean outputs, with the usual reasons.
    """
    at_zero = f(torch.zeros_like(like, dtype=torch.promote_types(like.dtype, torch.float32)))
    pairs = [(at_zero, clean)] if isinstance(clean, Tensor) else list(zip(at_zero, clean, strict=True))
    for output, expected in pairs:
        assert isinstance(output, Tensor)
        if output.shape != expected.shape:
            raise ValueError(f"f gives outputs {list(output.shape)}, the clean outputs are {list(expected.shape)}")
        largest_difference = difference(output.float(), expected.float()).abs().max()
        largest = expected.float().nan_to_num(0.0, 0.0, 0.0).abs().max()
        if not largest_difference <= tolerance * largest.clamp_min(1.0):  # NaN is not
            raise ValueError(
                f"f(0) differs from the clean outputs by {largest_difference:.3g}: f must add the offset to the word "
                "embeddings of the clean pass. Usual reasons: a function of embeddings, as smart-pytorch wants it "
                "(use lambda offset: eval_fn(embeddings + offset)); dropout that draws other masks (use "
                "same_dropout); a model that scales its word embeddings, to which inputs_embeds are added unscaled"
            )


def same_dropout(
    f: Callable[[Tensor], Outputs], generators: Sequence[torch.Generator] | None = None
) -> Callable[[Tensor], Outputs]:
    """Make each later call of f draw the dropout masks of its first one, the clean pass.

    The first call draws as usual; the others leave the states of the generators unchanged.

    Args:
        f: function from an offset to outputs.
        generators: generators that f's dropout draws from; PyTorch's global ones of CPU and CUDA by default. On another
            device name its own, or each call draws new masks.
    """
    drawn_from = generators or [torch.default_generator, *torch.cuda.default_generators]
    first: list[Tensor] = []

    def repeating(offset: Tensor) -> Outputs:
        now = [generator.get_state() for generator in drawn_from]
        if not first:
            first.extend(now)
            return f(offset)
        try:
            for generator, state in zip(drawn_from, first, strict=True):
                generator.set_state(state)
            return f(offset)
        finally:
            for generator, state in zip(drawn_from, now, strict=True):
                generator.set_state(state)

    return repeating
