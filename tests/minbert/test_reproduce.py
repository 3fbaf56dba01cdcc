"""Studies on the sample with a tiny encoder: skipping, resuming, failing, and what is left on disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bertram import options
from bertram.cli.board import Board
from bertram.errors import RunError
from bertram.experiments import ablation
from bertram.experiments.ablation import Ablation, known_forecast, pilot, result, write
from bertram.experiments.ablation import jobs as ablation_jobs
from bertram.experiments.ablation_table import read_ablation_table
from bertram.experiments.budget import Budget
from bertram.experiments.design import full, leave_one_out
from bertram.experiments.events import Event, Reporter
from bertram.experiments.factors import parse
from bertram.experiments.forecast import noise_runs
from bertram.experiments.looks import read_looks
from bertram.experiments.schedule import Job, main_scores, run_jobs
from bertram.minbert import catalogue, published
from bertram.minbert.leaderboard import has_submission
from bertram.minbert.reproduce import SUBMISSION, Study, jobs, table
from bertram.runs.directory import Run, read_metrics
from bertram.training.train import train


@pytest.fixture(scope="module")
def budget(tiny_encoder: Path) -> Budget:
    changes = {"encoder": str(tiny_encoder), "precision": "fp32"}
    return Budget(epochs=1, fraction=0.1, dev_limit=40, changes=changes)


@pytest.fixture
def study(budget: Budget, tmp_path: Path) -> Callable[..., Study]:
    def made(names: str, seeds: int = 1) -> Study:
        return Study(published.select(names), range(seeds), budget, tmp_path / "study")

    return made


class Stopped(Exception):  # noqa: N818 - not an error
    """In the place of a kill."""


class Stop(Reporter):
    """A display that stops the training at a step."""

    def step(self, step: int, losses: object, examples_per_second: float) -> None:  # noqa: ARG002
        if step == 5:
            raise Stopped


@pytest.mark.slow
def test_a_broken_run_goes_on_to_the_result_of_an_unbroken_one_and_is_then_skipped(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    (job,) = jobs(study("4"))
    whole = train(job.config, tmp_path / "whole")
    often = options.change(job.config, checkpoint={"save_minutes": 1e-9})  # no part of what tells runs apart
    with pytest.raises(Stopped):
        train(often, job.path, display=Stop("", lambda _: None))
    assert list((job.path / "checkpoint").iterdir())
    told: list[Event] = []
    (again,) = jobs(study("4"))
    assert again.path == job.path
    board = Board()
    board.tell = told.append  # type: ignore[method-assign, assignment]
    assert run_jobs([again], board) == []
    assert main_scores(Run(job.path)) == main_scores(whole)
    steps = [line["step"] for line in read_metrics(job.path / "metrics.jsonl") if "overall" in line]
    assert len(steps) == len(set(steps))
    assert {path.name for path in job.path.iterdir()} == {"config.toml", "record.json", "metrics.jsonl", "predictions"}
    told.clear()
    run_jobs(jobs(study("4")), board)
    assert [event.state for event in told] == ["skipped"]


@pytest.mark.slow
def test_row_1_in_two_processes_and_what_it_says(study: Callable[..., Study]) -> None:
    asked = study("1")
    assert run_jobs(jobs(asked), Board(), at_once=2) == []
    means = {
        (row.experiment, task): score.mean for row in table(asked).rows for task, score in row.ours.items() if score
    }
    assert means["e1", "quora"] + means["e1-yes", "quora"] == pytest.approx(1.0)
    assert means["e1", "sts"] == means["e1-yes", "sts"]
    sentiment = Run(jobs(asked)[0].path).record["confusion"]["sst"]
    assert all(count == 0 for gold in sentiment for label, count in enumerate(gold) if label != 2)  # neutral


@pytest.mark.slow
def test_an_untouched_encoder_has_a_row_of_its_own_for_similarity_alone(study: Callable[..., Study]) -> None:
    asked = study("untouched,untouched-mean")
    assert run_jobs(jobs(asked), Board(), at_once=1) == []
    runs = {run.record.recipe: run for run in asked.finished().values()}
    assert all(not run.record.trained and list(run.config.tasks) == ["sts"] for run in runs.values())
    rows = {row.experiment: row for row in table(asked).rows}
    assert list(rows) == ["untouched", "untouched-mean"]
    similarities = [row.ours["sts"].mean for row in rows.values() if row.ours["sts"] is not None]
    assert len(set(similarities)) == 2
    assert all(row.ours["overall"] is None for row in rows.values())
    assert all(job.finished for job in jobs(asked))


def test_a_run_that_fails_costs_no_other(study: Callable[..., Study], capsys: pytest.CaptureFixture[str]) -> None:
    asked = study("1,4")
    no, _, row4 = jobs(asked)
    broken = Job("broken", row4.config, row4.path, "other", artifact=SUBMISSION)
    row4.path.parent.mkdir(parents=True, exist_ok=True)
    row4.path.write_text("a file where a directory should be")
    failures = run_jobs([broken, no], Board())
    assert len(failures) == 1
    assert failures[0].startswith("broken seed 0: ")
    assert no.finished
    assert "broken seed 0: failed" in capsys.readouterr().err


@pytest.mark.slow
def test_row_12_leaves_its_submission_and_row_13_is_the_same_run(study: Callable[..., Study]) -> None:
    asked = study("12,13", seeds=2)
    wanted = jobs(asked)
    assert [job.key for job in wanted] == ["e12 seed 0", "e12 seed 1"]
    assert run_jobs(wanted[:1], Board(), keep_models=True) == []
    assert len(list((wanted[0].path / "submission").iterdir())) == 6
    assert (wanted[0].path / "model").is_dir()
    assert wanted[1].artifact is None
    run = Run(wanted[0].path)
    assert has_submission(run)
    sst = run.path / "submission" / "sst-dev-output.csv"
    made = sst.read_bytes()
    sst.write_bytes(made + b"7 , 1 \n")  # another submission of the same name
    assert not has_submission(run)
    assert run_jobs(wanted[:1], Board(), keep_models=True) == []
    assert sst.read_bytes() == made
    source = run.path / "submission.source"
    values = json.loads(source.read_text())
    source.write_text(json.dumps({**values, "model": {**values["model"], "model.safetensors": "0" * 64}}))
    assert not has_submission(run)  # it was made of other weights
    shutil.rmtree(wanted[0].path / "submission")  # as if it had been killed after its record
    (wanted[0].path / "checkpoint").mkdir()
    assert run_jobs(wanted[:1], Board()) == []
    assert len(list((wanted[0].path / "submission").iterdir())) == 6
    assert not (wanted[0].path / "checkpoint").exists()


def test_an_attempt_that_failed_before_it_was_a_run_is_made_again(study: Callable[..., Study]) -> None:
    job = jobs(study("1"))[0]
    job.path.mkdir(parents=True)
    (job.path / "error.txt").write_text("out of memory")
    assert run_jobs([job], Board()) == []
    assert job.finished
    assert not (job.path / "error.txt").exists()


ORPHAN = """
import time
from multiprocessing import get_context
from bertram.experiments.schedule import _begin_worker

