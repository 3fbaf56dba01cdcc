"""The word-in-context task: judged pairs of usages, and words held out in folds."""

from pathlib import Path

import pytest
from tests.common.commands import call
from tests.common.encoders import save_encoder
from tests.common.usages import write_usages

from bertram.config import Config
from bertram.data.rows import read_rows
from bertram.errors import DataError
from bertram.options.toml import read
from bertram.semantic_change.analysis import measure_change
from bertram.semantic_change.study import Settings
from bertram.semantic_change.usage_pairs import JudgedPair, folds_of, read_judged_pairs, write_folds
from bertram.semantic_change.usages import read_usages
from bertram.semantic_change.vectors import load_fold_encoders

USES = """\
lemma\tgrouping\tidentifier\tcontext\tindexes_target_token
{word}\t1\t{word}-1\tThe {word} "of old\t4:{end}
{word}\t2\t{word}-2\tOld {word} rusts\t4:{end}
{word}\t2\t{word}-3\tNew {word} shines\t4:{end}
"""
JUDGMENTS = """\
identifier1\tidentifier2\tannotator\tjudgment
{word}-1\t{word}-2\ta\t2.0
{word}-2\t{word}-1\tb\t4.0
{word}-2\t{word}-1\tc\t0.0
{word}-1\t{word}-3\ta\t0.0
{word}-2\t{word}-3\ta\t1
"""


def write_graphs(directory: Path, *words: str, judgments: str = JUDGMENTS) -> Path:
    for word in words:
        folder = directory / "data" / word
        folder.mkdir(parents=True)
        (folder / "uses.csv").write_text(USES.format(word=word, end=4 + len(word)))
        (folder / "judgments.csv").write_text(judgments.format(word=word))
    return directory


def test_a_pair_has_the_median_of_its_judgments_and_cannot_decide_is_none(tmp_path: Path) -> None:
    judged = read_judged_pairs(write_graphs(tmp_path, "plough"))
    assert judged.pairs == [
        JudgedPair("plough", "plough-1+plough-2", ('The <t>plough</t> "of old', "Old <t>plough</t> rusts"), 3.0),
        JudgedPair("plough", "plough-2+plough-3", ("Old <t>plough</t> rusts", "New <t>plough</t> shines"), 1.0),
    ]
    assert (judged.undecided, judged.rejected) == (1, [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("plough-1\tplough-9\ta\t3", "no usage has the id 'plough-9'"),
        ("plough-1\tplough-3\ta\t5", "the judgment '5' is not 0"),
        ("plough-1\tplough-3\ta\tmany", "the judgment 'many' is not 0"),
    ],
)
def test_a_row_that_is_no_judgment_is_named_with_its_line(tmp_path: Path, row: str, reason: str) -> None:
    judged = read_judged_pairs(write_graphs(tmp_path, "plough", judgments=JUDGMENTS + row + "\n"))
    (line,) = judged.rejected
    assert line.startswith(f"{tmp_path / 'data/plough/judgments.csv'}:7: {reason}")
    assert len(judged.pairs) == 2


def test_a_directory_without_judgments_is_refused(tmp_path: Path) -> None:
    write_graphs(tmp_path, "plough")
    (tmp_path / "data" / "plough" / "judgments.csv").unlink()
    with pytest.raises(DataError, match=r"judgments.csv: missing; pairs of usages need their judgments"):
        read_judged_pairs(tmp_path)
    with pytest.raises(DataError, match="not a directory; name a DWUG directory"):
        read_judged_pairs(tmp_path / "nothing")


def test_folds_are_drawn_by_the_seed_and_of_equal_size() -> None:
    words = [f"word{number}" for number in range(11)]
    folds = folds_of(words, 3, seed=0)
    assert sorted(folds) == sorted(words)
    assert sorted(list(folds.values()).count(fold) for fold in (1, 2, 3)) == [3, 4, 4]
    assert folds == folds_of(words[::-1], 3, seed=0) != folds_of(words, 3, seed=1)
    for count in (1, 12):
        with pytest.raises(DataError, match="choose 2 to 11"):
            folds_of(words, count, seed=0)


