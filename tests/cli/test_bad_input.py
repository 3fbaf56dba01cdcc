"""Bad input at the command line: one or two lines that name the place and the remedy, or a listed reject."""

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.common.commands import call, spawn
from tests.common.trainings import tiny_config

from bertram import load, options
from bertram.runs.directory import create

TASKS_WITH_FAULTS = """
[tasks.mood]
kind = "class"
labels = ["sad", "glad"]
limit = 500
[tasks.mood.files]
train = "mood.csv"
dev = "mood-dev.csv"
texts = ["text"]
label = "mood"
[tasks.same]
kind = "binary"
[tasks.same.files]
train = "same.csv"
dev = "same.csv"
texts = ["first", "second"]
label = "same"
"""


SET_ENCODING = (
    "if the text has another encoding, set it (files.encoding; hub.encoding, extra.encoding or unlabelled.encoding for "
    "a file of that table; --encoding)"
)


def fails(*words: object, stdin: bytes = b"", lines: int = 2) -> str:
    """What a command says that explains its failure in a line or two."""
    code, out, err = call(*words, stdin=stdin)
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert len(err.splitlines()) <= lines, err
    return err


@pytest.fixture
def run(tiny_runs: Path) -> Path:
    return tiny_runs / "cross-0"


HASHES = ("files", "sha256")


class TestRuns:
    def test_missing(self, tmp_path: Path) -> None:
        for words in (("predict", tmp_path / "x", "--task", "sst"), ("evaluate", tmp_path / "x")):
            assert fails(*words) == f"bertram: {tmp_path}/x: there is no such run directory\n"

    def test_a_directory_that_is_no_run(self, tmp_path: Path) -> None:
        said = fails("evaluate", tmp_path)
        assert said == f"bertram: {tmp_path}: not a run: it has neither config.toml nor record.json\n"

    def test_a_finished_run_whose_model_was_not_kept(self, run: Path, tmp_path: Path) -> None:
        shutil.copytree(run, tmp_path / "run")
        shutil.rmtree(tmp_path / "run" / "model")
        for words in (("predict", "--task", "sst"), ("calibrate",), ("export", "--format", "hf", "--out", "x")):
            said = fails(words[0], tmp_path / "run", *words[1:], stdin=b"fine\n")
            assert "its model was not kept; train it anew in another --out, or run the study with --keep-models" in said

    def test_a_timeout_without_end(self, run: Path) -> None:
        assert fails("serve", run, "--timeout", "inf") == "bertram: --timeout inf: a number of seconds is needed\n"

    def test_damaged_weights(self, run: Path, tmp_path: Path) -> None:
        shutil.copytree(run, tmp_path / "run")
        (tmp_path / "run" / "model" / "model.safetensors").write_bytes(b"\0" * 100)
        said = fails("predict", tmp_path / "run", "--task", "sst", stdin=b"fine\n")
        assert f"{tmp_path}/run/model/model.safetensors: damaged" in said

    def test_weights_of_another_shape(self, run: Path, tmp_path: Path) -> None:
        shutil.copytree(run, tmp_path / "run")
        path = tmp_path / "run" / "model" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 96}))
        assert "config.json: damaged: its SHA-256 is not the recorded one" in fails(
            "predict", tmp_path / "run", "--task", "sst"
        )
        record = tmp_path / "run" / "record.json"  # as before there were hashes
        values = {name: value for name, value in json.loads(record.read_text()).items() if name not in HASHES}
        record.write_text(json.dumps(values))
        assert "weights do not fit config.json" in fails("predict", tmp_path / "run", "--task", "sst", lines=20)


