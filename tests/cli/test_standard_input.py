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