def test_a_word_is_a_dev_word_in_its_fold_and_a_training_word_in_the_others(tmp_path: Path) -> None:
    judged = read_judged_pairs(write_graphs(tmp_path / "graphs", "plough", "window", "wheel"))
    fold_of = folds_of(["plough", "window", "wheel"], 3, seed=0)
    write_folds(judged.pairs, fold_of, tmp_path / "pairs")
    task = Config.model_validate(read(tmp_path / "pairs" / "wic.toml")).tasks["wic"]
    for word, fold in fold_of.items():
        data = str(tmp_path / "pairs" / f"fold-{fold}")
        train, dev = read_rows(task, data, "train"), read_rows(task, data, "dev")
        assert len(dev) == 2
        assert all(f"<t>{word}</t>" in text for texts in dev.texts for text in texts)
        assert len(train) == 4
        assert not any(f"<t>{word}</t>" in text for texts in train.texts for text in texts)


def test_the_command_writes_folds_and_refuses_to_write_over_them(tmp_path: Path) -> None:
    graphs = write_graphs(tmp_path / "graphs", "plough", "window")
    outcome = call("data", "usage-pairs", graphs, "--out", tmp_path / "pairs", "--folds", 2)
    assert outcome.code == 0
    assert "4 pairs of 2 words in 2 folds, 2 pairs undecided, 0 rows rejected" in outcome.out
    assert call("data", "check", "--config", tmp_path / "pairs/wic.toml", tmp_path / "pairs/fold-1").code == 0
    again = call("data", "usage-pairs", graphs, "--out", tmp_path / "pairs", "--folds", 2)
    assert again.code == 1
    assert "exists already" in again.err


def test_a_fold_may_be_the_number_0(tmp_path: Path) -> None:
    save_encoder(tmp_path / "encoder-0")
    (tmp_path / "folds.jsonl").write_text('{"word": "plough", "fold": 0}\n')
    assert set(load_fold_encoders(str(tmp_path / "encoder-{fold}"), tmp_path / "folds.jsonl").encoders) == {"0"}


@pytest.mark.slow
def test_each_word_is_measured_by_the_encoder_of_its_fold(tmp_path: Path) -> None:
    for fold in ("a", "b"):
        save_encoder(tmp_path / f"encoder-{fold}", seed=ord(fold))
    (tmp_path / "folds.csv").write_text("word,fold\nplough,a\nwindow,b\n")
    usages = read_usages(write_usages(tmp_path / "usages.csv"))
    settings = Settings(resamples=0, window=32)
    encoders = load_fold_encoders(str(tmp_path / "encoder-{fold}"), tmp_path / "folds.csv")
    study = measure_change(usages, encoders, tmp_path / "vectors", settings)
    for fold, word in (("a", "plough"), ("b", "window")):
        alone = measure_change(usages, encoders.encoders[fold], tmp_path / f"vectors-{fold}", settings)
        (expected,), (found,) = ([one for one in s.words if one.word == word] for s in (alone, study))
        assert found.mean == expected.mean


@pytest.mark.parametrize(
    ("table", "source", "fault"),
    [
        ("word,fold\nplough,a\n", "encoder-{fold}", "the word 'window' has no fold"),
        ("word,fold\nplough,a\nplough,b\n", "encoder-{fold}", "'plough' is in two folds, a and b"),
        ("word,fold\nplough,\n", "encoder-{fold}", "the word or its fold is empty"),
        ("word,fold\nplough,a\n", "encoder-a", r"with --folds it holds \{fold\}"),
    ],
)
def test_folds_that_do_not_fit_are_refused(tmp_path: Path, table: str, source: str, fault: str) -> None:
    save_encoder(tmp_path / "encoder-a")
    (tmp_path / "folds.csv").write_text(table)
    usages = read_usages(write_usages(tmp_path / "usages.csv"))
    with pytest.raises(DataError, match=fault):
        measure_change(
            usages,
            load_fold_encoders(str(tmp_path / source), tmp_path / "folds.csv"),
            tmp_path / "vectors",
            Settings(resamples=0, window=32),
        )
