"""Phrases out of the treebank's trees."""

from pathlib import Path

import pytest

from bertram.data.rows import read_further
from bertram.data.treebank import phrases, write_phrases
from bertram.errors import DataError
from bertram.task_files import Extra
from bertram.tasks import SST

TREE = "(3 (2 The) (4 (3 good) (2 film)))"


def test_every_node_is_a_phrase() -> None:
    assert phrases(TREE) == [("The", 2), ("good", 3), ("film", 2), ("good film", 4), ("The good film", 3)]
    assert phrases("(2 -LRB-)") == [("-LRB-", 2)]


@pytest.mark.parametrize("broken", ["(3 (2 The)", "3", "(7 x)", "", "(3 x))"])
def test_what_is_no_tree_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match=r"bracket|label"):
        phrases(broken)


def test_they_are_read_as_further_training_rows_without_those_held_back(tmp_path: Path) -> None:
    for split, lines in (("train", [TREE, "(4 (3 good) (2 film))"]), ("dev", ["(2 film)"]), ("test", ["(1 bad)"])):
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    assert write_phrases(tmp_path, tmp_path / "extra" / "phrases.tsv") == 5
    exclude = {"eq_dev_or_test_sentence": "1"}
    extra = Extra(file="extra/phrases.tsv", texts=("phrase",), label="sentiment", exclude=exclude)
    rows = read_further(SST.model_copy(update={"extra": (extra,)}), "extra", str(tmp_path))
    assert [text for (text,) in rows.texts] == ["the", "good", "good film", "the good film"]
    assert rows.labels is not None
    assert rows.labels.tolist() == [2, 3, 4, 3]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt: No such file"):
        write_phrases(tmp_path, tmp_path / "out.tsv")
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text(f"{TREE}\n(3 x\n")
    with pytest.raises(DataError, match=r"train\.txt:2: the brackets"):
        write_phrases(tmp_path, tmp_path / "out.tsv")
