"""A window of tokens around the target, so that a long text keeps it."""

from collections.abc import Sequence
from dataclasses import dataclass

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
        pieces = [
            index for index, (start, end) in enumerate(spans) if start < usage.end and end > usage.start and end > start
        ]
        if not pieces:
            faults.append(f"{usage.place}: the target {usage.start}:{usage.end} has no token; check the span")
            inputs.append(None)
        elif pieces[-1] + 1 - pieces[0] > size - 2:
            faults.append(
                f"{usage.place}: the target has {pieces[-1] + 1 - pieces[0]} tokens and a window only {size - 2}; "
                "choose a larger --window"
            )
            inputs.append(None)
        else:
            inputs.append(_window(ids, pieces[0], pieces[-1] + 1, tokenizer, size - 2))
    return inputs, faults


def _window(ids: list[int], start: int, end: int, tokenizer: Tokenizer, room: int) -> Window:
    """The target in the middle, moved to one side where the text ends early on the other."""
    left = max(0, min(start - (room - (end - start)) // 2, len(ids) - room))
    chosen = ids[left : left + room]
    return Window([tokenizer.cls_id, *chosen, tokenizer.sep_id], start - left + 1, end - left + 1)
