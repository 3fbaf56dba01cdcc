"""A first task file is guessed with reasons, trains as it stands, and what is not used is said."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.common.commands import call

from bertram import options
from bertram.data.checks import check_files
from bertram.data.guess import guess
from bertram.errors import DataError


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def guessed(*paths: Path) -> tuple[dict[str, Any], str]:
    text = guess(paths)
    values = tomllib.loads(text)
    config = options.make(values)
    assert check_files(config.tasks, config.data, split=config.split) == []
    return values["tasks"], text


def sentence(number: int) -> str:
    return f"This is the sentence of number {number}"


def test_kinds_labels_ids_and_ranges_come_with_reasons(tmp_path: Path) -> None:
    moods = ("pos", "neg", "mixed")
    rows = [
        f'p{n},{sentence(n)},{moods[n % 3]},{"yes" if n % 4 else "no"},"{n % 5},{n % 10}",{n % 4},u{n % 9}'
        for n in range(40)
    ]
    tasks, text = guessed(write(tmp_path / "posts.csv", "post_id,body,mood,urgent,warmth,grade,author", rows))
    assert list(tasks) == ["mood", "urgent", "warmth", "grade"]
    assert tasks["mood"]["kind"] == "class"
    assert tasks["mood"]["labels"] == ["mixed", "neg", "pos"]
    assert tasks["urgent"] | {"files": None} == {"kind": "binary", "labels": ["no", "yes"], "files": None}
    assert (tasks["warmth"]["kind"], tasks["warmth"]["range"]) == ("score", [0.0, 5.0])
    assert tasks["warmth"]["files"]["decimal"] == ","
    assert tasks["grade"]["labels"] == ["0", "1", "2", "3"]
    assert tasks["mood"]["files"] == {"train": "posts.csv", "texts": ["body"], "label": "mood", "id": "post_id"}
    assert 'kind = "class"  # 3 different values: pos 14, neg 13, mixed 13' in text
    assert "# no dev file: a fifth of the rows is held out (--dev-share), stratified by label" in text
    assert "column 'author' says by its name whose a row is" in text
    fields = [line for line in text.splitlines() if " = " in line and not line.startswith(("#", "data"))]
    assert all("  # " in line for line in fields)


def test_cells_of_several_labels_are_found(tmp_path: Path) -> None:
    topics = ("price|food", "food", "[]", "place", "price|place")
    types = ("[1, 0, 0]", "[3, 2, 0]", "[2, 0, 0]")
    kinds = ("food, drinks", "place", "other")  # a comma within a label
    rows = [f'{sentence(n)},{topics[n % 5]},"{types[n % 3]}","{kinds[n % 3]}"' for n in range(30)]
    tasks, text = guessed(write(tmp_path / "posts.csv", "text,topics,types,kind", rows))
    assert tasks["topics"]["kind"] == tasks["types"]["kind"] == "multi-label"
    assert tasks["topics"]["labels"] == ["food", "place", "price"]
    assert "several labels in a cell, such as price|food: food 12, place 12, price 12" in text
    assert (tasks["types"]["labels"], tasks["types"]["absent_labels"]) == (["1", "2", "3"], ["0"])
    assert (tasks["kind"]["kind"], tasks["kind"]["labels"]) == ("class", ["food, drinks", "other", "place"])


@pytest.mark.parametrize(
    ("header", "cells", "kind"),
    [
        ("price", ("1,500", "20,000", "999"), "the comma in '1,500' separates thousands or decimals"),
        ("price", ("1,500.50", "20,000", "999"), "the comma in '1,500.50' separates thousands or decimals"),
        ("price", ("1,5", "2.5", "3"), "its numbers have decimal commas and decimal points"),
        ("price", ("1,500", "0,250", "999"), "score"),
        ("topics", ("1", "2", "1,3", "2,4"), "multi-label"),
        ("rating", ("1", "2", "1,3", "2,4"), "score"),
        ("warmth", ("1", "1,5", "2", "2,5", "3"), "score"),
        ("warmth", ("0", "0,3", "0,7", "1", "1,3", "1,7", "2"), "score"),
        ("warmth", ("1", "1,33", "1,67", "2", "2,33", "2,67", "3"), "score"),
    ],
)
def test_a_comma_is_a_decimal_mark_only_where_it_can_be_nothing_else(
    tmp_path: Path, header: str, cells: tuple[str, ...], kind: str
) -> None:
    rows = [f'{sentence(n)},{"ab"[n % 2]},"{cells[n % len(cells)]}"' for n in range(60)]
    tasks, text = guessed(write(tmp_path / "posts.csv", f"text,mood,{header}", rows))
    assert kind in (text if header not in tasks else tasks[header]["kind"])


def test_a_name_says_whose_a_row_is_as_a_word_of_its_own(tmp_path: Path) -> None:
    names = ("user_satisfaction", "resource", "documentation", "userId", "author name")
    rows = [f"{sentence(n)},{n % 3},{n % 2},{n % 4},u{n % 5},a{n % 6}" for n in range(60)]
    tasks, text = guessed(write(tmp_path / "posts.csv", f"text,{','.join(names)}", rows))
    assert list(tasks) == ["user_satisfaction", "resource", "documentation"]
    assert '# group = "userId"' in text
    alone, text = guessed(write(tmp_path / "books.csv", "text,author", [f"{sentence(n)},a{n % 5}" for n in range(60)]))
    assert list(alone) == ["author"]
    assert "# group" not in text


def test_pairs_and_parts_are_found_by_name(tmp_path: Path) -> None:
    header, rows = (
        "sentence1\tsentence2\tsimilarity",
        [f"{sentence(n)}\t{sentence(n + 1)}\t{n / 7:.3f}" for n in range(30)],
    )
    paths = [write(tmp_path / f"sts-{part}.tsv", header, rows) for part in ("train", "dev", "test")]
    tasks, text = guessed(*paths)
    files = tasks["similarity"]["files"]
    assert files["texts"] == ["sentence1", "sentence2"]
    assert [files[part] for part in ("train", "dev", "test")] == ["sts-train.tsv", "sts-dev.tsv", "sts-test.tsv"]
    assert tasks["similarity"]["range"] == [0.0, 5.0]
    assert "# a pair, by the names" in text


def test_rows_without_a_value_and_rows_that_cannot_be_read_do_not_count(tmp_path: Path) -> None:
    rows = [f"{n};Größe Nr. {n};{'ab'[n % 2]}" for n in range(40)]
    text = "\n".join(["ID;Text;Topic", *rows, ";;", ";;"]) + "\n"
    (tmp_path / "sheet.csv").write_text(text)
    tasks, _ = guessed(tmp_path / "sheet.csv")
    assert list(tasks) == ["Topic"]
    assert tasks["Topic"]["files"]["id"] == "ID"
    more = "".join(f"{n};Text Nr. {n};{'ab'[n % 2]}\n" for n in range(40, 201))
    (tmp_path / "few.csv").write_bytes((text.replace("ö", "o", 38).replace("ß", "ss", 38) + more).encode("cp1252"))
    said = guess([tmp_path / "few.csv"])
    assert list(tomllib.loads(said)["tasks"]) == ["Topic"]
    assert "# few.csv: 2 rows cannot be read; the first: line 40: bytes that are not UTF-8" in said


def test_more_than_one_percent_of_the_rows_must_be_read(tmp_path: Path) -> None:
    rows = [f"Der {'große' if n < 3 else 'kleine'} Satz Nr. {n};{'süß' if n % 2 else 'sauer'}" for n in range(200)]
    file = tmp_path / "sweets.csv"
    file.write_bytes("\n".join(["Text;Topic", *rows]).encode("cp1252"))
    code, out, err = call("data", "init", file)
    assert (code, out) == (1, "")
    assert "sweets.csv: 102 of 200 rows cannot be read, more than 1 %; line 2: bytes that are not UTF-8" in err
    assert "--encoding" in err
    toml = tmp_path / "sweets.toml"
    assert call("data", "init", file, "--encoding", "cp1252", "--out", toml).code == 0
    (task,) = tomllib.loads(toml.read_text())["tasks"].values()
    assert (task["labels"], task["files"]["encoding"]) == (["sauer", "süß"], "cp1252")
    assert call("data", "check", tmp_path, "--config", toml).code == 0


def test_spellings_of_a_number_are_one_label(tmp_path: Path) -> None:
    rows = [f"{sentence(n)},{n % 3}{'.0' * (n % 2)},{n % 20}{'.0' * (n // 20)},7{'.0' * (n % 2)}" for n in range(40)]
    tasks, text = guessed(write(tmp_path / "x.csv", "text,stars,level,same", rows))
    assert tasks["stars"]["labels"] == ["0", "1", "2"]
    assert "# 3 different values: 0 14, 1 13, 2 13" in text
    assert tasks["level"]["labels"] == [str(number) for number in range(20)]
    assert "column 'same' is not used: all its values are '7'" in text


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    rows = [f"{sentence(n)},{'ab'[n % 2]},," for n in range(40)]
    tasks, _ = guessed(write(tmp_path / "export.csv", "text,mood,,", rows))
    assert list(tasks) == ["mood"]


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ("train.csv validation.csv test.csv", {"train", "dev", "test"}),
        ("movies_train.csv movies_development.csv", {"train", "dev"}),
        ("QuoraTrain.csv QuoraDev.csv", {"train", "dev"}),
        ("devices.csv", {"train"}),
        ("latest.csv", {"train"}),
    ],
)
def test_parts_are_whole_words_of_a_name(names: str, parts: set[str], tmp_path: Path) -> None:
    rows = [f"{sentence(n)},{'ab'[n % 2]}" for n in range(40)]
    paths = [write(tmp_path / name, "text,label", [f"{name} {row}" for row in rows]) for name in names.split()]
    values = tomllib.loads(guess(paths))
    (task,) = values["tasks"].values()
    assert task["files"].keys() & {"train", "dev", "test"} == parts
    if len(paths) == 1:
        assert list(values["tasks"]) == [paths[0].stem]


def test_a_column_called_label_is_named_after_its_file(tmp_path: Path) -> None:
    rows = [f"{sentence(n)},{n % 2}" for n in range(20)]
    tasks, _ = guessed(write(tmp_path / "spam mails.csv", "text,label", rows))
    assert list(tasks) == ["spam_mails"]
    assert tasks["spam_mails"]["kind"] == "binary"


def test_empty_cells_are_counted_and_rare_labels_named(tmp_path: Path) -> None:
    rows = [f"{sentence(n)},{'' if n % 2 else 'Neg' if n == 0 else 'neg' if n % 3 else 'pos'}" for n in range(60)]
    rows[1] += "NA"
    tasks, text = guessed(write(tmp_path / "x.csv", "text,mood", rows))
    assert tasks["mood"]["labels"] == ["Neg", "neg", "pos"]
    assert "30 of 60 rows have no label (NA 1)" in text
    assert "few training rows: Neg (1)" in text
    assert "nearly equal" in text


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("a,b", ["1,2", "3,4"], "x.csv: no column of texts (a, b)"),
        (
            "text,note",
            [f"{sentence(n)},n{n}" for n in range(20)],
            "column 'note' is not used: 20 different values in 20",
        ),
        ("text,flag", [f"{sentence(n)},1" for n in range(20)], "column 'flag' is not used: all its values are '1'"),
        ("text,flag", [f"{sentence(n)}," for n in range(20)], "column 'flag' is not used: it is empty"),
    ],
)
def test_nothing_to_learn_is_an_error_that_says_what_was_seen(
    tmp_path: Path, header: str, rows: list[str], message: str
) -> None:
    with pytest.raises(DataError) as refused:
        guess([write(tmp_path / "x.csv", header, rows)])
    assert message in str(refused.value)


def test_all_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.csv", "text,text", ["a,b"]), tmp_path / "b.csv", tmp_path / "c.doc"]
    with pytest.raises(DataError) as refused:
        guess(paths)
    assert [line.split(": ")[0] for line in str(refused.value).splitlines()] == [str(path) for path in paths]


def test_the_command_writes_a_file_once_that_trains_as_it_stands(tiny_encoder: Path, tmp_path: Path) -> None:
    rows = [f"{sentence(n)},{'glad' if n % 3 else 'sad'}" for n in range(30)]
    table, toml = write(tmp_path / "posts.csv", "text,mood", rows), tmp_path / "mine.toml"
    assert call("data", "init", table).out == guess([table])
    assert call("data", "init", table, "--out", toml).code == 0
    code, _, err = call("data", "init", table, "--out", toml)
    assert (code, "exists already" in err) == (1, True)
    short = ("--sampling.steps_per_epoch", "2", "--sampling.epochs", "1", "--threads", "1", "--precision", "fp32")
    code, _, err = call("train", "--config", toml, "--encoder", tiny_encoder, *short, "--out", tmp_path / "run")
    assert code == 0, err
    assert "dev is 6 of the 30 rows of posts.csv" in err


def test_the_tutorial_shows_what_is_guessed_from_its_spreadsheet(monkeypatch: pytest.MonkeyPatch) -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    monkeypatch.chdir(docs / "examples")
    assert f"```toml\n{guess([Path('tickets.csv')])}```" in (docs / "spreadsheet.md").read_text(encoding="utf-8")
    assert Path("tickets.csv").read_text(encoding="utf-8").splitlines()[5] in (docs / "spreadsheet.md").read_text()
