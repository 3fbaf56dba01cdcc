"""Texts to predict, from files and pipes."""

import gzip
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from bertram.data.inputs import read_texts
from bertram.data.rows import Reject
from bertram.errors import DataError


def piped(content: bytes, pair: bool = False, **more: object) -> list[tuple[str, tuple[str, ...]]]:
    return list(read_texts(io.BytesIO(content), pair, **more))  # type: ignore[arg-type]


def test_plain_lines_are_texts_numbered_from_one() -> None:
    assert piped(b"A good film.\nWell, a bad one\n") == [("1", ("A good film.",)), ("2", ("Well, a bad one",))]


def test_plain_pairs_have_a_tab_between_them() -> None:
    assert piped(b"one\ttwo\nthree\tfour\n", pair=True) == [("1", ("one", "two")), ("2", ("three", "four"))]


@pytest.mark.parametrize(
    "content",
    [b"id\tsentence\nx\tgood\n", b"sentence,id\ngood,x\n", b'{"id": "x", "sentence": "good"}\n'],
    ids=["tabs", "commas", "json"],
)
def test_a_pipe_tells_its_format_by_its_first_line(content: bytes) -> None:
    assert piped(content) == [("x", ("good",))]


def test_the_tasks_own_columns_go_before_the_usual_ones() -> None:
    assert piped(b"text\tcomment\nno\tyes\n", likely_columns=("comment",)) == [("1", ("yes",))]
    assert piped(b"text\tremark\nyes\tno\n", likely_columns=("comment",)) == [("1", ("yes",))]
    assert piped(b"text\tcomment\nno\tyes\n") == [("1", ("no",))]


def test_the_format_can_be_said() -> None:
    assert piped(b"text\nmore\n", form="text") == [("1", ("text",)), ("2", ("more",))]


def test_the_format_of_a_file_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("A good film.\n")
    with pytest.raises(DataError, match="plain texts: --input-format text"):
        list(read_texts(tmp_path / "x.jsonl", pair=False))
    assert list(read_texts(tmp_path / "x.jsonl", pair=False, form="text")) == [("1", ("A good film.",))]


