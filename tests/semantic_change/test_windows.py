import pytest

from bertram.data.tokenizer import load_tokenizer
from bertram.model.pretrained import find
from bertram.semantic_change.usages import Usage
from bertram.semantic_change.windows import windows

TOKENIZER = load_tokenizer(find("minilm"))


def usage(text: str, word: str) -> Usage:
    start = text.index(word)
    return Usage(word, "1900", text, start, start + len(word), "1", "f:1")


def pieces(text: str, word: str, size: int = 64) -> list[int]:
    (window,), faults = windows([usage(text, word)], TOKENIZER, size)
    assert window is not None, faults
    assert len(window.token_ids) <= size
    assert window.token_ids[0] == TOKENIZER.cls_id
    assert window.token_ids[-1] == TOKENIZER.sep_id
    return window.token_ids[window.start : window.end]


@pytest.mark.parametrize("text", ["The quick fox.", "quick", "Not so quick", "Ünlike a quick, naïve “quick” one"])
def test_the_window_marks_the_word_pieces_of_the_target(text: str) -> None:
    assert pieces(text, "quick") == TOKENIZER.encode(["quick"])[0]


def test_a_word_of_several_pieces_is_marked_whole() -> None:
    assert pieces("an unputdownable book", "unputdownable") == TOKENIZER.encode(["unputdownable"])[0]


@pytest.mark.parametrize("before", [0, 3, 40, 400])
@pytest.mark.parametrize("after", [0, 3, 40, 400])
def test_a_long_text_keeps_its_target_and_as_much_context_as_fits(before: int, after: int) -> None:
    text = "so " * before + "quick" + " no" * after
    (window,), _ = windows([usage(text, "quick")], TOKENIZER, 32)
    assert window is not None
    assert window.token_ids[window.start : window.end] == TOKENIZER.encode(["quick"])[0]
    assert len(window.token_ids) == min(32, before + after + 3)
    if min(before, after) >= 40:
        assert abs(window.start - 16) <= 1


def test_a_target_without_a_token_or_too_long_for_the_window_is_listed() -> None:
    long = "un" * 30
    invisible = Usage("x", "1900", "a \u200b b", 2, 3, "1", "f:7")
    made, faults = windows([usage(f"a {long} b", long), invisible], TOKENIZER, 16)
    assert made == [None, None]
    assert "choose a larger --window" in faults[0]
    assert faults[1] == "f:7: the target 2:3 has no token; check the span"
