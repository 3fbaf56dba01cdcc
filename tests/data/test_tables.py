"""Rows of files with their lines and faults."""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertram.data import delimited
from bertram.data.lines import read_lines
from bertram.data.tables import Format, Record, Table, open_table, text_table
from bertram.errors import DataError
from bertram.task_files import Quoting


def table(
    content: Iterable[bytes], form: Format = "csv", encoding: str | None = None, quoting: Quoting = "auto"
) -> Table:
    return text_table(read_lines(content, encoding), form, "file", quoting)


def records(
    content: bytes, form: Format = "csv", encoding: str | None = None, quoting: Quoting = "auto"
) -> list[Record]:
    return list(table(io.BytesIO(content), form, encoding, quoting).read([]))


def faults(content: bytes, form: Format = "csv") -> dict[int, str]:
    return {record.line: record.fault for record in records(content, form) if record.fault}


field = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)


@pytest.mark.slow
@given(st.lists(st.tuples(field, field, field), min_size=1, max_size=8), st.sampled_from("\t,;"))
def test_what_the_csv_module_writes_is_read_again_with_its_lines(rows: list[tuple[str, ...]], delimiter: str) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(("a", "b", "c"))
    lines = []
    for row in rows:
        lines.append(written.getvalue().count("\n") + 1)
        writer.writerow(row)
    found = records(written.getvalue().encode(), quoting="standard")
    assert [(record.line, tuple(record.values.values()), record.fault) for record in found] == [
        (line, row, "") for line, row in zip(lines, rows, strict=True)
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quoted_fields_hold_delimiters_line_ends_and_doubled_quotes(end: str) -> None:
    content = end.join(["id\ttext", '1\t"one\ttab"', '2\t"two', 'lines"', '3\t"say ""hi"""', '4\tit is 5" long', ""])
    assert [(record.line, record.values["text"]) for record in records(content.encode())] == [
        (2, "one\ttab"),
        (3, "two\nlines"),
        (5, 'say "hi"'),
        (6, 'it is 5" long'),
    ]


@pytest.mark.parametrize("header", ["a\tb", "a,b", "a;b"])
def test_a_csv_file_tells_its_delimiter_by_its_header(header: str) -> None:
    content = header + "\n" + header.replace("a", "1").replace("b", "2")
    assert records(content.encode())[0].values == {"a": "1", "b": "2"}


def test_a_tsv_file_is_read_with_tabs_alone() -> None:
    assert records(b"a,b\tc\n1,2\t3\n", "tsv")[0].values == {"a,b": "1,2", "c": "3"}


def test_one_column_may_hold_commas() -> None:
    assert records(b"text\nwell, yes\n")[0].values == {"text": "well, yes"}


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert records(b"\xef\xbb\xbfa\tb\n1\t2\n")[0].values == {"a": "1", "b": "2"}


def test_each_faulty_row_is_named_by_its_line_and_costs_no_other() -> None:
    content = b"a\tb\n1\tgood\n2\tbad \xff byte\n3\n4\ttoo\tmany\n\n6\tgood\n"
    found = faults(content)
    assert list(found) == [3, 4, 5, 6]
    assert "UTF-8" in found[3]
    assert found[4] == "the number of fields is 1, not 2"
    assert found[5] == "the number of fields is 3, not 2"
    assert found[6] == "empty line"
    assert [record.line for record in records(content) if not record.fault] == [2, 7]


def test_empty_lines_at_the_end_are_no_rows() -> None:
    assert [record.line for record in records(b"a\tb\n1\t2\n\n\r\n\n")] == [2]


def test_a_bad_byte_in_the_second_line_of_a_row_rejects_that_row() -> None:
    assert list(faults(b'a\tb\n1\t"two\n\xff lines"\n2\tgood\n')) == [2]


def test_a_quote_that_is_never_closed_costs_its_own_row_only() -> None:
    content = b'a\tb\n1\tgood\n2\t"open\n3\tgood\n4\t"good"\n5\t"open again\n6\tgood'
    assert list(faults(content)) == [3, 6]
    assert [record.line for record in records(content) if not record.fault] == [2, 4, 5, 7]


def test_a_quote_is_not_searched_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LINES_OF_A_FIELD", 3)
    drawn = []

    def lines() -> Iterator[bytes]:
        for number in range(100):
            drawn.append(number)
            yield b"a\tb\n" if number == 0 else b'1\t"open\n' if number == 1 else b"2\tgood\n"

    first = next(table(lines(), "tsv").read([]))
    assert first.fault
    assert len(drawn) < 10


def test_a_field_may_be_longer_than_the_csv_module_allows_by_default() -> None:
    assert records(b'a\tb\n1\t"' + b"x" * 300_000 + b'"\n')[0].values["b"] == "x" * 300_000


def test_rows_come_before_the_file_has_been_read_to_its_end() -> None:
    def endless() -> Iterator[bytes]:
        yield b"a\tb\n"
        while True:
            yield b"1\t2\n"

    found = table(endless(), "tsv").read([])
    assert [next(found).line for _ in range(3)] == [2, 3, 4]


def test_json_lines_with_every_fault_of_a_line() -> None:
    content = b'{"a": "x", "b": 1}\n[1]\n{"a": \n\n{"a": "\xff"}\n' + b"[" * 100_000 + b'\n{"b": 2}\n'
    found = faults(content, "jsonl")
    assert list(found) == [2, 3, 4, 5, 6]
    assert found[2] == "not a JSON object"
    assert found[3].startswith("not JSON: ")
    assert found[4] == "empty line"
    assert "UTF-8" in found[5]
    assert records(content, "jsonl")[-1] == Record(7, {"b": 2}, "")


def test_json_columns_may_begin_in_any_row() -> None:
    assert table([b'{"a": 1}\n', b'{"b": 2}\n'], "jsonl").columns == ("a", "b")
    lines = [*[b'{"a": 1}\n'] * 200, b'{"a": 2, "late": 3}\n', b'{"a": 4}\n']
    made = table(lines, "jsonl")
    assert made.columns == ("a",)
    made.require(["a", "late"])
    rows = list(made.read(["a", "late"]))
    assert [row.line for row in rows] == list(range(1, 203))
    assert rows[200].values == {"a": 2, "late": 3}
    with pytest.raises(DataError, match=r"no column 'b' \(the columns are: a\)"):
        table(lines, "jsonl").require(["b"])
    assert table([b"[", *[line.strip() + b"," for line in lines], b'{"last": 1}]'], "json").columns == (
        "a",
        "late",
        "last",
    )


def test_parquet_rows_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    polars.DataFrame({"text": ["x", None], "label": [0.5, 1.0], "unused": [[1], [2]]}).write_parquet(path)
    with open_table(path) as opened:
        assert opened.columns == ("text", "label", "unused")
        assert list(opened.read(["text", "label"])) == [
            Record(1, {"text": "x", "label": 0.5}, ""),
            Record(2, {"text": None, "label": 1.0}, ""),
        ]


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really PAR1"], ids=["empty", "damaged"])
def test_a_parquet_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"rows\.parquet: not a Parquet file"), open_table(path):
        pass


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.jsonl", "rows.ndjson"])
def test_an_empty_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\n\n")
    with pytest.raises(DataError, match=f"{name}: the file is empty"), open_table(tmp_path / name):
        pass


