"""Excel files and Zstandard, which need packages of the extra `files`."""

import hashlib
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.common.workbooks import Sheet, write_workbook

from bertram.data.inputs import read_texts
from bertram.data.rows import read_rows
from bertram.data.tables import open_table
from bertram.errors import DataError
from bertram.task_files import Files
from bertram.tasks import Task

excel = pytest.mark.skipif(find_spec("fastexcel") is None, reason="fastexcel is not installed")
zstd = pytest.mark.skipif(find_spec("zstandard") is None, reason="zstandard is not installed")
ROWS: Sheet = [
    ["text", "label", "stars"],
    ["fine", "yes", 4.5],
    [None, None, None],
    ["late", "no", 2],
    ['Grüße, "x"', None, 3],
]


@excel
def test_the_rows_of_a_workbook_have_their_numbers_in_the_sheet(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    write_workbook(path, {"Posts": ROWS, "Notes": []})
    task = Task(name="own", kind="binary", files=Files(train="rows.xlsx", texts=("text",)))
    rows = read_rows(task, str(tmp_path), "train")
    assert rows.texts == [("fine",), ("late",)]
    assert rows.lines.tolist() == [2, 4]
    assert rows.unlabelled == 1
    assert rows.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    stars = Task(
        name="stars", kind="score", range=(0, 5), files=Files(train="rows.xlsx", texts=("text",), label="stars")
    )
    labels = read_rows(stars, str(tmp_path), "train").labels
    assert labels is not None
    assert labels.tolist() == [4.5, 2, 3]
    assert [texts for _, texts in read_texts(path, False)] == [("fine",), ("late",), ('Grüße, "x"',)]


@excel
def test_blank_rows_above_the_header_count(tmp_path: Path) -> None:
    write_workbook(tmp_path / "rows.xlsx", {"Posts": [[None, None, None], [None, None, None], *ROWS]})
    task = Task(name="own", kind="binary", files=Files(train="rows.xlsx", texts=("text",)))
    assert read_rows(task, str(tmp_path), "train").lines.tolist() == [4, 6]


@excel
@pytest.mark.parametrize(
    ("sheets", "message"),
    [({"A": ROWS, "B": ROWS}, r"2 sheets with rows \(A, B\)"), ({"A": [["text"]]}, "0 sheets with rows")],
)
def test_a_workbook_must_have_one_sheet_with_rows(tmp_path: Path, sheets: dict[str, Sheet], message: str) -> None:
    write_workbook(tmp_path / "rows.xlsx", sheets)
    with pytest.raises(DataError, match=message):
        open_table(tmp_path / "rows.xlsx").__enter__()


@excel
def test_an_empty_column_is_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_workbook(tmp_path / "rows.xlsx", {"A": [["text", "empty"], ["fine", None], ["late", None]]})
    with open_table(tmp_path / "rows.xlsx") as table:
        assert table.columns == ("text", "empty")
    assert capsys.readouterr().err == ""


@excel
def test_what_is_no_workbook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"text,label\n")
    with pytest.raises(DataError, match=r"rows\.xlsx: not an Excel file that can be read"):
        open_table(tmp_path / "rows.xlsx").__enter__()


@zstd
def test_a_file_may_be_compressed_by_zstandard(tmp_path: Path) -> None:
    import zstandard

    path = tmp_path / "rows.csv.zst"
    frames = [zstandard.compress(part) for part in (b"id,text\n1,fi", b"ne\n2,late\n")]
    path.write_bytes(b"".join(frames))
    with open_table(path) as table:
        assert [record.values["text"] for record in table.read(["text"])] == ["fine", "late"]
    path.write_bytes(b"".join(frames)[2:])
    with pytest.raises(DataError, match=r"rows\.csv\.zst: a damaged Zstandard file"), open_table(path) as table:
        list(table.read(["text"]))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "rows.csv.zst").write_bytes(b"x")
    with pytest.raises(DataError, match="pip install 'bertram"), open_table(tmp_path / "rows.csv.zst"):
        pass
