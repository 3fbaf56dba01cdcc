"""``bertram change`` from a table to a page."""

import csv
import json
import re
from pathlib import Path

import pytest
from tests.common.commands import Outcome, call
from tests.common.encoders import save_encoder
from tests.common.usages import write_usages

from bertram.cli.change import _refuse_other_output
from bertram.errors import DataError


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


def change(encoder: Path, usages: Path, out: Path, *words: object, window: int = 32) -> Outcome:
    return call("change", usages, "--encoder", encoder, "--out", out, "--resamples", 200, "--window", window, *words)


@pytest.mark.slow
def test_a_table_becomes_measures_a_spreadsheet_and_a_page(encoder: Path, tmp_path: Path) -> None:
    gold = tmp_path / "gold.txt"
    words = ("plough", "window", "cart", "chest")
    gold.write_text("plough 0.0\nwindow 1.0\ncart 0.1\nchest 0.2\nghost 0.3\n")
    usages = write_usages(tmp_path / "usages.csv", words)
    outcome = change(encoder, usages, tmp_path / "out", "--gold", gold)
    assert outcome.code == 0, outcome.err
    assert "window" in outcome.out
    assert "gold without measured change: ghost" in outcome.err
    study = json.loads((tmp_path / "out" / "change.json").read_text())
    assert study["words"][0]["word"] == "window"
    assert study["words"][0]["counts"] == {"1900": 6, "2000": 6}
    assert sum(sum(kind["counts"].values()) for kind in study["words"][0]["types"]) == 12
    with (tmp_path / "out" / "words.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["word"] == "window"
    assert all(
        float(row["apd-cosine_low"]) <= float(row["apd-cosine"]) <= float(row["apd-cosine_high"]) for row in rows
    )
    page = (tmp_path / "out" / "change.html").read_text()
    assert "<mark>window</mark>" in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page)


@pytest.mark.slow
def test_usages_and_gold_from_standard_input_give_the_same_study(encoder: Path, tmp_path: Path) -> None:
    words = ("plough", "window", "cart", "chest")
    gold = tmp_path / "gold.csv"
    gold.write_text("word,change_graded\n" + "".join(f"{word},{n}\n" for n, word in enumerate(words)))
    usages = write_usages(tmp_path / "usages.csv", words)
    options = ("--encoder", encoder, "--window", 32, "--resamples", 200, "--out")
    calls = {
        "files": call("change", usages, "--gold", gold, *options, tmp_path / "files"),
        "usages": call("change", "-", "--gold", gold, *options, tmp_path / "usages", stdin=usages.read_bytes()),
        "gold": call("change", usages, "--gold", "-", *options, tmp_path / "gold", stdin=gold.read_bytes()),
    }
    assert [outcome.code for outcome in calls.values()] == [0, 0, 0], calls["usages"].err
    studies = [json.loads((tmp_path / name / "change.json").read_text()) for name in calls]
    assert studies[0]["gold"] == studies[1]["gold"] == studies[2]["gold"]
    assert studies[0]["gold"]["correlations"]
    tables = [(tmp_path / name / "words.csv").read_text() for name in calls]
    assert tables[0] == tables[1] == tables[2]


@pytest.mark.slow
def test_a_second_call_computes_no_vectors_and_gives_the_same_study(encoder: Path, tmp_path: Path) -> None:
    usages = write_usages(tmp_path / "usages.csv")
    assert change(encoder, usages, tmp_path / "out").code == 0
    before = (tmp_path / "out" / "change.json").read_bytes()
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "vectors").iterdir()}
    assert change(encoder, usages, tmp_path / "out").code == 0
    assert (tmp_path / "out" / "change.json").read_bytes() == before
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "vectors").iterdir()} == files


@pytest.mark.slow
def test_a_word_keeps_its_measures_when_other_words_come(encoder: Path, tmp_path: Path) -> None:
    studies = []
    for number, words in enumerate((("window",), ("plough", "window"))):
        usages = write_usages(tmp_path / f"{number}.csv", words)
        assert change(encoder, usages, tmp_path / f"out{number}").code == 0
        study = json.loads((tmp_path / f"out{number}" / "change.json").read_text())
        (word,) = [word for word in study["words"] if word["word"] == "window"]
        studies.append(word["changes"][0]["measures"]["prt"])
    assert [studies[0][key] for key in ("value", "ci95", "p")] == [studies[1][key] for key in ("value", "ci95", "p")]


