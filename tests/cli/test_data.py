"""``bertram data`` and ``train`` say what is wrong with own files, or what makes their scores misleading."""

from pathlib import Path

import pytest
from tests.common.commands import call
from tests.common.trainings import tiny_config

from bertram import options
from bertram.evaluation.caveats import notes
from bertram.training.train import train

TASK = """
[tasks.mood]
kind = "class"
labels = ["sad", "glad"]
files = {{ train = "{train}", dev = "{dev}", texts = ["text"], label = "mood"{more} }}
"""


def config(directory: Path, train: str = "train.csv", dev: str = "dev.csv", more: str = "") -> Path:
    path = directory / "mine.toml"
    path.write_text(TASK.format(train=train, dev=dev, more=more))
    return path


def check(directory: Path, toml: Path, *words: str) -> tuple[int, list[str]]:
    code, out, err = call("data", "check", directory, "--config", toml, *words)
    assert err == ""
    return code, out.splitlines()


def test_sound_files_are_fit_without_a_caution(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,mood\nI lost my keys,sad\nWe won the match,glad\n")
    (tmp_path / "dev.csv").write_text("text,mood\nIt rains again,sad\nThe sun is out,glad\n")
    assert check(tmp_path, config(tmp_path)) == (0, [f"{tmp_path}: fit for training mood"])


def test_cautions_stand_above_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,mood\nI lost my keys,sad\nWe won the match,glad\nno mood,\n")
    code, lines = check(tmp_path, config(tmp_path, "a.csv", "a.csv"))
    assert code == 0
    assert lines == [
        f"{tmp_path}/a.csv: rows without a label for mood, left out: 1",
        "caution: mood: dev is the training file a.csv; its scores do not show what the model does with new texts",
        f"{tmp_path}: fit for training mood",
    ]


def test_all_that_is_refused_comes_with_the_cautions(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("nr,text,mood\n1,I lost my keys,sad\n2,We lost the match,sad\n")
    (tmp_path / "dev.csv").write_text("nr,text,mood\n5,It rains,sad\n5,The sun is out,glad\n")
    code, lines = check(tmp_path, config(tmp_path, more=', id = "nr"'))
    assert code == 1
    lines = sorted(lines)
    assert lines[0].startswith(f"{tmp_path}/dev.csv: ids that occur more than once: 1 ('5' in lines 2, 3)")
    assert lines[1] == f"{tmp_path}/train.csv: every training row of mood has the label sad; there is nothing to learn"


def test_tables_without_quoting_are_fit_once_that_is_said(tmp_path: Path) -> None:
    rows = ['"Brilliant\tglad', "Too short\tsad", 'Never again"\tsad', "Loved it\tglad"]
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text("\n".join(["text\tmood", *rows, name + "\tsad"]) + "\n")
    toml = config(tmp_path, "train.tsv", "dev.tsv")
    code, lines = check(tmp_path, toml)
    assert code == 1
    assert "train.tsv:2: a quoted field would make one row of lines 2 to 4, each of which has 2 fields" in "".join(
        lines
    )
    code, lines = check(tmp_path, toml, "--tasks.mood.files.quoting", "none")
    assert (code, lines[-1]) == (0, f"{tmp_path}: fit for training mood")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_read_or_the_option_is_named(tmp_path: Path, encoding: str) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_bytes(
            f"text,mood\nDéjà vu {name},sad\nTrès bien {name},glad\n".encode(encoding)
        )
    code, lines = check(tmp_path, config(tmp_path))
    if encoding == "latin-1":
        assert code == 1
        assert "set it (files.encoding;" in "".join(lines)
        code, lines = check(tmp_path, config(tmp_path), "--tasks.mood.files.encoding", "latin-1")
    assert (code, lines) == (0, [f"{tmp_path}: fit for training mood"])


def test_texts_that_the_encoder_does_not_know_are_described(tmp_path: Path) -> None:
    rows = "text,mood\n\U0001f95d\U0001f95d,sad\n\U0001f965,glad\nplain words,glad\n"
    (tmp_path / "train.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "dev.csv").write_text("text,mood\nIt rains,sad\nThe sun is out,glad\n")
    _, lines = check(tmp_path, config(tmp_path))
    assert lines[0] == (
        "caution: mood: the encoder knows less than half of the tokens of 2 of 3 train rows; it knows no token of 2, "
        "and gives all of them the same answer"
    )
    code, out, _ = call("data", "describe", tmp_path, "--config", tmp_path / "mine.toml")
    assert code == 0
    assert "mood train: unknown tokens: 50.00%" in out
    assert "mood train: rows of unknown tokens only: 2; the model gives all of them the same answer" in out


def test_a_run_records_its_cautions_and_shows_them_beside_its_scores(tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,mood\nlost keys,sad\nwon it,glad\nnew lamp,glad\n")
    (tmp_path / "dev.csv").write_text("text,mood\nlost keys,sad\nsun is out,odd\nfine,glad\n")
    files = {"train": "train.csv", "dev": "dev.csv", "texts": ["text"], "label": "mood"}
    task = {"kind": "class", "labels": ["sad", "glad", "odd"], "files": files}
    values = options.dump(tiny_config(tiny_encoder, sampling={"epochs": 1}))
    run = train(options.make(values | {"tasks": {"mood": task}, "data": str(tmp_path)}), tmp_path / "run")
    said = [
        "mood: the label odd has no training row (1 in dev); it can never be predicted",
        "mood: 1 of 3 dev rows have the texts of a training row",
    ]
    assert [caution for caution in run.record.cautions if "token" not in caution] == said
    assert set(said) <= set(notes(run))
    assert said[0] in call("evaluate", run.path)[1].replace("\n", " ")
