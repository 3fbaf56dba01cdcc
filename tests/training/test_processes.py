"""A run over several processes: the same as over one, to rounding; one writer; nobody waits for ever."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.common import child_processes
from tests.common.child_processes import start_training_together, train_together
from tests.common.trainings import NO_DROPOUT, fingerprint, logged_lines, tiny_config

from bertram import options
from bertram.config import Config
from bertram.errors import RunError
from bertram.runs.directory import read_config
from bertram.training import processes
from bertram.training.train import train

# A large eps, since Adam blows up what is rounding only, such as a key's bias has, to steps of the whole rate.
ALIKE = {"model": NO_DROPOUT, "optimizer": {"eps": 1e-3, "max_grad_norm": 1.0}}


def of_one(config: Config, out: Path) -> Path:
    return train(config, out).path


def assert_alike(run: Path, alone: Path) -> None:
    """The same losses, gradients, scores and weights, to rounding."""
    lines, expected = logged_lines(run, "losses"), logged_lines(alone, "losses")
    assert len(lines) == len(expected) > 0
    for line, other in zip(lines, expected, strict=True):
        assert line["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-3)
        for task, figures in other["losses"].items():
            assert line["losses"][task]["loss"] == pytest.approx(figures["loss"], rel=1e-4)
            assert line["losses"][task].get("penalty", 0.0) == pytest.approx(figures.get("penalty", 0.0), rel=1e-2)
    weights, others = (load_file(str(path / "model" / "model.safetensors")) for path in (run, alone))
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], rtol=1e-3, atol=2e-5)
    scores, of_alone = (json.loads((path / "record.json").read_text())["scores"]["dev"] for path in (run, alone))
    for task in ("sst", "quora", "sts"):
        for name, score in of_alone[task].items():
            assert scores[task][name]["value"] == pytest.approx(score["value"], abs=1e-3)
            assert scores[task][name]["n"] == score["n"]


VARIANTS: dict[str, dict[str, Any]] = {
    "PCGrad and odd batches": {
        "surgery": {"method": "pcgrad"},
        "sampling": {"batch_size": 7, "gradient_accumulation_steps": 2},
    },
    "SMART, Bregman, uncertainty": {
        "smart": {"tasks": ["all"], "bregman": "momentum"},
        "uncertainty_weighting": True,
        "average": {"method": "tail", "tail_start": 0.1},
        "log": {"diagnostics_steps": 1},
    },
    "fewer examples than processes": {
        "sampling": {"batch_size": 1, "epochs": 1, "steps_per_epoch": 4},
        "evaluation": {"max_interim_samples": 1},
        "surgery": {"method": "gradvac", "granularity": "layer", "gradients": "task-by-task"},
    },
    "one task a step, surgery after the epoch": {
        "sampling": {"order": "sequential", "epochs": 1},
        "surgery": {"method": "pcgrad", "frequency": "epoch"},
        "optimizer": {"embedding_update": "dense"},
    },
}


FIRST, *OTHERS = VARIANTS


@pytest.mark.slow
@pytest.mark.parametrize("variant", [FIRST, *(pytest.param(variant, marks=pytest.mark.slow) for variant in OTHERS)])
def test_two_processes_train_as_one_does(
    variant: str, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = options.change(tiny_config(tiny_encoder, **ALIKE), **VARIANTS[variant])
    assert train_together(config, tmp_path / "two", 2, fixed_noise=True) == [0, 0]
    child_processes.fix_noise(monkeypatch.setattr)
    assert_alike(tmp_path / "two", of_one(config, tmp_path / "one"))
    assert json.loads((tmp_path / "two" / "record.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_torchrun_trains_as_one_process_does_and_only_one_of_them_writes(tiny_encoder: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_encoder, **ALIKE, sampling={"batch_size": 7, "epochs": 1})
    (tmp_path / "mine.toml").write_text(options.to_toml(config))
    found = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "bertram", "train", "--config", "mine.toml", "--out", "two"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("run: two") == 1
    assert found.stderr.count("(best so far)") == 1
    assert_alike(tmp_path / "two", of_one(read_config(tmp_path / "two"), tmp_path / "one"))


@pytest.mark.slow
def test_two_processes_that_are_killed_go_on_to_the_same_end(tiny_encoder: Path, tmp_path: Path) -> None:
    changes = {"smart": {"tasks": ["sst"]}, "checkpoint": {"save_minutes": 1e-9}}  # dropout and noise are drawn by each
    config = tiny_config(tiny_encoder, **changes)
    assert train_together(config, tmp_path / "whole", 2) == [0, 0]
    ranks = start_training_together(config, tmp_path / "killed", 2)
    metrics = tmp_path / "killed" / "metrics.jsonl"
    for _ in itertools.count():
        if (metrics.exists() and metrics.read_bytes().count(b"\n") >= 4) or not all(rank.is_alive() for rank in ranks):
            break
        time.sleep(0.005)
    for rank in ranks:
        rank.kill()
        rank.join()
    with pytest.raises(RunError, match=r"was started with 2 processes.*resume it with 2"):
        train(config, tmp_path / "killed", resume=True)
    assert train_together(config, tmp_path / "killed", 2) == [0, 0]
    assert fingerprint(tmp_path / "killed") == fingerprint(tmp_path / "whole")


# ------------------------------------------------------------------------------------------ what is sent


def exchange(rank: int, _: int) -> tuple[Any, ...]:
    like = {"a": torch.zeros(2), "b": torch.zeros(2, 2), "c": torch.zeros(3)}
    mine = {"a": torch.full((2,), 1.0 + rank), "b": torch.full((2, 2), 5.0) if rank else None, "c": None}
    total = processes.summed(mine, like)
    answer = (
        {name: None if t is None else t.tolist() for name, t in total.items()},
        processes.collected({"rank": rank}),
        processes.from_first(f"of {rank}"),
        processes.is_first(),
    )
    processes.wait()
    return answer


@pytest.mark.slow
def test_gradients_are_summed_and_stay_none_where_no_process_has_one() -> None:
    for rank, (total, collected, written, writes) in enumerate(child_processes.answers_of_ranks(exchange, 2)):
        assert total == {"a": [3.0, 3.0], "b": [[5.0, 5.0], [5.0, 5.0]], "c": None}
        assert collected == [{"rank": 0}, {"rank": 1}]
        assert written == "of 0"
        assert writes == (rank == 0)


def test_one_process_alone_sends_nothing() -> None:
    gradient = torch.ones(2)
    assert processes.summed({"a": gradient, "b": None}, {"a": gradient, "b": gradient})["a"] is gradient
    assert processes.collected(3) == [3]
    assert processes.from_first("mine") == "mine"
    assert (processes.rank(), processes.count(), processes.is_first()) == (0, 1, True)
    processes.wait()
    processes.finish()
