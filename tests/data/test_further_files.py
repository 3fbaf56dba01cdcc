"""Several files of additional rows: columns, label frequencies, and rows that occur in dev or test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tests.common.commands import call
from tests.common.trainings import tiny_config

from bertram.data.checks import check_files, read_files
from bertram.data.leaks import label_shifts, leaks
from bertram.data.rows import read_further
from bertram.data.tokenizer import load_tokenizer
from bertram.errors import DataError
from bertram.task_files import Extra
from bertram.tasks import QUORA, Task
from bertram.training.run_data import pools, read_data

HEADER = "id\ta\tb\tlabel"


def write(directory: Path, name: str, rows: Sequence[str], header: str = HEADER) -> None:
    (directory / name).write_text("\n".join([header, *rows]) + "\n")


def pairs(count: int, begin: int = 0, label: int | None = None) -> list[str]:
    """Rows of which every third has the label 1, if none is given."""
    rows = range(begin, begin + count)
    return [f"x{n}\twhat is {n}?\tis it {n}?\t{int(n % 3 == 0) if label is None else label}" for n in rows]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """30 training rows with 10 of label 1, 20 further rows with 10, dev, and test without labels."""
    write(tmp_path, "train.tsv", pairs(30))
    write(tmp_path, "more.tsv", [*pairs(10, 100, label=1), *pairs(10, 200, label=0)])
    write(tmp_path, "dev.tsv", pairs(9, 300))
    write(tmp_path, "test.tsv", [f"t{n}\tIS IT {n}\twhat is {n} ?" for n in range(100, 104)], "id\ta\tb")
    return tmp_path


def task(**changes: Any) -> Task:
    files = {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv", "texts": ["a", "b"], "id": "id"}
    return Task.model_validate({"name": "own", "kind": "binary", "files": files, "batch_size": 8, **changes})


def test_a_file_given_by_name_has_the_columns_of_the_task_and_its_label_frequencies(data: Path) -> None:
    (extra,) = task(extra=["more.tsv"]).extra
    assert extra == Extra(file="more.tsv", texts=("a", "b"), label="label", share="rows", match_labels=True)
    assert len(read_further(task(extra="more.tsv"), "extra", str(data))) == 20
    (of_score,) = task(kind="score", extra=["more.tsv"]).extra
    assert not of_score.match_labels
    own_files = {"train": "train.tsv", "texts": ["a", "b"], "decimal": ","}
    assert task(kind="score", files=own_files, extra=["more.tsv"]).extra[0].decimal == ","


def test_a_small_file_or_a_scarce_label_is_drawn_more_often_and_said_so(data: Path, tiny_encoder: Path) -> None:
    write(data, "few.tsv", pairs(2, 500), HEADER)
    write(data, "scarce.tsv", [*pairs(1, 601), *(f"z{n}\tred {n}\tblue {n}\t1" for n in range(40))], HEADER)

    def said(extra: list[Any]) -> list[str]:
        config = tiny_config(tiny_encoder, data=str(data), tasks={"own": task(extra=extra, batch_size=4)})
        cautions = read_data(config, load_tokenizer(tiny_encoder), 64).cautions
        return [caution for caution in cautions if "as often as the task's own" in caution]

    assert said(["more.tsv"]) == []
    assert said([{"file": "few.tsv", "texts": ["a", "b"], "label": "label", "share": 0.5}]) == []  # as it was told
    (few,) = said([{"file": "few.tsv", "texts": ["a", "b"], "label": "label", "share": "rows"}])
    assert few.startswith("own: few.tsv has so few rows, or so few with one label, that some are drawn about ")
    (scarce,) = said(["scarce.tsv"])
    assert "scarce.tsv has so few rows" in scarce


def test_dev_rows_in_a_further_file_are_said(data: Path, tiny_encoder: Path) -> None:
    dev = (data / "dev.tsv").read_text(encoding="utf-8")
    (data / "leak.tsv").write_text(dev, encoding="utf-8")
    config = tiny_config(tiny_encoder, data=str(data), tasks={"own": task(extra=["leak.tsv"])})
    cautions = read_data(config, load_tokenizer(tiny_encoder), 64).cautions
    assert "own: 9 of 9 dev rows have the texts of a training row" in cautions


@pytest.mark.parametrize("table", ["extra", "unlabelled"])
def test_a_fault_of_quotes_or_bytes_names_the_field_of_the_files_table_that_helps(data: Path, table: str) -> None:
    (data / "bare.tsv").write_bytes(b'a\tb\tlabel\n"who was it?\twhat is it?\t1\n\xe9t\xe9?\tsummer?\t0\n')
    further = {"file": "bare.tsv", "texts": ["a", "b"], **({"label": "label"} if table == "extra" else {})}
    with pytest.raises(DataError) as refusal:
        read_further(task(**{table: further}), table, str(data))
    assert f"{table}.quoting" in str(refusal.value)
    assert f"{table}.encoding" in str(refusal.value)
    known = task(**{table: {**further, "quoting": "none", "encoding": "latin-1"}})
    assert len(read_further(known, table, str(data))) == 2


def test_several_files_are_read_drawn_and_recorded(data: Path, tiny_encoder: Path) -> None:
    write(data, "third.tsv", pairs(6, 400), HEADER)
    write(data, "bare.tsv", [f"{n}\tone {n}\ttwo {n}" for n in range(4)], "id\ta\tb")
    own = task(extra=["more.tsv", {"file": "third.tsv", "texts": ["a", "b"], "label": "label", "share": 0.25}],
               unlabelled="bare.tsv")  # fmt: skip
    config = tiny_config(tiny_encoder, data=str(data), tasks={"own": own}, distill={"teachers": ["some run"]})
    read = read_data(config, load_tokenizer(tiny_encoder), 64)
    assert {name: file.rows for name, file in read.files.items()} == {
        "train.tsv": 30, "more.tsv": 20, "third.tsv": 6, "bare.tsv": 4, "dev.tsv": 9,
    }  # fmt: skip
    pool = pools(config, read)["own"]
    assert [source.name for source in pool.further] == ["extra", "extra[1]", "unlabelled"]
    assert [source.labelled for source in pool.further] == [True, True, False]
    assert (pool.own, pool.further_counts) == (3, (2, 2, 1))
    labels = read.train["own"].labels
    assert labels is not None
    assert labels[30:50].tolist() == [1] * 10 + [0] * 10
    assert read.own == {"own": 30}
    strata = pool.further[0].strata
    assert strata is not None
    assert [(len(stratum.places), stratum.pass_count) for stratum in strata] == [(10, 10), (10, 5)]


def test_leaks_against_dev_and_test_are_counted_whatever_case_marks_and_order(data: Path) -> None:
    own = task(extra=["more.tsv"])
    rows, problems, _ = read_files({"own": own}, str(data))
    assert problems == []
    assert leaks({"own": own}, str(data), rows) == [
        "own: rows of more.tsv with the words of a row of dev or test: 0 in dev and 4 in test"
    ]
    write(data, "more.tsv", [*pairs(10, 300, label=1), *pairs(10, 200, label=0)])
    rows, _, _ = read_files({"own": own}, str(data))
    assert "9 in dev and 0 in test" in leaks({"own": own}, str(data), rows)[0]


def test_another_label_frequency_is_told(data: Path) -> None:
    own = task(extra=["more.tsv"])
    rows, _, _ = read_files({"own": own}, str(data))
    assert label_shifts({"own": own}, rows) == [
        "own: 50% of more.tsv have the label yes, 33% of the training rows; so it is drawn as often as there"
    ]
    plain = task(extra=[{"file": "more.tsv", "texts": ["a", "b"], "label": "label"}])
    (line,) = label_shifts({"own": plain}, rows)
    assert line.endswith("with match_labels = true it would be drawn as often as there")


def test_data_check_shows_both(data: Path) -> None:
    (data / "own.toml").write_text(
        '[tasks.own]\nkind = "binary"\nextra = ["more.tsv"]\n'
        'files = { train = "train.tsv", dev = "dev.tsv", test = "test.tsv", texts = ["a", "b"], id = "id" }\n'
    )
    code, out, _ = call("data", "check", data, "--config", data / "own.toml")
    assert code == 0
    assert "0 in dev and 4 in test" in out
    assert "50% of more.tsv have the label" in out


def test_what_cannot_be_drawn_is_refused(data: Path) -> None:
    write(data, "ones.tsv", pairs(10, 100, label=1))
    (problem,) = check_files({"own": task(extra=["ones.tsv"])}, str(data))
    assert "no row has the label no, so tasks.own.extra.match_labels must be false" in problem
    (problem,) = check_files({"own": task(extra=["more.tsv", "absent.tsv"])}, str(data))
    assert "tasks.own.extra[1].file names further training rows" in problem
    with pytest.raises(ValidationError, match=r"name the file more\.tsv twice"):
        task(extra=["more.tsv", "more.tsv"])
    columns = {"texts": ["a", "b"], "label": "label", "share": 0.5}
    with pytest.raises(ValidationError, match="add up to 1 or more"):
        task(extra=[{"file": "a", **columns}, {"file": "b", **columns}])
    with pytest.raises(ValidationError, match=r"extra\.match_labels needs labels that are classes"):
        task(kind="score", extra={"file": "a", "texts": ["a", "b"], "label": "label", "match_labels": True})


@pytest.mark.slow
@pytest.mark.real_data
def test_the_further_quora_pairs_are_in_neither_dev_nor_test(real_data: Path) -> None:
    quora = Task.model_validate({**QUORA.model_dump(), "extra": ["extra/quora-more.tsv"]})
    rows, _, _ = read_files({"quora": quora}, str(real_data))
    assert leaks({"quora": quora}, str(real_data), rows)[0].endswith("0 in dev and 0 in test")
    labels = rows["quora", "extra"].labels
    assert labels is not None
    assert np.bincount(labels.astype(int)).tolist() == [8621, 8672]