def test_an_unknown_ending_and_a_missing_file_are_named(tmp_path: Path) -> None:
    for name, said in (
        ("rows.doc", r"a file's name must end in \.csv, \.tsv"),
        ("rows.csv", "cannot be read: No such"),
    ):
        with pytest.raises(DataError, match=f"{name}: {said}"), open_table(tmp_path / name):
            pass


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_names_the_encoding(encoding: str) -> None:
    content = 'größe;text\n1;"zwei\nZeilen"\n2;ĉu ne\n'.encode(encoding)
    assert [(record.line, record.values["text"]) for record in records(content)] == [(2, "zwei\nZeilen"), (4, "ĉu ne")]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "utf-16-be"])
def test_another_encoding_is_told_from_the_header_and_can_be_said(encoding: str) -> None:
    content = "größe\tb\n1\tdé\n".encode(encoding)
    with pytest.raises(DataError, match=r"file: .* set it \(files.encoding; .*--encoding\)"):
        records(content)
    assert records(content, encoding=encoding)[0].values == {"größe": "1", "b": "dé"}


def test_a_text_without_the_mark_that_its_encoding_begins_with_is_refused() -> None:
    with pytest.raises(DataError, match="the text is not UTF-16"):
        records(b"a\tb\n1\tfine\n", encoding="utf-16")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_row_in_another_encoding_is_named_with_the_option_that_helps(encoding: str) -> None:
    content = "a\tb\n1\tfine\n2\tdéjà vu\n".encode(encoding)
    assert faults(content)[3] == (
        "bytes that are not UTF-8; if the text has another encoding, set it (files.encoding; hub.encoding, "
        "extra.encoding or unlabelled.encoding for a file of that table; --encoding)"
    )
    assert records(content, encoding=encoding)[1].values["b"] == "déjà vu"