def work(events):
    _begin_worker(events, 1)
    print("at work", flush=True)
    time.sleep(3600)

if __name__ == "__main__":
    spawn = get_context("spawn")
    events = spawn.Queue()  # named, or it may be gone before the process has opened it
    process = spawn.Process(target=work, args=(events,))
    process.start()
    process.join()
"""


@pytest.mark.slow
def test_processes_end_with_a_study_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "orphan.py").write_text(ORPHAN)
    with subprocess.Popen([sys.executable, tmp_path / "orphan.py"], stdout=subprocess.PIPE, text=True) as study:
        assert study.stdout is not None
        assert study.stdout.readline() == "at work\n"
        study.kill()
        assert study.communicate(timeout=300)[0] == ""  # the end of the file: nobody holds it open


INTERRUPTED = """
import signal
import sys
import time
from pathlib import Path

from bertram import options, recipes
from bertram.experiments.events import SilentStudy
from bertram.experiments.schedule import Job, run_jobs

out = Path(sys.argv[1])

def produce(config, path, display):
    (out / f"begun-{config.seed}").touch()
    time.sleep(3600)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    configs = [options.change(recipes.cross(), seed=seed) for seed in range(6)]
    jobs = [Job("job", config, out / str(config.seed), str(config.seed), produce=produce) for config in configs]
    run_jobs(jobs, SilentStudy(), at_once=2)
