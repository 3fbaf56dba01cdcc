"""The target of a text, one word in its context: ``the <t>plane</t> took off``.

The mark stands in the text itself, so that rows, pipes, requests and reports hold a text with its target as they hold
any other text. It is taken out before the text becomes tokens.
"""

import re
import unicodedata
from collections.abc import Sequence

from bertram.errors import Fault
from bertram.label_spaces import read_number

OPEN, CLOSE = "<t>", "</t>"
REMEDY = f"mark the target of each text once: {OPEN}word{CLOSE}"
Span = tuple[int, int]  # [start, end)
_MARK = re.compile(f"{re.escape(OPEN)}|{re.escape(CLOSE)}")


def marked(text: str, start: int, end: int) -> str:
    """A text with its target, the characters [start, end), between marks.

    Raises:
        Fault: the span lies outside the text, or the text holds a mark already.
    """
    if _MARK.search(text):
        raise Fault(f"the text holds {OPEN} or {CLOSE} already, which mark a target")
    if not 0 <= start < end <= len(text):
        raise Fault(f"the span {start}:{end} is outside the text of {len(text)} characters; spans are [start, end)")
    return f"{text[:start]}{OPEN}{text[start:end]}{CLOSE}{text[end:]}"


def remove_marks(text: str) -> str:
    """A text without the marks that it may have."""
    return _MARK.sub("", text)


def without_marks(text: str) -> tuple[str, Span]:
    """A marked text without its marks, and the character span of its target.

    Raises:
        Fault: there is not one target, or it shows nothing.
    """
    marks = list(_MARK.finditer(text))
    if [mark.group() for mark in marks] != [OPEN, CLOSE]:
        targets = sum(mark.group() == OPEN for mark in marks)
        raise Fault(f"the text has {targets or 'no'} target{'s' if targets > 1 else ''}; {REMEDY}")
    (before, start), (end, after) = (mark.span() for mark in marks)
    target = text[start:end]
    if not any(map(_shows, target)):
        raise Fault(f"the target {'has no visible character' if target.strip() else 'is empty'}; {REMEDY}")
    return f"{text[:before]}{target}{text[after:]}", (before, before + len(target))


def _shows(character: str) -> bool:
    """Whether a character can have a token: no space, no control or format character, no accent alone."""
    category = unicodedata.category(character)
    return category[0] not in "CZ" and category != "Mn"


def read_span(value: object) -> Span:
    """The span that a field states: ``start:end``, or a list of the two.

    Raises:
        Fault: it is not two whole numbers.
    """
    try:
        parts = value if isinstance(value, list | tuple) else str(value).split(":")
        start, end = (read_number(str(part)) for part in parts)
        if start.is_integer() and end.is_integer():  # also as spreadsheets write them, 4.0
            return int(start), int(end)
    except ValueError:
        pass
    raise Fault(f"the span {str(value)!r} is not two whole numbers start:end")


def token_span(offsets: Sequence[Span], target: Span) -> Span | None:
    """The tokens [start, end) that overlap a target; None where no token does.

    Args:
        offsets: character span of each token.
        target: character span of the target.
    """
    places = [place for place, (start, end) in enumerate(offsets) if max(start, target[0]) < min(end, target[1])]
    return (places[0], places[-1] + 1) if places else None


def window(tokens: list[int], target: Span, room: int) -> tuple[list[int], Span]:
    """At most `room` tokens around a target, and its place among them.

    The target stands in the middle, moved to one side where the text ends early on the other; of a target that is
    longer than the room, its first tokens stay.
    """
    start, end = target[0], min(target[1], target[0] + room)
    left = max(0, min(start - (room - (end - start)) // 2, len(tokens) - room))
    return tokens[left : left + room], (start - left, end - left)