def test_lines_may_end_with_cr_alone() -> None:
    content = b'a,b\r1,one\r2,"two\rlines"\r3,three\r\r'
    assert [(record.line, record.values["b"], record.fault) for record in records(content)] == [
        (2, "one", ""),
        (3, "two\nlines", ""),
        (5, "three", ""),
    ]
    assert records(b'{"a": 1}\r{"a": 2}\r', "jsonl")[1] == Record(2, {"a": 2}, "")


@pytest.mark.parametrize(
    "content", [b"text\nfirst\rsecond\nthird\n", b'a,b\n1,x\r2,y\n3,"z"\n', b'a,b\n1,"x"\r2,"y"\n3,z\n']
)
def test_a_cr_inside_a_line_swallows_no_row(content: bytes) -> None:
    found = records(content)
    assert [record.line for record in found] == [2, 3]
    assert found[0].fault
    assert not found[1].fault


def test_a_quoted_cr_belongs_to_the_text() -> None:
    assert records(b'a,b\n1,"x\ry"\n')[0].values["b"] == "x\ry"


def test_rows_that_a_quote_would_swallow_are_faults_with_the_option_that_helps() -> None:
    content = b'text\tlabel\nA dull book\tneg\n"Superb plot\tpos\nA weak end\tneg\nRead it"\tpos\nA fair price\tpos\n'
    found = faults(content, "tsv")
    assert list(found) == [3, 4, 5]
    assert found[3].endswith(
        "one row of lines 3 to 5, each of which has 2 fields; set quoting (files.quoting; hub.quoting, extra.quoting "
        "or unlabelled.quoting for a file of that table; --quoting) to none if quotes are ordinary characters, to "
        "standard if not"
    )
    assert [record.line for record in records(content, "tsv") if not record.fault] == [2, 6]
    unquoted = records(content, "tsv", quoting="none")
    assert [record.values["text"] for record in unquoted][1:4] == ['"Superb plot', "A weak end", 'Read it"']
    assert {record.fault for record in unquoted} == {""}


@given(st.lists(st.tuples(st.text('a"', max_size=4), st.text('b"', max_size=4)), min_size=1, max_size=6))
def test_no_row_of_a_file_without_quoting_is_swallowed(rows: list[tuple[str, str]]) -> None:
    """Each line is read as it stands, unquoted in itself, or is a fault."""
    content = "x\ty\n" + "".join(f"{a}\t{b}\n" for a, b in rows)
    found = records(content.encode(), "tsv")
    assert [record.line for record in found] == list(range(2, len(rows) + 2))
    assert [tuple(r.values.values()) for r in records(content.encode(), "tsv", quoting="none")] == rows


def test_a_field_may_span_lines_that_are_whole_rows_if_quoting_is_standard() -> None:
    content = b'label,text\npos,"Dear all\nthanks, and bye"\nneg,"Dear all\nno, thanks\nbye"\n'
    assert list(faults(content)) == [2, 3]
    assert records(content)[-1].values["text"] == "Dear all\nno, thanks\nbye"
    assert records(content, quoting="standard")[0].values["text"] == "Dear all\nthanks, and bye"