"""


@pytest.mark.slow
def test_an_interrupted_study_ends_and_begins_no_further_run(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(INTERRUPTED)
    command = [sys.executable, str(tmp_path / "study.py"), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as study:
        while len(list(tmp_path.glob("begun-*"))) < 2 and study.poll() is None:
            time.sleep(0.05)
        os.killpg(study.pid, signal.SIGINT)  # as Ctrl+C does
        try:
            assert study.wait(timeout=300) != 0
        finally:
            study.kill()
    assert len(list(tmp_path.glob("begun-*"))) == 2


@pytest.mark.slow
def test_an_ablation_from_pilot_to_effects(budget: Budget, tmp_path: Path) -> None:
    factors = parse("mse,pcgrad")
    asked = Ablation(
        "e4", catalogue.recipe("e4"), factors, full([one.name for one in factors]), range(2), budget, tmp_path / "out"
    )
    wanted = ablation_jobs(asked)
    assert len(wanted) == 8
    assert known_forecast(asked, wanted) is None
    first = pilot(asked, wanted)
    assert [job.key for job in first] == ["none seed 0", "mse seed 0", "none seed 1", "mse seed 1"]
    run_jobs(first, Board())
    power = known_forecast(asked, wanted)
    assert power is not None
    assert {(one.noise.df, one.noise.own) for one in power.effects} == {(1, False)}
    assert power.seeds == 2
    assert power.hours > 0
    assert power.source == "4 runs of 2 configurations at this budget"
    shorter = options.change(wanted[0].config, sampling={"steps_per_epoch": 2, "epoch_of": None})
    other = noise_runs(asked.finished().values(), [shorter])
    assert other is not None
    assert other.source == "4 runs of 2 configurations at other budgets"
    run_jobs(wanted, Board())
    found = result(asked, wanted, power)
    write(tmp_path / "out", found)
    read = read_ablation_table(tmp_path / "out" / "ablation.json")
    assert read.power is not None
    assert read.power.effects[0].noise.df == 1
    outcomes = ["sst", "quora", "sts", "overall", "sst nll", "sst brier", "quora nll", "quora brier", "sts mse"]
    assert {(one.name, one.outcome) for one in found.effects} == {
        (name, outcome) for name in ("mse", "pcgrad", "mse×pcgrad") for outcome in outcomes
    }
    cell = found.design.cells[3]
    assert cell.levels == {"mse": True, "pcgrad": True}
    assert cell.scores["overall"].keys() == {0, 1}


@pytest.mark.slow
def test_an_ablation_until_it_is_decided_keeps_its_looks_and_goes_on(budget: Budget, tmp_path: Path) -> None:
    factors = parse("mse,pcgrad")
    names = [one.name for one in factors]
    asked = Ablation("e4", catalogue.recipe("e4"), factors, leave_one_out(names), range(3), budget, tmp_path / "out")
    sequential = ablation.until_decided(asked, 3)
    assert sequential.plan.effects == ("mse", "pcgrad")
    wanted = sequential.next_jobs([])
    assert len(wanted) == 9
    with pytest.raises(RunError, match="no finished runs"):
        sequential.next_look([])
    run_jobs(wanted, Board())
    looks = [sequential.next_look([])]
    assert read_looks(asked.out, sequential.plan) == looks
    found = result(asked, ablation_jobs(asked), None)
    write(asked.out, found)
    assert "look after 3 seeds of at most 3" in (asked.out / "ablation.md").read_text()
    verdicts = {row.name: row.verdict.decision for row in found.effects if row.primary}
    assert verdicts == {name: looks[0].decisions.get(name, "undecided") for name in names}

    other = replace(asked, budget=replace(budget, fraction=0.2))
    with pytest.raises(RunError, match="its configurations or data are others"):
        read_looks(asked.out, ablation.until_decided(other, 3).plan)