class TestTextsToPredict:
    def test_unknown_task(self, run: Path) -> None:
        said = fails("predict", run, "--task", "mood", stdin=b"fine\n")
        assert said == "bertram: unknown task 'mood'; choose one of sst, quora, sts\n"

    def test_nothing(self, run: Path) -> None:
        assert "it is empty" in fails("predict", run, "--task", "sst")

    def test_a_text_where_a_pair_is_wanted(self, run: Path) -> None:
        said = fails("predict", run, "--task", "quora", stdin=b"just one\n")
        assert said.splitlines() == [
            "rejected: <stdin>:1: not two texts with one tab between them",
            "bertram: standard input: no usable rows",
        ]

    def test_a_pair_where_a_text_is_wanted(self, run: Path) -> None:
        assert "<stdin>:1: this line has tabs, but names no column" in fails(
            "predict", run, "--task", "sst", stdin=b"one\ttwo\n"
        )

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b"a \0 byte", "text holds a NUL byte"),
            (b"\xfe\xff", f"bytes that are not UTF-8; {SET_ENCODING}"),
            (b"   ", "text is empty"),
        ],
    )
    def test_a_bad_line_is_listed_and_the_others_are_predicted(self, run: Path, line: bytes, reason: str) -> None:
        code, out, err = call("predict", run, "--task", "sst", stdin=b"first\n" + line + b"\nthird\n")
        assert (code, err) == (0, f"rejected: <stdin>:2: {reason}\n")
        assert [json.loads(one)["id"] for one in out.splitlines()] == ["1", "3"]

    def test_faults_of_json_lines(self, run: Path) -> None:
        lines = b'{"text1": "a", "text2": "b"}\n{"text1": "a"}\n{bad\n{"text1": "a", "text2": ["b"]}\n'
        code, out, err = call("predict", run, "--task", "sts", stdin=lines)
        assert code == 0
        assert len(out.splitlines()) == 1
        assert [one.split(": ")[1] for one in err.splitlines()] == ["<stdin>:2", "<stdin>:3", "<stdin>:4"]

    def test_a_text_of_100_000_characters_is_cut_and_predicted(self, run: Path) -> None:
        text = "a word or two " * 7200
        code, out, err = call("predict", run, "--task", "sst", stdin=text.encode() + b"\n")
        assert (code, err) == (0, "")
        assert json.loads(out)["value"] == load(run).predict("sst", [text[:2000]])[0].value

    def test_files(self, run: Path, tmp_path: Path) -> None:
        words = ("predict", run, "--task", "sts")
        assert "none.csv: cannot be read: No such file" in fails(*words[:2], tmp_path / "none.csv", *words[2:])
        (tmp_path / "a.doc").write_bytes(b"x")
        assert "a file's name must end in .csv, .tsv" in fails(*words[:2], tmp_path / "a.doc", *words[2:])
        (tmp_path / "a.csv").write_text("one,two\nx,y\n")
        said = fails(*words[:2], tmp_path / "a.csv", *words[2:])
        assert "no column sentence1 and sentence2 or text1 and text2" in said
        assert "(the columns are: one, two)" in said


