"""Tokenizers of every family join texts as the transformers library does, and are saved so that it reads them."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers

pytest.importorskip("transformers")
import transformers
from tests.common.families import FAMILIES, save_tokenizer

from bertram.data.tokenizer import Tokenizer, load_tokenizer
from bertram.errors import WeightsError

TEXTS = ["A lovely film, it is.", "is this the same question?", "how do I learn to play the piano", "x"]
BETWEEN = {"roberta": 2, "xlm-roberta": 2, "mpnet": 2}


@pytest.fixture(scope="module", params=FAMILIES)
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp(request.param)
    save_tokenizer(request.param, made, TEXTS)
    return made


@pytest.fixture
def tokenizer(directory: Path) -> Tokenizer:
    return load_tokenizer(directory)


def test_texts_and_pairs_are_joined_as_the_peer_joins_them(directory: Path, tokenizer: Tokenizer) -> None:
    peer_class: Any = transformers.PreTrainedTokenizerFast
    peer = peer_class(tokenizer_file=str(directory / "tokenizer.json"))
    pieces = tokenizer.encode(TEXTS)
    for text, piece in zip(TEXTS, pieces, strict=True):
        assert tokenizer.joined([piece], 512)[0] == peer(text)["input_ids"]
        for other, second in zip(TEXTS, pieces, strict=True):
            assert tokenizer.joined([piece, second], 512)[0] == peer(text, other)["input_ids"]


def test_segments_say_which_text_a_token_belongs_to(directory: Path, tokenizer: Tokenizer) -> None:
    family = next(name for name in sorted(FAMILIES, key=len, reverse=True) if directory.name.startswith(name))
    separators = len(tokenizer.template.between)
    assert separators == BETWEEN.get(family, 1)
    ids, segments, cut = tokenizer.joined([[7] * 5, [8] * 3], 512)
    assert segments == [0] * (1 + 5 + separators) + [1] * (3 + 1)
    assert not cut
    assert [number for number, token in enumerate(ids) if token == 8] == [6 + separators + n for n in range(3)]


def test_cut_pairs_have_the_length_that_is_asked_for(tokenizer: Tokenizer) -> None:
    ids, segments, cut = tokenizer.joined([[7] * 30, [8] * 30], 20)
    assert len(ids) == len(segments) == 20
    assert cut
    assert abs(ids.count(7) - ids.count(8)) <= 1
    assert (ids[0], ids[-1]) == (tokenizer.cls_id, tokenizer.sep_id)


def test_it_is_saved_so_that_both_sides_read_it_again(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again.template == tokenizer.template
    for text, piece in zip(TEXTS, again.encode(TEXTS), strict=True):
        assert again.joined([piece, piece], 512)[0] == peer(text, text)["input_ids"]
    assert (peer.pad_token_id, peer.cls_token_id, peer.sep_token_id) == (again.pad_id, again.cls_id, again.sep_id)


def test_special_tokens_are_saved_for_a_tokenizer_whose_file_has_none(tmp_path: Path) -> None:
    save_tokenizer("bert", tmp_path, TEXTS)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"post_processor": None}))
    tokenizer = load_tokenizer(tmp_path)
    tokenizer.save(tmp_path / "saved")
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    a, b = tokenizer.encode(TEXTS[:2])
    assert peer(TEXTS[0])["input_ids"] == tokenizer.joined([a], 512)[0]
    pair = peer(TEXTS[0], TEXTS[1])
    assert (pair["input_ids"], pair["token_type_ids"]) == tokenizer.joined([a, b], 512)[:2]


def test_type_ids_of_an_exported_graph_are_our_segments(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path, segments=True)
    inner = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    encoding = inner.encode(TEXTS[0], TEXTS[1])
    ids, segments, _ = tokenizer.joined(tokenizer.encode(TEXTS[:2]), 512)
    assert (encoding.ids, encoding.type_ids) == (ids, segments)
    assert inner.encode(TEXTS[0]).type_ids == [0] * len(inner.encode(TEXTS[0]).ids)


@pytest.mark.parametrize(
    ("family", "token", "message"),
    [
        ("roberta", "<pad>", "it has no [PAD] or <pad>"),
        ("mpnet", "<unk>", "it has no <unk>"),
        ("xlm-roberta", None, "it puts no special tokens around a text, and it has no [CLS], [SEP]"),
    ],
)
def test_a_tokenizer_without_the_tokens_of_its_family_says_so_in_one_line(
    family: str, token: str | None, message: str, tmp_path: Path
) -> None:
    save_tokenizer(family, tmp_path, TEXTS)
    path = tmp_path / "tokenizer.json"
    if token is None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"post_processor": None}))
    else:
        path.write_text(path.read_text().replace(token, "other"))
        if family == "mpnet":
            values = json.loads(path.read_text())
            values["model"]["unk_token"] = token
            path.write_text(json.dumps(values))
    with pytest.raises(WeightsError) as refused:
        load_tokenizer(tmp_path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
