"""Anybody's predictions are scored against a gold file in any layout that the task knows."""

import json
from pathlib import Path

import pytest

from bertram import sample
from bertram.comparison.gold import gold_labels, score_file, task_named
from bertram.errors import BertramError, DataError
from bertram.evaluation.metrics import score_task
from bertram.tasks import QUORA, SST, STS, Files

COURSE = "\tid\tsentence\tsentiment\n0\ta\tgood\t3\n1\tb\tbad\t1\n2\tc\tfine\t\n3\td\tgreat\t4\n"


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.csv"
    path.write_text(COURSE)
    return path


def predictions(path: Path, **values: float) -> Path:
    path.write_text("".join(json.dumps({"id": one, "value": value}) + "\n" for one, value in values.items()))
    return path


def test_a_course_file_is_scored_id_by_id_and_rows_without_a_label_do_not_count(tmp_path: Path, gold: Path) -> None:
    found = score_file(predictions(tmp_path / "p.jsonl", d=4, c=0, a=3, b=2), gold, SST)
    assert found.scores == score_task(SST.label_space, [3, 1, 4], [3, 2, 4])
    assert found.left_out == [f"{gold}: rows without a label for sst, left out: 1"]
    assert found.baselines.keys() == {"majority"}


def test_too_many_faulty_rows_are_refused(tmp_path: Path, gold: Path) -> None:
    gold.write_text(COURSE.replace("fine\t", "fine\t9"))
    with pytest.raises(DataError, match=r"1 of 4 rows cannot be used.*--allow-rejects"):
        score_file(predictions(tmp_path / "p.jsonl", a=3, b=2, d=4), gold, SST)


def test_a_gold_file_may_have_the_columns_of_the_hub(tmp_path: Path) -> None:
    gold = tmp_path / "validation.jsonl"
    rows = [{"sentence1": "a", "sentence2": "b", "label": value, "idx": i + 7} for i, value in enumerate((0.0, 2.5, 5))]
    gold.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = score_file(predictions(tmp_path / "p.jsonl", **{"7": 1.0, "8": 2.0, "9": 3.0}), gold, STS)
    assert found.scores["pearson"].value == pytest.approx(1.0)
    assert found.scores["mae"].value == pytest.approx((1 + 0.5 + 2) / 3)


def test_a_directory_may_be_called_as_the_embedded_sample_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sample").mkdir()
    gold = Path("sample/ids-sst-dev.csv")
    gold.write_text(COURSE)
    found = score_file(predictions(tmp_path / "p.jsonl", a=3, b=1, d=4), gold, SST, allow_rejects=True)
    assert found.scores["accuracy"].n == 3


def test_without_a_column_of_ids_the_row_numbers_are_the_ids(tmp_path: Path) -> None:
    gold = tmp_path / "mine.csv"
    gold.write_text("text,label\nx,0\ny,1\nz,1\n")
    task = SST.model_copy(update={"labels": ("0", "1"), "names": (), "files": Files(texts=("text",)), "hub": None})
    found = score_file(predictions(tmp_path / "p.jsonl", **{"1": 0, "2": 1, "3": 0}), gold, task)
    assert found.scores["accuracy"].value == pytest.approx(2 / 3)


def test_double_ids_in_the_gold_labels_are_refused(tmp_path: Path, gold: Path) -> None:
    gold.write_text(COURSE.replace("\td\t", "\ta\t").replace("fine\t", "fine\t2"))
    with pytest.raises(DataError, match=r"more than once: 1 \('a' in lines 2, 5\); ids must tell rows apart"):
        score_file(predictions(tmp_path / "p.jsonl", a=3, b=2, c=1), gold, SST)


def test_gold_labels_are_those_of_the_data() -> None:
    labels = gold_labels(QUORA, "sample", "dev")
    lines = (sample.directory() / "quora-dev.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert labels == {line.split("\t")[1]: float(line.split("\t")[4]) for line in lines}


def test_an_unknown_task_is_answered_with_the_nearest() -> None:
    tasks = {"sst": SST, "quora": QUORA}
    assert task_named(tasks, "sst") is SST
    with pytest.raises(BertramError, match=r"there is no task 'qora'; did you mean quora\?"):
        task_named(tasks, "qora")
    with pytest.raises(BertramError, match="there are sst, quora"):
        task_named(tasks, "x")
