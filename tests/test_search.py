"""The search for stronger models: what it trains in which order, what it keeps, and that it can be continued."""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bertram import options, recipes
from bertram.options.command_line import pairs
from tools import search
from tools.search import Arm, Job, Places, Search, Study

PLACES = Places(Path("data"), Path("runs/search"), Path("kept"))


def names(jobs: list[list[Job]]) -> list[list[str]]:
    return [[job.name for job in arm] for arm in jobs]


def test_an_arm_comes_after_its_teachers_and_files_and_each_job_once() -> None:
    study = Study(
        {
            "large": Arm("large", "", "--recipe best-mpnet", merge=["ensemble", "soup"]),
            "small": Arm("small", "", "--recipe best", ["large-seed0", "large-seed1"], ["pairs.tsv", "further"]),
        },
        {"pairs.tsv": "data pairs {data} --out {out}"},
        {"further": "pretrain --data {data} --out {out}"},
    )
    small = ["small-seed3", "small-seed4", "small-ensemble-of-3-4"]
    planned = list(Search(study, PLACES, seeds=[3, 4], threads=1).jobs(["small", "large"]))
    assert names(planned) == [
        ["large-seed0"], ["large-seed1"], ["pairs.tsv", "further", *small],
        ["large-seed3", "large-seed4", "large-ensemble-of-3-4", "large-soup-of-3-4"],
    ]  # fmt: skip
    (first,), student = planned[0], planned[2][2]
    assert shlex.join(first.words) == (
        "train --recipe best-mpnet --threads 1 --data data --seed 0 --out runs/search/large-seed0"
    )
    assert (first.weights_needed, student.weights_needed) == (True, False)
    assert shlex.join(student.words) == (
        "distill runs/search/large-seed0 runs/search/large-seed1 --recipe best --threads 1 "
        "--distill.outputs runs/search/outputs --data data --seed 3 --out runs/search/small-seed3"
    )


@pytest.mark.parametrize("name", search.read_study().arms)
def test_the_options_of_each_arm_make_a_configuration(name: str) -> None:
    arm = search.read_study().arms[name]
    words = dict(pairs(PLACES.words(arm.options)))
    base = recipes.RECIPES[words.pop("recipe")]()
    teachers = {"distill": {"teachers": list(arm.teachers)}} if arm.teachers else {}
    values = options.nest(pairs([word for key, value in words.items() for word in (f"--{key}", value)]))
    config = options.overlay(base, {}, options.merge(values, teachers))
    assert set(config.tasks) == {"sst", "quora", "sts"}
    unlabelled = [task.unlabelled for task in config.tasks.values() if task.unlabelled]
    assert bool(unlabelled) == name.startswith("unlabelled")


def test_a_study_that_needs_what_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('[files]\n[encoders]\n[arms.a]\nabout = ""\noptions = ""\nteachers = ["b-seed0"]\n')
    with pytest.raises(ValueError, match="arm a needs b-seed0, which nothing there makes"):
        search.read_study(path)
    path.write_text('[files]\n[encoders]\n[arms.a]\nabout = ""\noptions = ""\nteacher = "b"\n')
    with pytest.raises(ValueError, match="teacher"):
        search.read_study(path)


