"""Anybody's predictions scored from the command line; what does not fit is listed by id."""

from pathlib import Path

import pytest
from tests.common.commands import call

from bertram import sample
from bertram.runs.directory import Run, read_predictions

GOLD = sample.directory() / "quora-dev.csv"


@pytest.fixture
def answers(tmp_path: Path) -> dict[str, str]:
    """The gold labels themselves."""
    lines = GOLD.read_text(encoding="utf-8").splitlines()[1:]
    return {line.split("\t")[1]: line.split("\t")[4] for line in lines}


def written(path: Path, values: dict[str, str]) -> Path:
    path.write_text("id \t Predicted_Is_Paraphrase \n" + "".join(f"{one} , {v} \n" for one, v in values.items()))
    return path


def test_perfect_answers_have_score_1_and_a_row_for_each_metric(tmp_path: Path, answers: dict[str, str]) -> None:
    code, out, err = call("score", written(tmp_path / "p.csv", answers), GOLD, "--task", "quora")
    assert (code, err) == (0, "")
    assert out.startswith("p.csv on quora-dev.csv")
    rows = [line.split() for line in out.splitlines() if "1.0000" in line]
    assert rows == [  # Wilson's bound, 37 / (37 + 1.96 ** 2), for the 37 groups of pairs that share no text
        ["quora", "accuracy", "1.0000", "0.9059", "–", "1.0000", "123", "0.5691", "majority"],
        ["f1", "1.0000", "0.9059", "–", "1.0000", "123", "0.6023", "always", "yes"],
    ]


def test_missing_unknown_and_double_ids_and_wrong_values_are_all_listed(
    tmp_path: Path, answers: dict[str, str]
) -> None:
    first, second, third, *_ = answers
    del answers[first]
    path = written(tmp_path / "p.csv", answers | {"stranger": "1", third: "2"})
    with path.open("a") as file:
        file.write(f"{second} , 0 \n")
    code, out, err = call("score", path, GOLD, "--task", "quora")
    assert (code, out) == (1, "")
    assert f"ids without a prediction: 1 ('{first}')" in err
    assert "ids without a gold label: 1 ('stranger')" in err
    assert f"double ids: 1 ('{second}' in lines 2, " in err
    assert "2 is not a whole number from 0 to 1" in err


def test_the_predictions_of_a_run_get_the_scores_of_its_record(tiny_runs: Path, tmp_path: Path) -> None:
    run = Run(tiny_runs / "cross-0")
    path = run.predictions("sts")
    ids = {line["id"] for line in read_predictions(path)}
    lines = (sample.directory() / "sts-dev.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    gold = tmp_path / "gold.csv"
    gold.write_text("".join([lines[0], *(line for line in lines if line.split("\t")[1] in ids)]))
    code, out, _ = call("score", path, gold, "--task", "sts")
    assert code == 0
    for metric in ("pearson", "spearman", "mse", "mae"):
        value = run.record["scores"]["dev"]["sts"][metric]["value"]
        (row,) = [line for line in out.splitlines() if f" {metric} " in line]
        assert f" {value:.4f} " in row


def test_own_tasks_come_from_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[tasks.mood]\nkind = "class"\nlabels = ["sad", "glad"]\n[tasks.mood.files]\ntexts = ["text"]\nlabel = "mood"\n'
    )
    (tmp_path / "gold.csv").write_text("text,mood\na,sad\nb,glad\nc,glad\nd,sad\n")
    (tmp_path / "p.csv").write_text("id,prediction\n1,0\n2,1\n3,1\n4,1\n")
    words = ("score", tmp_path / "p.csv", tmp_path / "gold.csv", "--task")
    code, out, _ = call(*words, "mood", "--config", tmp_path / "mine.toml")
    assert code == 0
    assert " 0.7500 " in out
    code, _, err = call(*words, "moode", "--config", tmp_path / "mine.toml")
    assert (code, err) == (1, "bertram: unknown task 'moode'; did you mean mood?\n")


def test_files_that_are_missing_or_have_other_columns_are_named(tmp_path: Path, answers: dict[str, str]) -> None:
    path = written(tmp_path / "p.csv", answers)
    code, _, err = call("score", tmp_path / "none.csv", GOLD, "--task", "quora")
    assert (code, err) == (1, f"bertram: {tmp_path}/none.csv: cannot be read: No such file or directory\n")
    code, _, err = call("score", path, tmp_path / "none.csv", "--task", "quora")
    assert code == 1
    assert f"{tmp_path}/none.csv: there is no such file" in err
    code, _, err = call("score", path, GOLD, "--task", "sst")
    assert code == 1
    assert f"{GOLD}: no column 'sentence', 'sentiment'" in err