@pytest.mark.parametrize(
    ("content", "columns", "rows"),
    [
        (b'"answer\n(short)",label\ngood,pos\n', ("answer\n(short)", "label"), [3]),
        (b'text,label,"Any other\r\nremarks?"\r\ngood,pos,x\r\n', ("text", "label", "Any other\nremarks?"), [3]),
        (b'"a;b"\ttext\n1\t2\n', ("a;b", "text"), [2]),
        (b'text,5" pipe\ngood,1\n', ("text", '5" pipe'), [2]),
        (b'text,"pipe\ngood,1\n', ("text", "pipe"), [2]),
        (b"sep=|\ntext|label\none, two|1\n", ("text", "label"), [3]),
        (b'"sep=;"\r\ntext;label\r\none, two;1\r\n', ("text", "label"), [3]),
    ],
)
def test_a_header_is_a_row_like_others(content: bytes, columns: tuple[str, ...], rows: list[int]) -> None:
    assert table(io.BytesIO(content)).columns == columns
    assert [record.line for record in records(content) if not record.fault] == rows


def test_json_without_objects_is_refused() -> None:
    with pytest.raises(DataError, match="each line must be a JSON object"):
        records(b"sentence\tlabel\nfine\t1\n", "jsonl")


@pytest.mark.parametrize(
    ("header", "form", "said"),
    [
        (b"id\tsentense\tlabel\n", "csv", r"no column 'sentence'; did you mean 'sentense'\? .*: id, sentense, label\)"),
        (b"\t\tid\n", "csv", r"no column 'label', 'sentence' \(the columns are: \(no name\), \(no name\), id\)"),
        (b"sentence,label\n", "tsv", "separated by commas, but it is read as separated by tabs"),
        (b"sentence|label\n", "csv", "separated by vertical bars, but it is read as separated by tabs"),
        (b"sentence\tlabel\tsentence\n", "csv", "names the column 'sentence' more than once"),
    ],
)
def test_columns_that_are_not_there_are_explained(header: bytes, form: Format, said: str) -> None:
    with pytest.raises(DataError, match=said):
        table([header], form).require(["sentence", "label"])


@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.CSV.GZ"])
def test_a_file_may_be_compressed_by_gzip(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"id,text\n1,fine\n2,late\n"))
    with open_table(path) as opened:
        assert [record.values["text"] for record in opened.read(["text"])] == ["fine", "late"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"(?i)rows.csv.gz: a damaged gzip file"), open_table(path) as opened:
        list(opened.read(["text"]))


def test_a_json_file_holds_a_list_of_objects_or_an_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[\n {"text": "fine", "label": 1},\n 7,\n {"text": "late"}\n]\n')
    with open_table(path) as opened:
        assert opened.columns == ("text", "label")
        assert list(opened.read(["text"])) == [
            Record(1, {"text": "fine", "label": 1}, ""),
            Record(2, {}, "not a JSON object"),
            Record(3, {"text": "late"}, ""),
        ]
    path.write_text('{"text": "fine"}\n{"text": "late"}\n')
    with open_table(path) as opened:
        assert [record.values["text"] for record in opened.read(["text"])] == ["fine", "late"]
    path.write_text('[{"text": "fine"},\n {"text": }]\n')
    with pytest.raises(DataError, match=r"not JSON: Expecting value at line 2, character 11; the file must"):
        open_table(path).__enter__()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rows.xls", "an old Excel file; save it as .xlsx or CSV UTF-8"),
        ("rows.csv.bz2", "decompress it by bunzip2"),
        ("rows.zip", "an archive; unpack it"),
        ("https://example.org/rows.csv", "an address; download the file"),
        ("s3://bucket/rows.parquet", "an address; download the file"),
    ],
)
def test_what_is_not_read_is_refused_with_the_way_out(name: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_table(Path(name)).__enter__()


@pytest.mark.slow
def test_a_table_of_very_many_columns_is_refused_in_a_short_message() -> None:
    header = ",".join(f"column {number}" for number in range(200_000)).encode()
    with pytest.raises(DataError, match=r"column 39 and 199,960 more\)") as refusal:
        table([header]).require(["text", "label"])
    assert len(str(refusal.value)) < 1000