@pytest.fixture
def commands(tiny_runs: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that a search runs, each of which leaves a finished run or its submission."""
    taken: list[list[str]] = []

    def run(words: list[str], **_: Any) -> SimpleNamespace:
        command = words[words.index("bertram") + 1 :]
        taken.append(command)
        out = Path(command[command.index("--out") + 1])
        if command[0] == "submission":
            out.mkdir(exist_ok=True)
            (out / "sst-test-output.csv").write_text("id\n")
        else:
            shutil.copytree(tiny_runs / "cross-0", out, dirs_exist_ok=True)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return taken


STUDY = Study(
    {"a": Arm("a", "", "--recipe best", merge=["ensemble"]), "b": Arm("b", "", "--recipe best", ["a-seed0"])}, {}, {}
)


def carry_out(names: list[str], places: Places, seeds: Sequence[int] = (3, 4)) -> None:
    for jobs in Search(STUDY, places, seeds).jobs(names):
        search.carry_out(jobs, places)


def test_results_are_kept_and_only_teachers_keep_their_weights(commands: list[list[str]], tmp_path: Path) -> None:
    places = Places(Path("sample"), tmp_path / "work", tmp_path / "kept")
    carry_out(["a"], places, [0, 3])
    assert [command[0] for command in commands] == [
        "train",
        "submission",
        "train",
        "submission",
        "ensemble",
        "submission",
    ]
    for name in ("a-seed0", "a-seed3", "a-ensemble-of-0-3"):
        kept = {path.name for path in (tmp_path / "kept" / name).iterdir()}
        assert kept == {"config.toml", "record.json", "metrics.jsonl", "predictions", "submission"}
        assert (tmp_path / "work" / name / "model").is_dir() == (name == "a-seed0")
    commands.clear()
    carry_out(["a"], places, [0, 3])
    assert commands == []
    carry_out(["b"], places)  # its teacher is there
    assert [command[0] for command in commands][::2] == ["distill", "distill", "ensemble"]


def test_weights_stay_until_all_seeds_are_merged(commands: list[list[str]], tmp_path: Path) -> None:
    places = Places(Path("sample"), tmp_path / "work", tmp_path / "kept")
    for seeds, left in (([1], {1}), ([1, 2], {1, 2}), ([0, 1, 2], {0})):
        carry_out(["a"], places, seeds)
        assert {seed for seed in range(3) if (tmp_path / "work" / f"a-seed{seed}" / "model").is_dir()} == left
    assert sum(command[0] == "train" for command in commands) == 3
    kept = {path.name for path in (tmp_path / "kept").iterdir() if "ensemble" in path.name}
    assert kept == {"a-ensemble-of-1-2", "a-ensemble"}  # the one of all seeds has a name of its own


def test_weights_that_were_removed_are_trained_anew(commands: list[list[str]], tmp_path: Path) -> None:
    places = Places(Path("sample"), tmp_path / "work", tmp_path / "kept")
    carry_out(["a"], places, [3])
    commands.clear()
    carry_out(["a"], places, [3, 4])
    assert [command[0] for command in commands] == ["train", "train", "submission", "ensemble", "submission"]
    assert not any("--resume" in command for command in commands)


def test_a_path_may_have_spaces() -> None:
    places = Places(Path("my data"), Path("my runs"), Path("kept"))
    assert places.words("data pairs {data} --out {out}", out="my runs/x") == [
        "data", "pairs", "my data", "--out", "my runs/x",
    ]  # fmt: skip


def test_what_was_begun_is_continued_and_half_an_ensemble_made_anew(commands: list[list[str]], tmp_path: Path) -> None:
    places = Places(Path("sample"), tmp_path / "work", tmp_path / "kept")
    begun, half = tmp_path / "work" / "a-seed4", tmp_path / "work" / "a-ensemble-of-3-4"
    begun.mkdir(parents=True)
    (begun / "config.toml").write_text("")
    (half / "model").mkdir(parents=True)
    (half / "model" / "remains").write_text("")
    carry_out(["a"], places)
    assert [command[-1] == "--resume" for command in commands if command[0] == "train"] == [False, True]
    assert not (half / "model" / "remains").exists()


def test_a_command_that_fails_ends_the_search_with_its_status(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=3))
    with pytest.raises(SystemExit) as ended:
        carry_out(["a"], Places(Path("sample"), tmp_path / "work", tmp_path / "kept"))
    assert ended.value.code == 3
    assert commands == []


def test_the_first_rows_of_each_file_are_the_data_of_a_trial(tmp_path: Path) -> None:
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "more.tsv").write_text("id\n" + "row\n" * 200)
    (tmp_path / "train.csv").write_text("id\nrow\n")
    search.trial_data(tmp_path, tmp_path / "trial")
    assert (tmp_path / "trial" / "extra" / "more.tsv").read_text().count("\n") == search.TRIAL_ROWS
    assert (tmp_path / "trial" / "train.csv").read_text() == "id\nrow\n"