def test_the_style_of_the_task_is_applied() -> None:
    assert piped(b"It's SO\tgood.\n", pair=True, style="course") == [("1", ("it 's so", "good ."))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "id,text\n7,good\n"),
        ("x.tsv", "id\ttext\n7\tgood\n"),
        ("x.jsonl", '{"id": 7, "text": "good"}\n'),
        ("x.txt", "id\ttext\n7\tgood\n"),
    ],
)
def test_files_are_read_by_their_ending(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert list(read_texts(tmp_path / name, False)) == [("7", ("good",))]


def test_faulty_rows_are_listed_and_the_others_keep_their_numbers() -> None:
    rejects: list[Reject] = []
    found = piped(b"good\n\n\xff\nn\0ul\nfine\n", rejects=rejects)
    assert found == [("1", ("good",)), ("5", ("fine",))]
    assert [(reject.line, reject.reason.split(";")[0]) for reject in rejects] == [
        (2, "text is empty"),
        (3, "bytes that are not UTF-8"),
        (4, "text holds a NUL byte"),
    ]


def test_without_a_list_a_faulty_row_stops_and_is_named() -> None:
    with pytest.raises(DataError, match=r"<stdin>:2: not two texts with one tab between them"):
        piped(b"one\ttwo\nthree\n", pair=True)


def test_rows_come_as_the_pipe_delivers_them() -> None:
    taken = itertools.count()

    def endless() -> Iterator[bytes]:
        for number in taken:
            yield b"line %d\n" % number

    found = read_texts(endless(), False)
    assert [next(found)[0] for _ in range(1000)] == [str(number) for number in range(1, 1001)]
    assert next(taken) <= 1002


@pytest.mark.parametrize(
    ("content", "pair", "said"),
    [
        (b"", False, "<stdin>: it is empty"),
        (b'{"txt": "x"}\n', False, r"no column text or sentence \(the columns are: txt\)"),
        (b'{"text": "x"}\n', True, "no column text1 and text2 or sentence1 and sentence2 or question1 and question2"),
        (b"id\tsentense\n1\tx\n", False, "this line has tabs, but names no column text or sentence"),
    ],
)
def test_what_cannot_be_read_is_explained(content: bytes, pair: bool, said: str) -> None:
    with pytest.raises(DataError, match=said):
        piped(content, pair)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("gone.csv", "gone.txt"):
        with pytest.raises(DataError, match=f"{name}: cannot be read: No such file"):
            list(read_texts(tmp_path / name, False))


def test_the_tasks_own_id_column_goes_before_the_usual_one() -> None:
    content = b"id,ticket,text\n1,T-9,late\n2,T-7,fine\n"
    assert [row_id for row_id, _ in piped(content, id_columns=("ticket", "id"))] == ["T-9", "T-7"]
    assert [row_id for row_id, _ in piped(content, id_columns=("number", "id"))] == ["1", "2"]


@pytest.mark.parametrize("line", ["{name}, your parcel is here", "{'a': 1}", "{ {"])
def test_a_plain_line_that_only_begins_with_a_brace_is_a_text(line: str) -> None:
    assert piped(f"{line}\nmore\n".encode()) == [("1", (line,)), ("2", ("more",))]


@pytest.mark.parametrize("line", ["{", "{} {}", '{"Fine", she said}'])
def test_a_plain_line_that_begins_as_json_is_refused_with_the_way_out(line: str) -> None:
    with pytest.raises(DataError, match="--input-format text"):
        piped(f"{line}\nmore\n".encode())
    assert piped(f"{line}\nmore\n".encode(), form="text") == [("1", (line,)), ("2", ("more",))]


def test_a_cr_inside_a_piped_line_belongs_to_the_text() -> None:
    assert piped(b"The lamp\rbroke\nThe chair\r\n") == [("1", ("The lamp\rbroke",)), ("2", ("The chair",))]


@pytest.mark.parametrize("name", ["mac.txt", "mac", "mac.csv"])
def test_a_cr_ends_a_line_of_a_file_that_has_no_other_line_ends(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"text\rfirst lamp\rsecond lamp\r")
    assert list(read_texts(tmp_path / name, False)) == [("1", ("first lamp",)), ("2", ("second lamp",))]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_names_the_encoding_of_a_pipe(encoding: str) -> None:
    assert piped("größer\nkleiner\n".encode(encoding)) == [("1", ("größer",)), ("2", ("kleiner",))]


def test_an_encoding_can_be_said() -> None:
    assert piped("größer\n".encode("latin-1"), encoding="latin-1") == [("1", ("größer",))]
    with pytest.raises(DataError, match="unknown encoding 'latin-99'; usual ones are utf-8"):
        piped(b"x\n", encoding="latin-99")


def test_a_piped_table_may_have_line_ends_in_its_header() -> None:
    assert piped(b'"remarks\n(short)",text\nnone,fine\n') == [("1", ("fine",))]
    assert piped(b'"Fine, she said\nand left\n') == [("1", ('"Fine, she said',)), ("2", ("and left",))]


def test_a_line_that_names_the_delimiter_goes_before_the_header() -> None:
    assert piped(b"sep=;\nid;text\n7;one, two\n") == [("7", ("one, two",))]
    assert piped(b"sep=;\nfine\n") == [("1", ("sep=;",)), ("2", ("fine",))]


def test_plain_texts_may_be_compressed(tmp_path: Path) -> None:
    (tmp_path / "x.txt.gz").write_bytes(gzip.compress(b"first lamp\nsecond lamp\n"))
    assert list(read_texts(tmp_path / "x.txt.gz", False)) == [("1", ("first lamp",)), ("2", ("second lamp",))]


def test_columns_that_are_named_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('text,"my, column"\nno,yes\n')
    assert list(read_texts(tmp_path / "x.csv", False, columns=["my, column"])) == [("1", ("yes",))]
    with pytest.raises(DataError, match=r"no column comment \(the columns are: text, my, column\)"):
        list(read_texts(tmp_path / "x.csv", False, columns=["comment"]))
    with pytest.raises(DataError, match="the task needs two text columns, but 1 are named: text"):
        list(read_texts(tmp_path / "x.csv", True, columns=["text"]))