class TestTraining:
    def test_an_existing_run_directory(self, run: Path, tiny_encoder: Path) -> None:
        before = sorted(run.rglob("*"))
        said = fails("train", "--encoder", tiny_encoder, "--out", run)
        assert said == f"bertram: {run}: exists already; continue it with --resume, or choose another --out\n"
        assert sorted(run.rglob("*")) == before

    def test_an_unknown_recipe_and_a_misspelt_field(self) -> None:
        assert "unknown recipe 'croos'; did you mean cross?" in fails("train", "--recipe", "croos")
        said = fails("train", "--smart.weigth", "3")
        assert said == "bertram: smart.weigth: unknown field; did you mean smart.weight?\n"

    def test_all_faults_of_a_configuration_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "bad.toml").write_text('[sampling]\norder = "backwards"\n[optimizer]\nwarmup = 2\n')
        said = fails(
            "train", "--config", tmp_path / "bad.toml", "--tasks.sst.head", "cosine", "--seed", "-1",
            "--surgery.method", "pcgrad", "--out", tmp_path / "run", lines=9,
        )  # fmt: skip
        for fault in (
            "sampling.order = 'backwards'",
            "optimizer.warmup_ratio = 2",
            "tasks.sst: head 'cosine'",
            "seed = -1",
        ):
            assert f"  - {fault}" in said
        assert not (tmp_path / "run").exists()

    def test_a_file_that_is_no_toml(self, tmp_path: Path) -> None:
        (tmp_path / "bad.toml").write_text("tasks = [\n")
        assert "bad.toml: not a TOML file" in fails("train", "--config", tmp_path / "bad.toml")
        said = fails("train", "--config", tmp_path / "none.toml")
        assert said == f"bertram: {tmp_path}/none.toml: no such file\n"

    def test_all_faults_of_own_tasks_at_once(self, tiny_encoder: Path, tmp_path: Path) -> None:
        (tmp_path / "mine.toml").write_text(TASKS_WITH_FAULTS)
        rows = ["glad"] * 30 + ["sad"] * 30
        (tmp_path / "mood.csv").write_text("text,mood\n" + "".join(f"text {i},{m}\n" for i, m in enumerate(rows)))
        (tmp_path / "mood-dev.csv").write_text("text,mood\nfine,happy\nbad,sad\nworse,sad\n")
        (tmp_path / "same.csv").write_text("first,second\na,b\nc,d\n")
        words = ("train", "--config", tmp_path / "mine.toml", "--encoder", tiny_encoder, "--data", tmp_path)
        said = fails(*words, "--out", tmp_path / "run", lines=9)
        assert f"tasks.mood.max_train_samples = 500 is above the 60 usable rows of {tmp_path}/mood.csv" in said
        assert f"{tmp_path}/mood-dev.csv:2: column mood: the label 'happy' is none of sad, glad" in said
        assert f"{tmp_path}/same.csv: no column 'same'" in said
        assert not (tmp_path / "run").exists()

    def test_two_tasks_of_one_name(self, tmp_path: Path) -> None:
        (tmp_path / "mine.toml").write_text(TASKS_WITH_FAULTS.replace("tasks.same", "tasks.Mood"))
        assert "task names 'mood' and 'Mood' differ only in case" in fails("train", "--config", tmp_path / "mine.toml")

    def test_missing_data_and_encoder(self, tiny_encoder: Path, tmp_path: Path) -> None:
        said = fails("train", "--encoder", tiny_encoder, "--data", tmp_path / "none", "--out", tmp_path / "run")
        assert f"{tmp_path}/none: there is no such directory; --data takes a directory, hub or sample" in said
        said = fails("train", "--encoder", tmp_path / "none", "--out", tmp_path / "run")
        assert said == f"bertram: encoder {tmp_path}/none: there is no such directory\n"
        assert not (tmp_path / "run").exists()

    def test_resume_without_a_place(self) -> None:
        assert "--resume needs --out" in fails("train", "--resume")

    @pytest.mark.parametrize(
        ("command", "paths", "reason"),
        [
            ("train", {"encoder": "./enc"}, "encoder ./enc: there is no such directory"),
            ("train", {"data": "d"}, "d: there is no such directory; --data takes a directory, hub or sample"),
            (
                "distill",
                {"distill": {"teachers": ["runs/a"]}},
                "distill.teachers: runs/a: there is no such run directory",
            ),
        ],
    )
    def test_a_run_that_is_resumed_in_another_directory_than_that_of_its_relative_paths(
        self,
        command: str,
        paths: dict[str, Any],
        reason: str,
        tiny_encoder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        config = options.change(tiny_config(tiny_encoder), **paths)
        create(tmp_path / "run", config)
        monkeypatch.chdir(tmp_path)
        said = fails(command, "--resume", "--out", "run").splitlines()
        assert said[0].startswith(f"bertram: {reason}")
        assert said[1].startswith("The relative paths of a run (encoder, data, distill.teachers, distill.outputs)")
        assert said[1].endswith("resume the run in the directory where it was started.")
        absolute = {"data": str(tmp_path / "none"), "encoder": str(tiny_encoder), "distill": {"teachers": ["run"]}}
        create(tmp_path / "absolute", options.change(config, **absolute))
        assert "relative" not in fails(command, "--resume", "--out", "absolute")

    @pytest.mark.parametrize("what", [["--data", "hub"], ["--encoder", "google-bert/bert-base-uncased"]], ids=str)
    @pytest.mark.slow
    def test_no_network(self, what: list[str], tiny_encoder: Path, tmp_path: Path) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # bound, but nobody listens
            address = f"http://127.0.0.1:{closed.getsockname()[1]}"
            given = ["--encoder", tiny_encoder, *what] if what[0] == "--data" else what
            code, out, err = spawn(
                "train", *given, "--out", tmp_path / "run", HF_ENDPOINT=address, HF_HOME=str(tmp_path / "hub")
            )
        assert (code, out) == (1, "")
        assert f"cannot be downloaded from {address}" in err
        assert "Check the network" in err
        assert len(err.splitlines()) == 2
        assert not (tmp_path / "run").exists()


class TestScoring:
    def test_missing_data(self, run: Path, tmp_path: Path) -> None:
        said = fails("evaluate", run, "--data", tmp_path / "none")
        assert f"{tmp_path}/none: there is no such directory" in said

    def test_files_without_labels(self, run: Path) -> None:
        said = fails("evaluate", run, "--split", "test")
        assert "ids-sst-test-student.csv: no column 'sentiment'" in said
        assert "Without labels it can only be predicted" in said

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_files_that_may_not_be_read(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "ids-sst-dev.csv").touch(mode=0o000)
        assert "Permission denied" in fails("evaluate", run, "--data", tmp_path)

    def test_data_check_lists_all_that_a_training_would_refuse(self, tmp_path: Path) -> None:
        (tmp_path / "ids-sst-train.csv").write_text("id,sentence\n1,a\n")
        code, out, _ = call("data", "check", tmp_path)
        assert code == 1
        assert "ids-sst-train.csv: no column 'sentiment'" in out
        assert "sts-dev.csv: there is no such file" in out
