"""Anybody's predictions are scored against a gold file in any layout that the task knows."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.common.gold import dev_labels

from bertram import sample
from bertram.comparison.gold import score_file, task_named
from bertram.errors import BertramError, DataError
from bertram.evaluation.scoring import score_task
from bertram.task_files import Files
from bertram.tasks import QUORA, SST, STS, Task

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
    assert found.notes == [f"{gold}: rows without a label for sst, left out: 1"]
    assert found.baselines.keys() == {"majority_of_scored_rows"}


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
    labels = dev_labels(QUORA)
    lines = (sample.directory() / "quora-dev.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert labels == {line.split("\t")[1]: float(line.split("\t")[4]) for line in lines}


def test_an_unknown_task_is_answered_with_the_nearest() -> None:
    tasks = {"sst": SST, "quora": QUORA}
    assert task_named(tasks, "sst") is SST
    with pytest.raises(BertramError, match=r"unknown task 'qora'; did you mean quora\?"):
        task_named(tasks, "qora")
    with pytest.raises(BertramError, match="choose one of sst, quora"):
        task_named(tasks, "x")


STARS = Task(
    name="stars",
    kind="class",
    labels=("1", "2", "3", "4", "5"),
    label_names=("awful", "poor", "fair", "good", "superb"),
    files=Files(train="train.csv", dev="dev.csv", test="test.csv", texts=("text",), label="stars", id="review"),
)
WRITTEN = {  # each of them the labels 2, 4, 4
    "own columns": "review,stars\nr1,2\nr2,4\nr3,4\n",
    "label": "id,label\nr1,2\nr2,4.0\nr3, 4 \n",
    "display names": "id,prediction\nr1,poor\nr2,good\nr3,Good\n",
    "semicolons": "sep=;\nreview;prediction;remark\nr1;2;a\nr2;4;5\nr3;good;b\n",
    "index": "id,index\nr1,1\nr2,3\nr3,3\n",
    "carriage returns": "id,label\rr1,2\rr2,4\rr3,4\r",
    "as predict writes": "".join(
        json.dumps({"id": row, "value": value, "label": "x", "probabilities": {"awful": 1}}) + "\n"
        for row, value in (("r1", 1), ("r2", 3), ("r3", 3))
    ),
}


@pytest.fixture
def stars(tmp_path: Path) -> Path:
    for name, rows in {
        "train": ["t1,dull,2", "t2,fine,5", "t3,great,5"],
        "dev": ["r1,bleak,2", "r2,fresh,4", "r3,solid,5"],
        "test": ["u1,some,", "u2,more,", "u3,last,"],
    }.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["review,text,stars", *rows]) + "\n")
    return tmp_path / "dev.csv"


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_predictions_may_be_labels_display_names_or_indices(written: str, stars: Path) -> None:
    path = stars.with_name("predictions")
    path.write_text(written)
    assert score_file(path, stars, STARS).scores == score_task(STARS.label_space, [1, 3, 4], [1, 3, 3])


def test_values_that_may_be_labels_or_indices_are_refused(stars: Path) -> None:
    path = stars.with_name("p.csv")
    path.write_text("id,prediction\nr1,2\nr2,4\nr3,4\n")
    with pytest.raises(DataError, match="may hold labels or indices of labels, which differ for this task; call it"):
        score_file(path, stars, STARS)
    path.write_text("id,prediction\nr1,0\nr2,4\nr3,4\n")  # 0 is no label: these are indices
    assert score_file(path, stars, STARS).scores["accuracy"].value == pytest.approx(1 / 3)


def test_a_value_that_is_no_label_is_named(stars: Path) -> None:
    path = stars.with_name("p.csv")
    path.write_text("id,label\nr1,2\nr2,grand\nr3,\n")
    with pytest.raises(DataError, match=r"2 \(line 3: the label 'grand' is none of 1, 2, 3, 4, 5; line 4: no label\)"):
        score_file(path, stars, STARS)


def test_a_part_of_the_rows_is_scored_if_that_is_asked_for(stars: Path) -> None:
    path = stars.with_name("p.csv")
    path.write_text("id,label\nr1,2\nr3,4\n")
    with pytest.raises(DataError, match=r"ids without a prediction: 1 \('r2'\)"):
        score_file(path, stars, STARS)
    found = score_file(path, stars, STARS, partial=True)
    assert found.scores["accuracy"].n == 2
    assert found.notes == [f"{path}: 2 of 3 gold rows have a prediction and count"]


def test_predictions_of_another_split_are_recognized(stars: Path) -> None:
    path = stars.with_name("p.csv")
    path.write_text("id,label\nu1,2\nu2,4\nu3,4\n")
    with pytest.raises(DataError, match=r"all of these ids are in test.csv \(test\); is that the file to compare with"):
        score_file(path, stars, STARS)
    with pytest.raises(DataError, match="ids without a prediction: 3"):
        score_file(path, stars, STARS, partial=True)


def test_the_majority_is_that_of_the_training_file_or_is_called_otherwise(stars: Path) -> None:
    path = stars.with_name("p.csv")
    path.write_text("id,label\nr1,2\nr2,4\nr3,4\n")
    assert score_file(path, stars, STARS).baselines["majority"]["accuracy"].value == pytest.approx(1 / 3)
    stars.with_name("train.csv").unlink()
    assert list(score_file(path, stars, STARS).baselines) == ["majority_of_scored_rows"]


def test_predictions_in_another_encoding_are_read(stars: Path) -> None:
    stars.write_text(stars.read_text(encoding="utf-8").replace("r1", "Größe"), encoding="utf-8")
    path = stars.with_name("p.csv")
    for encoding, given in (("utf-16", None), ("cp1252", "cp1252")):
        path.write_bytes("id,label\nGröße,2\nr2,4\nr3,5\n".encode(encoding))
        assert score_file(path, stars, STARS, encoding=given).scores["accuracy"].value == 1
    with pytest.raises(DataError, match=r"p.csv, line 2: bytes that are not UTF-8; .*--encoding"):
        score_file(path, stars, STARS)


def test_probabilities_are_scored_where_a_file_has_them_in_any_form_that_predict_writes(tmp_path: Path) -> None:
    gold = Path(str(sample.__path__[0])) / "quora-dev.csv"
    labels = dev_labels(QUORA)
    shares = {id_: 0.9 if label else 0.2 for id_, label in labels.items()}
    names = QUORA.label_space.names
    listed, named, table = (tmp_path / name for name in ("list.jsonl", "dict.jsonl", "table.csv"))
    rows = [(id_, int(p > 0.5), [round(1 - p, 4), p]) for id_, p in shares.items()]
    for path, probabilities in ((listed, list), (named, lambda vector: dict(zip(names, vector, strict=True)))):
        lines = [{"id": id_, "value": value, "probabilities": probabilities(vector)} for id_, value, vector in rows]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    header = f"id,index,probability of {names[0]},probability of {names[1]}"
    table.write_text("\n".join([header, *(f"{id_},{value},{no},{yes}" for id_, value, (no, yes) in rows)]) + "\n")
    scores = [score_file(path, gold, QUORA).scores for path in (listed, named, table)]
    yes = sum(labels.values()) / len(labels)
    assert scores[0]["nll"].value == pytest.approx(-yes * np.log(0.9) - (1 - yes) * np.log(0.8))
    assert scores[0]["brier"].value == pytest.approx(2 * (yes * 0.01 + (1 - yes) * 0.04))
    assert scores[1] == scores[2] == scores[0]


def test_probabilities_that_are_none_are_left_out_with_the_reason(tmp_path: Path, gold: Path) -> None:
    lines = [{"id": "a", "value": 3, "probabilities": [0, 0, 0, 1, 0]},
             {"id": "b", "value": 1, "probabilities": [0.1, 0.2, 0.3]}, {"id": "d", "value": 4}]  # fmt: skip
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    scored = score_file(path, gold, SST)
    assert scored.scores.keys() == {"accuracy", "f1"}
    assert f"{path}: nll and brier are left out: line 2: probabilities must be 5 numbers from 0 to 1 with sum 1" in (
        scored.notes
    )


def test_rows_that_share_a_text_count_as_one_in_the_interval(tmp_path: Path) -> None:
    gold = tmp_path / "gold.csv"
    rows = [f"{i}\tid{i}\tquestion {i // 4}\tother {i}\t{float(i // 4 % 2)}" for i in range(400)]
    gold.write_text("\n".join(["\tid\tsentence1\tsentence2\tis_duplicate", *rows]) + "\n")
    said = {f"id{i}": float((i // 4 % 2) ^ (i // 4 % 5 == 0)) for i in range(400)}  # wrong for every fifth question
    score = score_file(predictions(tmp_path / "p.jsonl", **said), gold, QUORA).scores["accuracy"]
    assert score.value == 0.8
    low, high = score.ci95 or (0, 0)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 100), rel=0.05)  # 100 questions, not 400 pairs
