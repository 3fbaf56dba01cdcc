"""Marked targets: the marks of a text, spans of characters and of tokens, and windows around them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertram.data.examples import make_examples
from bertram.data.rows import read_rows
from bertram.data.targets import marked, read_span, token_span, window, without_marks
from bertram.data.tokenizer import load_tokenizer
from bertram.errors import DataError, Fault
from bertram.task_files import Files
from bertram.tasks import Task

TARGET_TASK = Task(
    name="wic",
    kind="score",
    range=(1, 4),
    encoding="bi",
    head="cosine",
    pooling="target",
    files=Files(train="train.tsv", dev="train.tsv", texts=("text1", "text2"), targets=("span1", "span2")),
)


@given(st.text("ab <>/t", max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_a_marked_text_gives_back_the_text_and_its_span(text: str, start: int, end: int) -> None:
    if "<t>" in text or "</t>" in text or not start < end <= len(text) or not text[start:end].strip():
        return
    assert without_marks(marked(text, start, end)) == (text, (start, end))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("no mark at all", "the text has no target"),
        ("<t>one</t> and <t>two</t>", "the text has 2 targets"),
        ("</t>turned<t>", "the text has 1 target"),
        ("never <t>closed", "the text has 1 target"),
        ("an empty <t> </t> one", "the target is empty"),
        *(
            (f"no <t>{shown}</t> sign", "has no visible character")
            for shown in ("\u200b", "\xad ", "\x07", "\ue000", "\u0301")
        ),
    ],
)
def test_a_text_without_one_target_is_refused(text: str, fault: str) -> None:
    with pytest.raises(Fault, match=fault):
        without_marks(text)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (3, 1), (0, 9)])
def test_a_span_outside_the_text_is_refused(start: int, end: int) -> None:
    with pytest.raises(Fault, match="outside the text of 8 characters"):
        marked("a letter", start, end)


def test_a_text_with_marks_of_its_own_is_refused() -> None:
    with pytest.raises(Fault, match="holds <t> or </t> already"):
        marked("what <t> means", 0, 4)


@pytest.mark.parametrize("span", ["4", "4:", "a:b", "1:2:3", "1.5:2", [4], [1, 2, 3], [None, 2], [True, 2]])
def test_a_span_that_is_not_two_whole_numbers_is_refused(span: object) -> None:
    with pytest.raises(Fault, match="is not two whole numbers"):
        read_span(span)


def test_whole_numbers_may_be_written_as_spreadsheets_do() -> None:
    assert read_span("4.0:9.0") == read_span("4:9") == (4, 9)
    assert read_span([4, 9]) == read_span((4.0, 9)) == (4, 9)  # as JSON and Parquet hold them


def test_tokens_that_overlap_the_target_are_its_tokens() -> None:
    offsets = [(0, 2), (2, 5), (5, 5), (6, 9)]
    assert token_span(offsets, (2, 5)) == (1, 2)
    assert token_span(offsets, (1, 7)) == (0, 4)
    assert token_span(offsets, (5, 6)) is None


@given(st.integers(1, 30), st.data())
def test_a_window_keeps_the_target_and_as_many_tokens_as_there_is_room_for(length: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(start + 1, length))
    room = data.draw(st.integers(1, 40))
    tokens = list(range(length))
    kept, (begin, stop) = window(tokens, (start, end), room)
    assert len(kept) == min(room, length)
    assert kept == tokens[kept[0] : kept[0] + len(kept)]
    assert kept[begin:stop] == tokens[start : min(end, start + room)]


@pytest.mark.parametrize("encoding", ["bi", "cross"])
@pytest.mark.parametrize("swapped", [False, True])
def test_the_targets_of_a_batch_are_the_tokens_of_the_words(tiny_encoder: Path, encoding: str, swapped: bool) -> None:
    head = "cosine" if encoding == "bi" else "linear"
    task = TARGET_TASK.model_copy(update={"encoding": encoding, "head": head})
    tokenizer = load_tokenizer(tiny_encoder)
    long = "word " * 40
    texts = [
        (f"the <t>plane</t> left, {long}", f"{long} a <t>plane</t>"),
        ("<t>planes</t> and trains", "he took the <t>plane tree</t> down"),
    ]
    examples = make_examples(task, ["1", "2"], texts, tokenizer, max_tokens=24)
    batch = examples.batch([1, 0], swapped=swapped)
    assert batch.targets is not None
    assert max(len(tokens) for tokens, _ in batch.sequences) <= 24
    found = [
        tokens[start:end]
        for (tokens, _), spans in zip(batch.sequences, batch.targets, strict=True)
        for start, end in spans
    ]
    words = [["planes", "plane tree"], ["plane", "plane"]]
    if swapped:
        words = [pair[::-1] for pair in words]
    pair_by_pair, text_by_text = [w for pair in words for w in pair], [pair[n] for n in (0, 1) for pair in words]
    assert found == tokenizer.encode(pair_by_pair if encoding == "cross" else text_by_text)
    assert batch.part([1]).targets == [batch.targets[number] for number in ([1] if encoding == "cross" else [1, 3])]


def test_tasks_without_targets_have_none(tiny_encoder: Path) -> None:
    task = TARGET_TASK.model_copy(update={"pooling": None})
    tokenizer = load_tokenizer(tiny_encoder)
    examples = make_examples(task, ["1"], [("a", "b")], tokenizer, max_tokens=24)
    assert examples.batch([0]).targets is None
    assert examples.pieces == tokenizer.encode_rows([("a", "b")])


def write_rows(directory: Path, *rows: str) -> None:
    (directory / "train.tsv").write_text("\n".join(["text1\ttext2\tspan1\tspan2\tlabel", *rows]) + "\n")


def test_spans_in_columns_become_marks(tmp_path: Path) -> None:
    write_rows(tmp_path, "  a plane\tthe plane\t4:9\t4:9\t4", "planes\tplane\t0:6\t0:5\t2.5")
    rows = read_rows(TARGET_TASK, str(tmp_path), "train")
    assert rows.texts == [("a <t>plane</t>", "the <t>plane</t>"), ("<t>planes</t>", "<t>plane</t>")]


def test_rows_with_a_wrong_span_are_rejected_with_their_line(tmp_path: Path) -> None:
    good = ["a plane\tthe plane\t2:7\t4:9\t4"] * 2
    write_rows(tmp_path, *good, "a plane\tthe plane\t2:70\t4:9\t4", "a plane\tthe plane\t2\t4:9\t4")
    rows = read_rows(TARGET_TASK, str(tmp_path), "train", allow_rejects=True)
    assert [(reject.line, reject.reason.split(";")[0]) for reject in rows.rejects] == [
        (4, "the span 2:70 is outside the text of 7 characters"),
        (5, "the span '2' is not two whole numbers start:end"),
    ]


def test_rows_without_marks_are_rejected(tmp_path: Path) -> None:
    write_rows(tmp_path, "a plane\tthe plane\t0:1\t0:1\t4", "a plane\tthe plane\t0:1\t0:1\t4")
    files = TARGET_TASK.files.model_copy(update={"targets": None})
    with pytest.raises(DataError, match="the text has no target; mark the target of each text once: <t>word</t>"):
        read_rows(TARGET_TASK.model_copy(update={"files": files}), str(tmp_path), "train")


def test_columns_of_spans_need_the_pooling_and_one_for_each_text() -> None:
    values = TARGET_TASK.model_dump()
    with pytest.raises(ValueError, match=r'files.targets needs pooling = "target"'):
        Task.model_validate(values | {"pooling": None})
    with pytest.raises(ValueError, match=r"files.targets and files.texts differ in number"):
        Task.model_validate(values | {"files": values["files"] | {"targets": ("span1",)}})


def test_a_target_without_a_token_is_an_error(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load_tokenizer(tiny_encoder)
    monkeypatch.setattr(tokenizer, "encode_with_spans", lambda texts: [([7], [(0, 1)]) for _ in texts])
    with pytest.raises(DataError, match="its target has no token"):
        make_examples(TARGET_TASK, ["1"], [("a <t>c</t>", "<t>b</t>")], tokenizer, 24)
