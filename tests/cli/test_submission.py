"""The six leaderboard files of a run: exact in form, with the run's own predictions for every usable row."""

import shutil
from pathlib import Path

import pytest
from tests.common.commands import call
from tests.common.trainings import tiny_config

from bertram import load, options
from bertram.data.rows import read_rows
from bertram.runs.directory import read_config
from bertram.tasks import QUORA, SST, STS
from bertram.training.train import train

HEADERS = {
    "sst": "id \t Predicted_Sentiment ",
    "para": "id \t Predicted_Is_Paraphrase ",
    "sts": "id \t Predicted_Similiary ",
}
STEMS = {"sst": SST, "para": QUORA, "sts": STS}


def test_six_files_in_the_leaderboards_form(tiny_runs: Path, tmp_path: Path) -> None:
    code, out, err = call("submission", tiny_runs / "cross-0", "--out", tmp_path / "upload")
    names = [f"{stem}-{split}-output.csv" for stem in HEADERS for split in ("dev", "test")]
    assert (code, err) == (0, "")
    assert sorted(out.split()) == sorted(str(tmp_path / "upload" / name) for name in names)
    assert {path.name for path in (tmp_path / "upload").iterdir()} == set(names)
    model = load(tiny_runs / "cross-0")
    for stem, task in STEMS.items():
        for split in ("dev", "test"):
            header, *lines = (tmp_path / "upload" / f"{stem}-{split}-output.csv").read_text().split("\n")
            assert header == HEADERS[stem]
            assert lines.pop() == ""
            rows = read_rows(task, "sample", split, labelled=False)
            texts: list[str | list[str]] = [[*text] if task.pair else text[0] for text in rows.texts]
            values = [one.value for one in model.predict(task.name, texts)]
            if task.kind == "score":
                assert [line.split(" , ")[0] for line in lines] == rows.ids
                written = [float(line.removesuffix(" ").split(" , ")[1]) for line in lines]
                assert written == pytest.approx(values, abs=1e-5)
            else:
                assert lines == [f"{one} , {value} " for one, value in zip(rows.ids, values, strict=True)]


def test_one_split_alone_has_the_same_files(tiny_runs: Path, tmp_path: Path) -> None:
    for words in ([], ["--split", "test"]):
        out = tmp_path / f"upload-{len(words)}"
        assert call("submission", tiny_runs / "cross-0", *words, "--out", out)[0] == 0
    both, test = ({path.name: path.read_bytes() for path in out.iterdir()} for out in sorted(tmp_path.glob("*[0-9]")))
    assert test == {name: content for name, content in both.items() if "-test-" in name}
    assert len(test) == 3


@pytest.mark.real_data
def test_rows_of_the_course_without_a_label_are_left_out_and_listed(
    real_data: Path, tiny_runs: Path, tmp_path: Path
) -> None:
    part = tmp_path / "data"  # the head of each file, and the two rows of quora-dev that do not count
    part.mkdir()
    for name in ("ids-sst-dev", "ids-sst-test-student", "quora-test-student", "sts-dev", "sts-test-student"):
        lines = (real_data / f"{name}.csv").read_bytes().splitlines(keepends=True)
        (part / f"{name}.csv").write_bytes(b"".join(lines[:6]))
    lines = (real_data / "quora-dev.csv").read_bytes().splitlines(keepends=True)
    (part / "quora-dev.csv").write_bytes(b"".join([*lines[:6], lines[2576], lines[14221]]))
    words = ("submission", tiny_runs / "cross-0", "--data", part, "--out", tmp_path / "upload")
    code, _, err = call(*words)
    assert code == 0
    assert err.splitlines() == [f"{part}/quora-dev.csv: rows without a label for quora, left out: 2"]
    assert len((tmp_path / "upload" / "para-dev-output.csv").read_text().splitlines()) == 1 + 5


def test_a_run_without_one_of_the_tasks_is_refused_by_name(tiny_encoder: Path, tmp_path: Path) -> None:
    values = options.dump(tiny_config(tiny_encoder, sampling={"epochs": 1}))
    values["tasks"] = {"sst": values["tasks"]["sst"], "closeness": values["tasks"]["sts"]}
    train(options.make(values), tmp_path / "run")
    code, _, err = call("submission", tmp_path / "run", "--out", tmp_path / "upload")
    assert code == 1
    assert err == (
        f"bertram: {tmp_path}/run: has no task quora and no task sts (its tasks: sst, closeness); "
        "the leaderboard wants sst, quora, sts\n"
    )
    assert not (tmp_path / "upload").exists()


def test_all_missing_files_are_named_and_nothing_is_written(tiny_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    code, _, err = call("submission", tiny_runs / "cross-0", "--data", tmp_path / "data", "--out", tmp_path / "upload")
    assert code == 1
    for name in ("ids-sst-dev", "ids-sst-test-student", "quora-dev", "quora-test-student", "sts-dev"):
        assert f"{name}.csv: there is no such file" in err
    assert not (tmp_path / "upload").exists()


def test_an_output_that_cannot_be_written_is_named(tiny_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    code, _, err = call("submission", tiny_runs / "cross-0", "--out", tmp_path / "file")
    assert code == 1
    assert err == f"bertram: {tmp_path}/file: cannot be written: File exists; choose another --out\n"


@pytest.mark.parametrize(
    ("task", "change", "wanted"),
    [
        ("sst", {"labels": ("4", "3", "2", "1", "0")}, "of kind class with the labels 0, 1, 2, 3, 4"),
        ("sts", {"range": (0.0, 1.0)}, "of kind score with the range [0.0, 5.0]"),
    ],
)
def test_a_task_whose_values_mean_something_else_is_refused(
    task: str, change: dict[str, tuple[object, ...]], wanted: str, tiny_runs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_runs / "cross-0", run)
    (run / "config.toml").write_text(options.to_toml(options.change(read_config(run), tasks={task: change})))
    code, _, err = call("submission", run, "--out", tmp_path / "upload")
    assert code == 1
    assert err == f"bertram: {run}: its task {task} is not the leaderboard's, which is {wanted}\n"
