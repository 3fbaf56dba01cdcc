"""A dash stands for standard input where a command takes a file, and for standard output where it writes one."""

import csv
import json
from pathlib import Path

import pytest
from tests.common.commands import call

ROWS = ["text,mood", *(f"sentence number {n},{'glad' if n % 2 else 'sad'}" for n in range(20))]
FILES = 'files = { train = "t.csv", texts = ["text"], label = "mood" }'
TASK = f'[tasks.mood]\nkind = "class"\nlabels = ["sad", "glad"]\n{FILES}\n'


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_data_init_takes_a_table_from_standard_input(form: str) -> None:
    lines = [dict(zip(ROWS[0].split(","), row.split(","), strict=True)) for row in ROWS[1:]]
    text = {"csv": "\n".join(ROWS), "jsonl": "\n".join(map(json.dumps, lines)), "json": json.dumps(lines)}[form]
    code, out, err = call("data", "init", "-", stdin=text.encode())
    assert code == 0, err
    assert 'labels = ["glad", "sad"]' in out
    assert 'train = "table.csv"  # save standard input under this name' in out


def test_predictions_and_task_files_are_read_from_standard_input(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n".join(ROWS) + "\n")
    (tmp_path / "mine.toml").write_text(TASK)
    lines = "id,label\n" + "".join(f"{n + 1},glad\n" for n in range(20))
    words = ("score", "-", tmp_path / "t.csv", "--task", "mood", "--config", tmp_path / "mine.toml")
    code, out, err = call(*words, stdin=lines.encode())
    assert code == 0, err
    assert " 0.5000 " in out
    code, out, err = call("data", "check", tmp_path, "--config", "-", stdin=TASK.encode())
    assert code == 0, err
    assert "fit for training mood" in out


def test_predictions_go_to_standard_output(tiny_runs: Path) -> None:
    code, out, err = call("predict", tiny_runs / "cross-0", "--task", "sst", "--out", "-", stdin=b"a fine film\n")
    assert code == 0, err
    assert json.loads(out)["id"] == "1"


def test_an_empty_standard_input_is_an_error() -> None:
    code, _, err = call("data", "init", "-")
    assert (code, err.strip()) == (1, "bertram: standard input is empty; it needs a header and rows")


def test_the_columns_of_the_input_are_kept_beside_the_predictions(tiny_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("label;text;nr\nx;a fine film;7\ny;;8\nz;a dull film;9\n")
    words = ("predict", tiny_runs / "cross-0", tmp_path / "in.csv", "--task", "sst", "--output-format", "csv")
    code, out, err = call(*words, "--keep-columns")
    assert (code, err.strip()) == (0, f"rejected: {tmp_path}/in.csv:3: text is empty")
    rows = list(csv.DictReader(out.splitlines()))
    assert [(row["label"], row["text"], row["nr"], row["id"]) for row in rows] == [
        ("x", "a fine film", "7", "1"),
        ("z", "a dull film", "9", "3"),
    ]
    plain = list(csv.DictReader(call(*words).out.splitlines()))
    assert [row["predicted label"] for row in rows] == [row["label"] for row in plain]
    assert "--keep-columns needs --output-format csv" in call(*words[:-2], "--keep-columns").err


def test_gold_labels_are_read_from_standard_input_as_from_their_file(tmp_path: Path) -> None:
    gold = "\n".join(ROWS) + "\n21st row,\n"
    (tmp_path / "gold.csv").write_text(gold)
    (tmp_path / "mine.toml").write_text(TASK)
    (tmp_path / "p.csv").write_text("id,label\n" + "".join(f"{n + 1},glad\n" for n in range(20)))
    options = ("--task", "mood", "--config", tmp_path / "mine.toml")
    of_file = call("score", tmp_path / "p.csv", tmp_path / "gold.csv", *options)
    of_pipe = call("score", tmp_path / "p.csv", "-", *options, stdin=gold.encode())
    assert of_file.code == of_pipe.code == 0, of_pipe.err
    assert of_file.out.splitlines()[1:] == of_pipe.out.splitlines()[1:]
    assert of_file.err.replace(str(tmp_path / "gold.csv"), "-") == of_pipe.err


def test_scores_of_other_systems_are_read_from_standard_input(tmp_path: Path) -> None:
    rows = [f"{system},{seed},mood,accuracy,{0.7 + seed / 100}" for system in "ab" for seed in range(3)]
    table = "\n".join(["system,seed,task,metric,value", *rows]) + "\n"
    (tmp_path / "s.csv").write_text(table)
    of_file, of_pipe = (
        call("compare", "--scores", tmp_path / "s.csv"),
        call("compare", "--scores", "-", stdin=table.encode()),
    )
    assert of_file.code == of_pipe.code == 0, of_pipe.err
    assert of_file.out == of_pipe.out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("score", "-", "-", "--task", "sst"), "PREDICTIONS and GOLD"),
        (("score", "p.csv", "-", "--task", "sst", "--config", "-"), "GOLD and --config"),
        (("change", "-", "--gold", "-", "--out", "out"), "USAGES and --gold"),
        (("change", "u.csv", "--gold", "-", "--forms", "-", "--out", "out"), "--gold and --forms"),
        (("data", "init", "-", "-"), "FILES[0] and FILES[1]"),
    ],
)
def test_standard_input_stands_for_one_file_of_a_command(words: tuple[str, ...], named: str) -> None:
    code, out, err = call(*words)
    line = f"bertram: {named}: standard input (-) can stand for one file only; name the other\n"
    assert (code, out, err) == (2, "", line)


def test_files_of_a_task_cannot_be_standard_input(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TASK.replace("t.csv", "-"))
    code, _, err = call("data", "check", tmp_path, "--config", tmp_path / "mine.toml")
    assert code == 1
    assert "tasks.mood.files.train: the files of a task are read more than once; save standard input (-)" in err


def test_a_task_file_is_written_to_standard_output(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n".join(ROWS) + "\n")
    plain = call("data", "init", tmp_path / "t.csv")
    assert call("data", "init", tmp_path / "t.csv", "--out", "-") == plain
    assert not Path("-").exists()


def test_phrases_are_written_to_standard_output(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text("(3 (2 The) (4 (3 good) (2 film)))\n")
    assert call("data", "phrases", tmp_path, "--out", tmp_path / "out.tsv").code == 0
    assert "exists already" in call("data", "phrases", tmp_path, "--out", tmp_path / "out.tsv").err
    code, out, err = call("data", "phrases", tmp_path, "--out", "-")
    assert (code, out, err) == (0, (tmp_path / "out.tsv").read_text(), "5 phrases\n")
