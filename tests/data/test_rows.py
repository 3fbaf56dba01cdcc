"""From files to the rows of a task: what is accepted, what is rejected and where, what stops everything."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars
import pytest

from bertram.data import sources
from bertram.data.checks import cautions, check_files, left_out, read_files, token_cautions
from bertram.data.rows import Rows, file_facts, limit_rows, read_further, read_rows
from bertram.data.sources import HubUnreachableError
from bertram.data.texts import styled
from bertram.errors import DataError
from bertram.runs.record_parts import FileUse
from bertram.task_files import Extra, Files
from bertram.tasks import QUORA, SST, STS, Task


def task_of(kind: str = "binary", *, file: str = "train.tsv", pair: bool = False, **more: object) -> Task:
    texts = ("a", "b") if pair else ("text",)
    return Task(name="own", kind=kind, files=Files(train=file, dev="dev.tsv", texts=texts), **more)


def written(directory: Path, rows: Sequence[str | bytes], header: str = "text\tlabel", name: str = "train.tsv") -> str:
    lines = [header.encode(), *(row if isinstance(row, bytes) else row.encode() for row in rows)]
    (directory / name).write_bytes(b"\n".join(lines) + b"\n")
    return str(directory)


def read_all(directory: Path, rows: Sequence[str | bytes], task: Task, *, allow_rejects: bool = True) -> Rows:
    return read_rows(task, written(directory, rows), "train", allow_rejects=allow_rejects)


def labels_of(directory: Path, values: Sequence[str], task: Task) -> list[float]:
    found = read_all(directory, [f"some text\t{value}" for value in values], task)
    assert not found.rejects
    assert found.labels is not None
    return list(found.labels)


def test_rows_keep_ids_texts_labels_and_lines(tmp_path: Path) -> None:
    data = written(tmp_path, ['x1\t"one\nline"\t1.0', "x2\t two \t0"], "id\ttext\tlabel")
    rows = read_rows(
        task_of().model_copy(update={"files": Files(train="train.tsv", texts=("text",), id="id")}), data, "train"
    )
    assert rows.ids == ["x1", "x2"]
    assert rows.texts == [("one\nline",), ("two",)]
    assert rows.labels is not None
    assert rows.labels.dtype == np.int64
    assert list(rows.labels) == [1, 0]
    assert list(rows.lines) == [2, 4]
    assert rows.file == tmp_path / "train.tsv"
    assert rows.sha256 == hashlib.sha256(rows.file.read_bytes()).hexdigest()


def test_without_an_id_column_the_number_of_the_row_is_the_id(tmp_path: Path) -> None:
    rows = read_all(tmp_path, ["one\t1", "\t1", "three\t0"], task_of())
    assert rows.ids == ["1", "3"]


def test_every_fault_of_a_row_is_listed_with_its_line_and_reason(tmp_path: Path) -> None:
    faulty: dict[int, tuple[str | bytes, str]] = {
        2: ("fine\t2", "column label: the label '2' is none of 0, no, false, 1, yes, true"),
        3: ("fine\t" + "x" * 99, "column label: the label '" + "x" * 37 + "...' is none of"),
        4: (" \t1", "text is empty"),
        5: ("\u200b\u200d\ufeff\t1", "text has no visible character"),
        6: (b"caf\xe9\t1", "bytes that are not UTF-8"),
        7: (b"n\0ul\t1", "text holds a NUL byte"),
        8: ("fine\t1\t1", "the number of fields is 3, not 2"),
        9: ("fine", "the number of fields is 1, not 2"),
        10: ("fine\t\t1", "the number of fields is 3, not 2"),
        11: ('"fine\t1', "a field opens with"),
    }
    rows = read_all(tmp_path, [*(row for row, _ in faulty.values()), "fine\t1", "fine\t0"], task_of())
    assert [reject.line for reject in rows.rejects] == list(faulty)
    for reject, (_, reason) in zip(rows.rejects, faulty.values(), strict=True):
        assert reject.reason.startswith(reason)
        assert str(reject) == f"{tmp_path / 'train.tsv'}:{reject.line}: {reject.reason}"
    assert list(rows.lines) == [12, 13]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("inf", "the score inf is not finite"),
        ("5.01", "the score '5.01' is outside 0 to 5"),
        ("-0.1", "the score '-0.1' is outside 0 to 5"),
        ("3;4", "the score '3;4' is not a number"),
        ("3,4", "the score '3,4' is not a number; if it has a decimal comma, set decimal = \",\" for the file"),
    ],
)
def test_a_score_that_cannot_be_is_rejected(tmp_path: Path, value: str, reason: str) -> None:
    rows = read_all(tmp_path, [f"fine\t{value}", "fine\t0", "fine\t5"], task_of("score", range=(0, 5)))
    assert [(reject.line, reject.reason) for reject in rows.rejects] == [(2, f"column label: {reason}")]


def test_a_score_with_a_decimal_comma_is_named_as_it_stands(tmp_path: Path) -> None:
    task = task_of("score", range=(0, 5))
    task = task.model_copy(update={"files": task.files.model_copy(update={"decimal": ","})})
    rows = read_all(tmp_path, ["fine\t9,1", "fine\t0,5", "fine\t5", "fine\t1.234"], task)
    assert [reject.reason for reject in rows.rejects] == [
        "column label: the score '9,1' is outside 0 to 5",
        "column label: the score '1.234' has a point, but the decimal mark of the file is a comma",
    ]


def test_scores_stay_real_numbers(tmp_path: Path) -> None:
    assert labels_of(tmp_path, ["3.8", "0.25", "4"], task_of("score", range=(0, 5))) == [3.8, 0.25, 4.0]


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("0.0", "1.0"), ("no", "Yes"), ("False", "true")])
def test_yes_and_no_are_known_without_saying(tmp_path: Path, no: str, yes: str) -> None:
    assert labels_of(tmp_path, [no, yes], task_of()) == [0, 1]


def test_labels_match_as_numbers_and_by_the_name_that_is_shown(tmp_path: Path) -> None:
    task = task_of("class", labels=("1", "2.0", "-1"), label_names=("mild", "Strong", "none"))
    assert labels_of(tmp_path, ["1", "1.0", "01", "2", "-1.0", "MILD", "strong", "none"], task) == [
        0,
        0,
        0,
        1,
        2,
        0,
        1,
        2,
    ]


def test_labels_that_differ_in_case_alone_are_told_apart_by_case(tmp_path: Path) -> None:
    task = task_of("class", labels=("us", "US", "them"))
    assert labels_of(tmp_path, ["US", "us", "THEM"], task) == [1, 0, 2]
    assert "the label 'Us' is none of" in read_all(tmp_path, ["x\tUs", "y\tus", "z\tUS"], task).rejects[0].reason


@pytest.mark.parametrize(
    ("labels", "names", "said"),
    [
        (("a", "b"), ("b", "a"), r"label_names\[0\] = 'b' is the label of another class"),
        (("1", "1.0"), (), "labels '1' and '1.0' are the same number"),
    ],
)
def test_labels_that_could_be_read_in_two_ways_are_refused(
    labels: tuple[str, ...], names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        task_of("class", labels=labels, label_names=names)


def test_labels_that_are_equal_as_numbers_alone_are_told_apart_as_they_stand(tmp_path: Path) -> None:
    task = task_of("class", labels=("1.1", "1.10", "007", "7"))
    assert labels_of(tmp_path, ["7", "007", "1.10", "1.1"], task) == [3, 2, 1, 0]
    assert "the label '7.0' is none of" in read_all(tmp_path, ["x\t7.0", "y\t7", "z\t1.1"], task).rejects[0].reason


def test_the_order_of_labels_gives_their_index(tmp_path: Path) -> None:
    assert labels_of(tmp_path, ["pos", "neg"], task_of(labels=("neg", "pos"))) == [1, 0]


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet", "train.csv"])
def test_the_formats_give_the_same_rows(tmp_path: Path, name: str) -> None:
    values = [
        {"n": 1, "a": "one", "b": "zwei", "label": 1},
        {"n": 2, "a": "three", "b": None, "label": 0},
        {"n": 3, "a": "4", "b": "five", "label": None},
        {"n": 4, "a": "six", "b": "seven", "label": 0},
        {"n": 5, "a": "nine\0", "b": "ten", "label": 0},
    ]
    frame = polars.DataFrame(values)
    if name.endswith("jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in values))
    elif name.endswith("csv"):
        frame.write_csv(tmp_path / name)
    else:
        frame.write_parquet(tmp_path / name)
    task = task_of(pair=True).model_copy(update={"files": Files(train=name, texts=("a", "b"), id="n")})
    rows = read_rows(task, str(tmp_path), "train", allow_rejects=True)
    assert rows.ids == ["1", "4"]
    assert rows.texts == [("one", "zwei"), ("six", "seven")]
    assert rows.labels is not None
    assert list(rows.labels) == [1, 0]
    header = 1 if name.endswith("csv") else 0
    assert [(reject.line - header, reject.reason) for reject in rows.rejects] == [
        (2, "b is empty"),
        (5, "a holds a NUL byte"),
    ]


def test_json_values_that_are_no_text_are_rejected(tmp_path: Path) -> None:
    lines = ['{"text": ["x"], "label": 1}', '{"text": true, "label": 1}', '{"text": "\\ud800", "label": 1}']
    lines += ['{"label": 1}', '{"text": "x"}', '{"text": 7, "label": true}', '{"text": "x", "label": 0.0}']
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    rows = read_rows(task_of(file="train.jsonl"), str(tmp_path), "train", allow_rejects=True)
    assert [reject.reason for reject in rows.rejects] == [
        "text is not a text but a list",
        "text is not a text but a bool",
        "text holds half a character (a lone surrogate)",
        "text is empty",
    ]
    assert rows.unlabelled == 1
    assert rows.texts == [("7",), ("x",)]
    assert rows.labels is not None
    assert list(rows.labels) == [1, 0]


def test_a_text_of_a_hundred_thousand_characters_is_a_text(tmp_path: Path) -> None:
    long = "word " * 20_000
    assert read_all(tmp_path, [f"{long}\t1", f'"{long}"\t0'], task_of()).texts == [(long.strip(),)] * 2


def test_unlabelled_rows_need_no_label_column(tmp_path: Path) -> None:
    rows = read_rows(task_of(), written(tmp_path, ["one", "two"], "text"), "train", labelled=False)
    assert rows.labels is None
    assert len(rows) == 2


def test_double_ids_are_kept(tmp_path: Path) -> None:
    data = written(tmp_path, ["x\tone\t1", "x\ttwo\t0"], "id\ttext\tlabel")
    task = task_of().model_copy(update={"files": Files(train="train.tsv", texts=("text",), id="id")})
    assert read_rows(task, data, "train").ids == ["x", "x"]


def test_more_than_one_reject_in_a_hundred_stops_unless_allowed(tmp_path: Path) -> None:
    data = written(tmp_path, ["fine\t1"] * 99 + ["\t1"])
    assert len(read_rows(task_of(), data, "train").rejects) == 1
    data = written(tmp_path, ["fine\t1"] * 98 + ["\t1"])
    with pytest.raises(DataError, match=r"1 of 99 rows .* --allow-rejects\n  .*train\.tsv:100: text is empty$"):
        read_rows(task_of(), data, "train")
    assert len(read_rows(task_of(), data, "train", allow_rejects=True)) == 98


def test_only_the_first_rejects_are_shown(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(task_of(), written(tmp_path, ["\t1"] * 12 + ["fine\t1"] * 9), "train")
    assert str(caught.value).count("text is empty") == 5
    assert str(caught.value).endswith("and 7 more")


@pytest.mark.parametrize("rows", [[], ["fine\t1"], ["fine\t1", "\t1"]], ids=["none", "one", "one and a reject"])
def test_fewer_than_two_usable_rows_are_never_enough(tmp_path: Path, rows: list[str]) -> None:
    with pytest.raises(DataError, match=rf"train\.tsv: {min(len(rows), 1)} of {len(rows)} rows can be used, and 2"):
        read_all(tmp_path, rows, task_of())


def test_a_file_without_labels_cannot_be_trained_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'label' .*\nWithout labels"):
        read_rows(task_of(), written(tmp_path, ["one", "two"], "text"), "train")
    with pytest.raises(DataError, match="no row has a label in column 'label'"):
        read_rows(task_of(), written(tmp_path, ["one\t", "two\t"]), "train", allow_rejects=True)


def test_a_split_without_a_file_is_named() -> None:
    with pytest.raises(DataError, match=r"tasks\.own\.files\.test: names no file"):
        read_rows(task_of(), ".", "test")


def test_the_course_sets_the_punctuation_of_pairs_apart() -> None:
    assert styled(" Isn't it? Yes, e.g. THIS ", "course", pair=True) == "isn 't it ? yes , e .g . this"
    assert styled(" Isn't it? ", "course", pair=False) == "isn't it?"
    assert styled("Isn't it?", "plain", pair=True) == "Isn't it?"


def test_extra_rows_are_left_out_where_the_task_says_so(tmp_path: Path) -> None:
    extra = Extra(file="extra.tsv", texts=("phrase",), label="value", exclude={"held_out": "1"})
    task = task_of().model_copy(update={"extra": (extra,)})
    rows = ["one\t1\t0", "\tbad\t1", "two\t0\t1", "three\t0\t0", "\t0\t0"]
    data = written(tmp_path, rows, "phrase\tvalue\theld_out", "extra.tsv")
    found = read_further(task, "extra", data, allow_rejects=True)
    assert found.texts == [("one",), ("three",)]
    assert found.ids == ["1", "4"]
    assert found.excluded == 2
    assert [reject.line for reject in found.rejects] == [6]


@pytest.mark.parametrize(
    ("cells", "value", "excluded"),
    [
        ([1, 0, 1, 0], "1", 2),
        ([1.0, 0.0, 1.0, None], "1", 2),
        ([True, False, False, None], "1", 1),
        ([True, False, False, None], "true", 1),
        ([1.0, None, float("nan"), 2.0], "", 2),
        (["None", None, "x", "01"], "None", 1),
        (["1.10", "1.1", "x", "y"], " x ", 1),
        ([1, 2, 3, 4], "5", 0),
    ],
)
def test_rows_are_left_out_by_value_whatever_the_type_of_the_column(
    tmp_path: Path, cells: list[object], value: str, excluded: int
) -> None:
    texts = ["a", "b", "c", "d"]
    polars.DataFrame({"text": texts, "label": [0, 1, 0, 1], "held": cells}).write_parquet(tmp_path / "more.parquet")
    written(tmp_path, ["x\t0", "y\t1"])
    written(tmp_path, ["v\t0", "w\t1"], name="dev.tsv")
    extra = Extra(file="more.parquet", texts=("text",), label="label", exclude={"held": value})
    task = task_of().model_copy(update={"extra": (extra,)})
    rows = read_files({"own": task}, str(tmp_path)).rows
    assert rows["own", "extra"].excluded == excluded
    unused = ["own: no row of more.parquet has a value of extra.exclude, so none is left out"]
    assert cautions({"own": task}, rows) == ([] if excluded else unused)


def some_rows(count: int) -> Rows:
    texts: list[tuple[str, ...]] = [(str(i),) for i in range(count)]
    return Rows([*map(str, range(count))], texts, np.arange(count), np.arange(count), [], Path("f"), "f", "", "train")


def test_a_limit_draws_rows_by_the_seed_and_fewer_are_a_part_of_more() -> None:
    rows = some_rows(50)
    ten, twenty = (limit_rows(rows, limit=limit, seed=1, name="sst").ids for limit in (10, 20))
    assert ten == twenty[:10]
    assert len(set(twenty)) == 20
    assert ten == limit_rows(rows, fraction=0.2, seed=1, name="sst").ids
    assert ten != limit_rows(rows, limit=10, seed=2, name="sst").ids
    assert ten != limit_rows(rows, limit=10, seed=1, name="sts").ids
    kept = limit_rows(rows, limit=10, seed=1, name="sst")
    assert kept.labels is not None
    assert kept.ids == [text for (text,) in kept.texts] == [*map(str, kept.labels)] == [*map(str, kept.lines)]


def test_no_limit_leaves_the_order_as_it_is_and_a_fraction_leaves_two_rows() -> None:
    rows = some_rows(50)
    assert limit_rows(rows, seed=1, name="sst") is rows
    assert len(limit_rows(rows, fraction=0.001, seed=1, name="sst")) == 2
    assert len(limit_rows(rows, limit=40, fraction=0.5, seed=1, name="sst")) == 25


def test_a_limit_above_the_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"tasks\.sst\.max_train_samples = 51 is above the 50 usable rows of f"):
        limit_rows(some_rows(50), limit=51, seed=1, name="sst")


@pytest.mark.parametrize("missing", ["", " ", "nan", "NaN", "NA", "n/a", "#N/A", "NULL", "<NA>"])
@pytest.mark.parametrize("kind", ["class", "binary", "score"])
def test_a_row_without_a_label_is_no_row_of_the_task_and_no_fault(tmp_path: Path, missing: str, kind: str) -> None:
    task = task_of(kind=kind, labels=("0", "1") if kind == "class" else ())
    rows = read_all(tmp_path, ["a\t1", f"b\t{missing}", f"\t{missing}", "c\t0"], task, allow_rejects=False)
    assert (rows.texts, rows.rejects, rows.unlabelled) == ([("a",), ("c",)], [], 2)


def test_a_label_that_is_named_is_never_missing(tmp_path: Path) -> None:
    assert labels_of(tmp_path, ["NA", "EU", "na"], task_of("class", labels=("EU", "NA"))) == [1, 0, 1]
    assert labels_of(tmp_path, ["NA", "EU;NA", "EU"], task_of("multi-label", labels=("EU", "NA"))) == [2, 3, 1]
    rows = read_all(tmp_path, ["x\tnone", "y\tEU", "z\tNA"], task_of("class", labels=("EU", "none")))
    assert (rows.texts, rows.unlabelled) == ([("x",), ("y",)], 1)


def test_one_table_serves_several_tasks_with_cells_that_are_empty(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("text,mood,haste\nlate,sad,1\nfine,glad,\nwell,,0\nslow,sad,\ngone,,1\n")
    files = {"train": "table.csv", "dev": "table.csv", "texts": ("text",)}
    mood = Task(name="mood", kind="class", labels=("sad", "glad"), files=Files(**files, label="mood"))
    haste = Task(name="haste", kind="binary", files=Files(**files, label="haste"))
    rows, problems, _ = read_files({"mood": mood, "haste": haste}, str(tmp_path))
    assert problems == []
    assert rows["mood", "train"].texts == [("late",), ("fine",), ("slow",)]
    assert rows["haste", "dev"].texts == [("late",), ("well",), ("gone",)]
    facts = file_facts((name, several) for (name, _), several in rows.items())["table.csv"]
    assert facts.uses == [
        FileUse(task, part, rows=3, rejected=0, unlabelled=2) for task in ("mood", "haste") for part in ("train", "dev")
    ]
    assert left_out("mood", rows["mood", "dev"]) == [
        f"{tmp_path}/table.csv: rows without a label for mood, left out: 2"
    ]


def test_ids_of_dev_rows_that_occur_twice_are_refused_with_their_lines(tmp_path: Path) -> None:
    written(tmp_path, ["1\ta\t1", "1\tb\t0"], "id\ttext\tlabel")
    written(tmp_path, ["1\ta\t1", "2\tb\t0", "1\tc\t0", "2\td\t1"], "id\ttext\tlabel", "dev.tsv")
    files = Files(train="train.tsv", dev="dev.tsv", texts=("text",), id="id")
    task = task_of().model_copy(update={"files": files})
    (problem,) = check_files({"own": task}, str(tmp_path))
    assert "dev.tsv: ids that occur more than once: 2 ('1' in lines 2, 4; '2' in lines 3, 5)" in problem


@pytest.mark.parametrize(("kind", "label"), [("class", "1"), ("binary", "1"), ("score", "0.5")])
def test_a_training_file_with_a_single_label_is_refused(tmp_path: Path, kind: str, label: str) -> None:
    task = task_of(kind=kind, labels=("0", "1") if kind == "class" else ())
    written(tmp_path, [f"a\t{label}", f"b\t{label}"])
    written(tmp_path, ["c\t0", "d\t1"], name="dev.tsv")
    (problem,) = check_files({"own": task}, str(tmp_path))
    assert "train.tsv: every training row of own has the label" in problem


def cautions_of(directory: Path, task: Task) -> list[str]:
    rows, problems, _ = read_files({"own": task}, str(directory))
    assert problems == []
    return cautions({"own": task}, rows)


def test_a_label_without_a_training_row_is_said(tmp_path: Path) -> None:
    written(tmp_path, ["a\tlow", "b\thigh"])
    written(tmp_path, ["c\tlow", "d\tmid", "e\tmid"], name="dev.tsv")
    assert cautions_of(tmp_path, task_of(kind="class", labels=("low", "mid", "high", "top"))) == [
        "own: the label mid has no training row (2 in dev); it can never be predicted",
        "own: the label top has no training row; it can never be predicted",
    ]


def test_dev_rows_that_are_training_rows_are_said(tmp_path: Path) -> None:
    written(tmp_path, ["a\t1", "b\t0"])
    written(tmp_path, ["a\t0", "c\t1", "d\t0"], name="dev.tsv")
    assert cautions_of(tmp_path, task_of()) == ["own: 1 of 3 dev rows have the texts of a training row"]
    written(tmp_path, ["a\t1", "b\t0"], name="dev.tsv")
    (caution,) = cautions_of(tmp_path, task_of())
    assert caution.startswith("own: dev is the training file train.tsv; its scores do not show")
    written(tmp_path, ["c\t1", "d\t1"], name="dev.tsv")
    assert cautions_of(tmp_path, task_of()) == ["own: every dev row has the label yes, so its scores tell little"]


def test_texts_that_the_encoder_does_not_know_are_said() -> None:
    shares = np.array([0.0] * 98 + [0.6, 1.0])
    assert token_cautions("own", "dev", shares) == [
        "own: the encoder knows less than half of the tokens of 2 of 100 dev rows; it knows no token of 1, and gives "
        "all of them the same answer"
    ]
    assert token_cautions("own", "dev", np.array([0.5] * 10)) == []


def test_check_finds_the_faults_of_all_files_together(tmp_path: Path) -> None:
    written(tmp_path, ["one\t1", "two\t0"])
    written(tmp_path, ["one\t1"], "sentence\tlabel", "dev.tsv")
    written(tmp_path, ["one\t7", "two\t1", "three\t0"], name="other.tsv")
    extra = Extra(file="extra.tsv", texts=("phrase",), label="value")
    own = task_of(max_train_samples=3, extra=extra)
    other = task_of().model_copy(update={"name": "other", "files": Files(train="other.tsv", texts=("text",))})
    untrained = task_of(file="gone.tsv", trained=False).model_copy(update={"name": "third"})
    problems = check_files({"own": own, "other": other, "third": untrained}, str(tmp_path))
    assert len(problems) == 4
    assert "max_train_samples = 3 is above the 2 usable rows" in problems[0]
    assert "dev.tsv: no column 'text'" in problems[1]
    assert "extra.tsv: there is no such file" in problems[2]
    assert "other.tsv: 1 of 3 rows cannot be used" in problems[3]


def test_check_says_a_missing_directory_once(tmp_path: Path) -> None:
    problems = check_files({"sst": SST, "quora": QUORA, "sts": STS}, str(tmp_path / "nowhere"))
    assert len(problems) == 1
    assert "there is no such directory" in problems[0]


def test_check_asks_an_unreachable_hub_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(task: Task, data: str, split: str) -> Path:
        raise HubUnreachableError(f"{task.name} {split}: no network")

    monkeypatch.setattr(sources, "locate", unreachable)
    assert check_files({"sst": SST, "quora": QUORA}, "hub") == ["sst train: no network"]


def test_reading_the_sample_needs_neither_torch_nor_polars() -> None:
    program = (
        "import sys\nfrom bertram.tasks import SST\nfrom bertram.data.rows import read_rows\n"
        "read_rows(SST, 'sample', 'train')\nprint(*{'torch', 'polars', 'huggingface_hub'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_check_is_content_with_the_sample() -> None:
    assert check_files({"sst": SST, "quora": QUORA, "sts": STS}, "sample") == []
