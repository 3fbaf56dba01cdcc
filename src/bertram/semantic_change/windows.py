"""A window of tokens around the target, so that a long text keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bertram.data.targets import token_span, window
from bertram.data.tokenizer import Tokenizer
from bertram.semantic_change.usages import Usage


@dataclass(frozen=True)
class Window:
    """One usage as the encoder reads it.

    Attributes:
        token_ids: token ids with [CLS] and [SEP], at most `size`.
        start, end: the target's word pieces, token_ids[start:end].
    """

    token_ids: list[int]
    start: int
    end: int


def windows(usages: Sequence[Usage], tokenizer: Tokenizer, size: int) -> tuple[list[Window | None], list[str]]:
    """A window for each usage.

    Args:
        usages: n usages.
        tokenizer: the encoder's tokenizer.
        size: most tokens of a window, [CLS] and [SEP] included.

    Returns:
        n windows, None where the target has no token or more tokens than fit; and a line for each of these.
    """
    inputs: list[Window | None] = []
    faults: list[str] = []
    encoded = tokenizer.encode_with_spans([usage.text for usage in usages])
    for usage, (ids, spans) in zip(usages, encoded, strict=True):
        target = token_span(spans, (usage.start, usage.end))
        if target is None:
            faults.append(f"{usage.place}: the target {usage.start}:{usage.end} has no token; check the span")
            inputs.append(None)
        elif target[1] - target[0] > size - 2:
            faults.append(
                f"{usage.place}: the target has {target[1] - target[0]} tokens and a window only {size - 2}; "
                "choose a larger --window"
            )
            inputs.append(None)
        else:
            tokens, (start, end) = window(ids, target, size - 2)
            inputs.append(Window([tokenizer.cls_id, *tokens, tokenizer.sep_id], start + 1, end + 1))
    return inputs, faults
