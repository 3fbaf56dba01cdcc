"""A run that is killed, at whatever moment and however often, ends as if it had not been."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.common.child_processes import run_in_child, train_until_killed
from tests.common.kills import CONFIGURATIONS, SMALL, configuration, finish_in_spite_of_kills, killed_after
from tests.common.trainings import fingerprint

from bertram import options
from bertram.config import Config
from bertram.errors import RunError
from bertram.runs import checkpoint
from bertram.runs.checkpoint import DamagedCheckpointWarning
from bertram.runs.directory import read_config
from bertram.runs.lock import LOCK
from bertram.training.train import train

OFTEN = {"save_minutes": 0.0005}
SLOW = ("joint steps", "passes", "tasks by chance")  # python -m benchmarks.reliability kills trainings of all


@pytest.mark.slow
@pytest.mark.parametrize("variant", SLOW)
def test_kills_at_random_moments_change_nothing(variant: str, tiny_encoder: Path, tmp_path: Path) -> None:
    config = configuration(tiny_encoder, **CONFIGURATIONS[variant])
    expected = fingerprint(train(config, tmp_path / "whole").path)
    kills = finish_in_spite_of_kills(config, tmp_path / "killed", random.Random(variant))
    assert kills >= 3
    assert fingerprint(tmp_path / "killed") == expected
    assert sorted(os.listdir(tmp_path / "killed")) == sorted(os.listdir(tmp_path / "whole"))  # noqa: PTH208


@pytest.mark.slow
def test_kills_at_the_very_beginning_change_nothing(tiny_encoder: Path, tmp_path: Path) -> None:
    config = configuration(tiny_encoder, sampling={"epochs": 1})
    expected = fingerprint(train(config, tmp_path / "whole").path)
    for operation in (1, 2, 3, 4, 6, 9):  # before there is a directory, a configuration, a log, a checkpoint
        assert run_in_child(train_until_killed, config, tmp_path / "killed", operation) == -signal.SIGKILL
    assert fingerprint(train(config, tmp_path / "killed", resume=True).path) == expected


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_starts_over(tiny_encoder: Path, tmp_path: Path) -> None:
    config = configuration(tiny_encoder, checkpoint={"save_minutes": 100.0})
    expected = fingerprint(train(config, tmp_path / "whole").path)
    assert killed_after(config, tmp_path / "killed", 2, 0.0) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "checkpoint").exists()
    assert fingerprint(train(config, tmp_path / "killed", resume=True).path) == expected


@pytest.fixture
def interrupted(tiny_encoder: Path, tmp_path: Path) -> tuple[Config, Path]:
    """A run that was killed when it had some checkpoints."""
    config = configuration(tiny_encoder, checkpoint={"save_total_limit": 3}, optimizer=SMALL)
    code = killed_after(config, tmp_path / "run", 5, 0.0)
    assert code == -signal.SIGKILL
    return config, tmp_path / "run"


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [1, 3])
def test_damaged_checkpoints_are_passed_over(damaged: int, interrupted: tuple[Config, Path], tmp_path: Path) -> None:
    config, run = interrupted
    checkpoints = sorted((run / "checkpoint").glob("step-*"))
    assert len(checkpoints) == 3
    for path in checkpoints[-damaged:]:
        os.truncate(path / "state.safetensors", 1000)
    with pytest.warns(DamagedCheckpointWarning) as told:
        train(config, run, resume=True)
    assert len(told) == damaged
    assert fingerprint(run) == fingerprint(train(config, tmp_path / "whole").path)


def test_a_checkpoint_of_another_version_is_refused_and_nothing_is_touched(interrupted: tuple[Config, Path]) -> None:
    config, run = interrupted
    newest = max((run / "checkpoint").glob("step-*")) / "state.json"
    newest.write_text(newest.read_text().replace(f'"format": {checkpoint.FORMAT}', '"format": 99'))
    (run / LOCK).unlink()  # which the kill has left
    before = files(run)
    with pytest.raises(RunError, match="checkpoint format version 99 is unknown"):
        train(config, run, resume=True)
    assert files(run) == before


@pytest.mark.slow
def test_a_run_that_has_lost_its_best_weights_says_so(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = configuration(tiny_encoder, optimizer=SMALL), tmp_path / "run"
    monkeypatch.setattr("bertram.training.train._finish", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config, run)  # after the last step, before the record
    monkeypatch.undo()
    kept = (run / "model" / "model.safetensors").read_bytes()
    os.truncate(run / "model" / "model.safetensors", 1000)
    with pytest.raises(RunError, match=r"model\.safetensors: damaged.*start a new run"):
        train(config, run, resume=True)
    (run / "model" / "model.safetensors").write_bytes(kept)
    assert train(config, run, resume=True).finished


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


# ------------------------------------------------------------------------------------------ full disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of a size that can be changed."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(size: str) -> Path:
        again = ["-o", f"remount,size={size}", str(place)] if place.is_mount() else []
        command = ["mount", *(again or ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)])]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small file system needs root")
        return place

    yield sized
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_an_error_after_which_the_run_can_go_on(
    tiny_encoder: Path, tmp_path: Path, disk: Callable[[str], Path]
) -> None:
    config = configuration(tiny_encoder)
    run = disk("7m") / "run"  # enough for two checkpoints of 2.6 MB and one model of 1
    with pytest.raises(RunError, match="the disk is full; free some space and continue with --resume"):
        train(config, run)
    sound = checkpoint.newest(run / "checkpoint")
    assert sound is not None
    assert sound[0] >= 1
    assert not [path for path in run.rglob("*") if path.name.endswith(".writing")]
    disk("30m")
    train(config, run, resume=True)
    assert fingerprint(run) == fingerprint(train(config, tmp_path / "whole").path)


# ------------------------------------------------------------------------------------------ by the command line


def files(run: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a directory with its time and content."""
    found = (path for path in run.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def bertram(*words: str, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bertram", *words]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_the_command_goes_on_after_kill_9_and_leaves_a_finished_run_alone(tiny_encoder: Path, tmp_path: Path) -> None:
    config = configuration(tiny_encoder, checkpoint=OFTEN, sampling={"epochs": 6}, optimizer=SMALL)
    (tmp_path / "mine.toml").write_text(options.to_toml(config))
    begun, metrics = ("train", "--config", "mine.toml", "--out", "run", "--resume"), tmp_path / "run" / "metrics.jsonl"
    process = bertram(*begun, cwd=tmp_path)
    while process.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") >= 8):
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    going_on = bertram("train", "--out", "run", "--resume", cwd=tmp_path)
    assert going_on.communicate()[0].endswith("run: run\n")
    assert going_on.returncode == 0
    whole = train(read_config(tmp_path / "run"), tmp_path / "whole")
    assert fingerprint(tmp_path / "run") == fingerprint(whole.path)

    before = files(tmp_path / "run")
    again = bertram("train", "--out", "run", "--resume", cwd=tmp_path)
    assert again.communicate()[0].startswith("run: this run is already finished\n")
    assert again.returncode == 0
    assert files(tmp_path / "run") == before