@pytest.mark.slow
def test_three_periods_are_compared_in_order(encoder: Path, tmp_path: Path) -> None:
    usages = write_usages(tmp_path / "usages.csv")
    third = [row.replace(",2000,", ",1950,") for row in usages.read_text().splitlines() if ",2000," in row]
    usages.write_text(usages.read_text() + "\n".join(third) + "\n")
    assert change(encoder, usages, tmp_path / "out").code == 0
    study = json.loads((tmp_path / "out" / "change.json").read_text())
    assert study["periods"] == ["1900", "1950", "2000"]
    word = study["words"][0]
    values = [abs(change["measures"]["prt"]["value"]) for change in word["changes"]]
    assert word["mean"]["prt"] == pytest.approx(sum(values) / 2)
    assert word["largest"]["prt"] == max(values)
    assert change(encoder, usages, tmp_path / "out", "--periods", "1950,1900,2000").code == 0
    assert json.loads((tmp_path / "out" / "change.json").read_text())["periods"] == ["1950", "1900", "2000"]


def test_a_word_with_too_few_usages_is_left_out_and_named(encoder: Path, tmp_path: Path) -> None:
    usages = write_usages(tmp_path / "usages.csv")
    lines = usages.read_text().splitlines()
    usages.write_text("\n".join(line for line in lines if not (line.startswith("plough,2000") and "a" in line)) + "\n")
    outcome = change(encoder, usages, tmp_path / "out")
    assert outcome.code == 0
    assert "plough is left out: 0 in 2000; a word needs 5 usages in each period" in outcome.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--periods", "1900,2020"), "the periods given are 1900, 2020, those of the usages 1900, 2000"),
        (("--layers", "3"), "layer 3: this encoder has the layers 1 to 2"),
        (("--layers", "last"), "--layers last: not whole numbers"),
        (("--column", "text"), "--column text: write KIND=NAME"),
        (("--column", "sense=text"), "unknown column kind 'sense'"),
    ],
)
def test_wrong_options_are_one_line(encoder: Path, tmp_path: Path, words: tuple[str, str], reason: str) -> None:
    outcome = change(encoder, write_usages(tmp_path / "usages.csv"), tmp_path / "out", *words)
    assert outcome.code == 1
    assert reason in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_a_window_must_fit_the_encoder(encoder: Path, tmp_path: Path) -> None:
    for window in (2, 65):
        outcome = change(encoder, write_usages(tmp_path / "usages.csv"), tmp_path / "out", window=window)
        assert outcome.code == 1
        assert f"a window of {window} tokens: this encoder reads 3 to 64" in outcome.err


@pytest.mark.slow
def test_one_period_gold_of_other_words_and_a_foreign_output_are_refused(encoder: Path, tmp_path: Path) -> None:
    usages = write_usages(tmp_path / "usages.csv")
    gold = tmp_path / "gold.txt"
    gold.write_text("ghost 0.3\n")
    assert "gold has none of the measured words" in change(encoder, usages, tmp_path / "out", "--gold", gold).err
    usages.write_text(usages.read_text().replace(",2000,", ",1900,"))
    assert "all usages are of one period, '1900'" in change(encoder, usages, tmp_path / "out2").err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert "holds other files" in change(encoder, usages, tmp_path / "full").err


def test_hidden_files_do_not_make_a_directory_foreign(tmp_path: Path) -> None:
    for name in ("change.json", ".change.html.writing", ".DS_Store"):
        (tmp_path / name).write_text("")
    _refuse_other_output(tmp_path)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(DataError, match="exists and holds other files"):
        _refuse_other_output(tmp_path)


@pytest.mark.real_data
def test_the_usages_of_dwug_are_all_read(real_data: Path) -> None:
    from bertram.semantic_change.usages import read_usages

    usages = read_usages(real_data / "dwug_en")
    assert len({usage.word for usage in usages.rows}) == 46
    assert len(usages.rows) > 9000
    assert not usages.rejected
