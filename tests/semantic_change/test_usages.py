from pathlib import Path

import pytest

from bertram.errors import DataError
from bertram.semantic_change.usages import read_forms, read_usages

DWUG_HEADER = "lemma\tpos\tdate\tgrouping\tidentifier\tcontext\tindexes_target_token"


def table(path: Path, *rows: str, header: str = "word,period,text,start,end") -> Path:
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def dwug(directory: Path, *rows: str) -> Path:
    folder = directory / "data" / "bag_nn"
    folder.mkdir(parents=True)
    (folder / "uses.csv").write_text("\n".join((DWUG_HEADER, *rows)) + "\n", encoding="utf-8")
    return directory


def test_a_row_states_its_span(tmp_path: Path) -> None:
    usage = read_usages(table(tmp_path / "u.csv", "bag,1900,a bag of bags,2,5")).rows[0]
    assert (usage.word, usage.period, usage.text[usage.start : usage.end]) == ("bag", "1900", "bag")


def test_columns_may_have_other_names_and_a_span_in_one_field(tmp_path: Path) -> None:
    path = table(tmp_path / "u.csv", "bag,1900,the bag,4:7", header="target,year,sentence,where")
    usages = read_usages(path, columns={"word": "target", "period": "year", "span": "where"})
    assert usages.rows[0].start == 4
    assert not usages.rejected


def test_without_a_span_the_first_form_is_found_as_a_whole_word_and_case_is_ignored(tmp_path: Path) -> None:
    path = table(tmp_path / "u.csv", "bag,1900,baggage and BAGS and a bag", header="word,period,text")
    usage = read_usages(path, forms={"bag": ["bag", "bags"]}).rows[0]
    assert usage.text[usage.start : usage.end] == "BAGS"


def test_a_word_has_itself_as_its_form(tmp_path: Path) -> None:
    path = table(tmp_path / "u.csv", "bag,1900,bags and a bag", header="word,period,text")
    assert read_usages(path).rows[0].start == 11


def test_rows_without_the_word_are_rejected_and_counted(tmp_path: Path) -> None:
    rows = ["bag,1900,a bag"] * 3 + ["bag,1900,a sack", "bag,1900,a basket"]
    usages = read_usages(table(tmp_path / "u.csv", *rows, header="word,period,text"))
    assert usages.not_found == {"bag": 2}
    assert usages.rejected[0] == f"{tmp_path / 'u.csv'}:5: no form of 'bag' in the text; " + (
        "give its forms with --forms, or the span"
    )


def test_without_a_word_column_every_occurrence_of_every_word_is_a_usage(tmp_path: Path) -> None:
    path = table(tmp_path / "u.csv", "1900,a bag and a bag", "1900,a cup", header="period,text")
    usages = read_usages(path, forms={"bag": ["bag"], "cup": ["cup", "cups"]})
    assert [(usage.word, usage.start) for usage in usages.rows] == [("bag", 2), ("bag", 12), ("cup", 2)]
    assert usages.not_found == {"cup": 1, "bag": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("bag,1900,a bag,2,9", "the span 2:9 is outside the text of 5 characters"),
        ("bag,1900,a bag,5,2", "the span 5:2 is outside"),
        ("bag,1900,a bag,-1,2", "the span -1:2 is outside"),
        ("bag,1900,a bag,two,5", "the span 'two:5' is not two whole numbers"),
        ("bag,,a bag,2,5", "the period is empty"),
        (",1900,a bag,2,5", "the word is empty"),
        ("bag,1900,a bag", "the number of fields is 3, not 5"),
    ],
)
def test_a_row_that_cannot_be_used_is_listed_with_its_place_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    usages = read_usages(table(tmp_path / "u.csv", "bag,1900,a bag,2,5", row))
    assert len(usages.rows) == 1
    assert len(usages.rejected) == 1
    assert usages.rejected[0].startswith(f"{tmp_path / 'u.csv'}:3: {reason}")


def test_more_than_one_percent_of_rejected_rows_is_an_error_unless_allowed(tmp_path: Path) -> None:
    usages = read_usages(table(tmp_path / "u.csv", *["bag,1900,a bag,2,5"] * 50, "bag,1900,a bag,2,9"))
    with pytest.raises(DataError, match=r"1 of 51 rows cannot be used.*--allow-rejects"):
        usages.check(allow_rejects=False)
    usages.check(allow_rejects=True)


@pytest.mark.parametrize(
    ("header", "missing"),
    [("period,text", "no column word"), ("word,text", "no column period"), ("word,period", "text")],
)
def test_a_missing_column_is_named_with_the_option_that_helps(tmp_path: Path, header: str, missing: str) -> None:
    with pytest.raises(DataError, match=missing):
        read_usages(table(tmp_path / "u.csv", "a,b", header=header))


def test_a_dwug_directory_is_read_as_it_is_quotation_marks_included(tmp_path: Path) -> None:
    row = 'bag_nn\tnn\t1835\t1\tfic_1\t"The bag, he said.\t5:8'
    usage = read_usages(dwug(tmp_path, row)).rows[0]
    assert (usage.word, usage.period, usage.id, usage.text[usage.start : usage.end]) == ("bag_nn", "1", "fic_1", "bag")


def test_a_directory_that_is_no_dwug_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data/WORD/uses\.csv"):
        read_usages(tmp_path)


def test_forms_are_read_from_a_table(tmp_path: Path) -> None:
    path = table(tmp_path / "f.csv", "bag,bag", "bag,bags", "cup,cup", header="word,form")
    assert read_forms(path) == {"bag": ["bag", "bags"], "cup": ["cup"]}
    with pytest.raises(DataError, match=r"f\.csv:3: the word or its form is empty"):
        read_forms(table(tmp_path / "f.csv", "bag,bag", "bag,", header="word,form"))
