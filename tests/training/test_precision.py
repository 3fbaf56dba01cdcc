"""What auto means is found once: for a run, however often it is resumed, and for all runs of a study."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.records import record_of, scores
from tests.common.trainings import tiny_config

from bertram.comparison.comparable import precision_notes
from bertram.config import Config, PretrainConfig
from bertram.errors import RunError
from bertram.experiments.schedule import train_run
from bertram.experiments.study_precision import settle_precision
from bertram.model import linear
from bertram.model.linear import Precision
from bertram.runs.directory import Run, create
from bertram.runs.record import write_record
from bertram.training import pretrain
from bertram.training.display import Silent
from bertram.training.precision import PRECISION, keep_precision, kept_precision
from bertram.training.pretraining import Pretraining
from bertram.training.train import train

Measure = Callable[[str], None]


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Measure:
    """A function that sets what a measurement gives from now on, on a processor with AVX512."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")

    def gives(precision: str) -> None:
        share = 0.5 if precision == "bf16" else 2.0
        monkeypatch.setattr(linear, "_seconds", lambda x, _: share if x.dtype == torch.bfloat16 else 1.0)

    return gives


def finished(path: Path, config: Config, precision: str) -> Run:
    run = create(path, config)
    write_record(path, replace(record_of(config, scores({})), precision=precision))
    return run


class Stopped(Exception):  # noqa: N818 - not an error
    """In the place of a kill."""


class StopsAtOnce(Silent):
    def begin(self, done: int, total: int) -> None:  # noqa: ARG002
        raise Stopped


@pytest.mark.slow
def test_a_run_that_is_resumed_before_its_first_checkpoint_keeps_its_precision(
    tiny_encoder: Path, tmp_path: Path, measure: Measure
) -> None:
    config = tiny_config(tiny_encoder, precision="auto", device="cpu", sampling={"epochs": 1})
    measure("bf16")
    with pytest.raises(Stopped):
        train(config, tmp_path / "run", display=StopsAtOnce())
    measure("fp32")
    assert train(config, tmp_path / "run", resume=True).record.precision == "bf16"
    assert not (tmp_path / "run" / "checkpoint").exists()
    keep_precision(tmp_path, "bf16")  # as a study does
    assert train_run(config, tmp_path / "other", Silent()).record.precision == "bf16"
    alone = train(config, tmp_path / "alone").record
    assert (alone.precision, alone.config_hash) == ("fp32", Run(tmp_path / "run").record.config_hash)


@pytest.mark.slow
def test_a_pretraining_that_is_resumed_keeps_its_precision(
    tiny_encoder: Path, tmp_path: Path, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tiny_encoder, precision="auto", device="cpu")
    begin, precisions = pretrain._begin, []

    def begin_and_note(config: Config, settings: PretrainConfig, precision: Precision, *more: Any) -> Pretraining:
        precisions.append(precision)
        return begin(config, settings, precision, *more)

    def stop(_: str) -> None:
        raise Stopped

    monkeypatch.setattr(pretrain, "_begin", begin_and_note)
    for resume, outcome in enumerate(("bf16", "fp32")):
        measure(outcome)
        with pytest.raises(Stopped):
            pretrain.pretrain(config, PretrainConfig(max_steps=1), tmp_path / "out", resume=bool(resume), say=stop)
    assert precisions == ["bf16", "bf16"]


def test_a_study_measures_once(tiny_encoder: Path, tmp_path: Path, measure: Measure) -> None:
    config = tiny_config(tiny_encoder, precision="auto", device="cpu")
    settle_precision(tmp_path / "fixed", [tiny_config(tiny_encoder, precision="fp32")], [])
    assert kept_precision(tmp_path / "fixed") is None
    for first, later in (("bf16", "fp32"), ("fp32", "bf16")):
        for outcome in (first, later):
            measure(outcome)
            settle_precision(tmp_path / first, [config], [])
        assert kept_precision(tmp_path / first) == first


def test_a_study_goes_on_in_the_precision_of_its_finished_runs(
    tiny_encoder: Path, tmp_path: Path, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tiny_encoder, precision="auto", device="cpu")
    for number, precision in enumerate(("fp32", "bf16", "fp32")):
        finished(tmp_path / str(number), config, precision)
    for number in range(3, 6):
        finished(tmp_path / str(number), tiny_config(tiny_encoder, precision="bf16"), "bf16")  # was asked for
    runs = [Run(tmp_path / str(number)) for number in range(6)]
    measure("bf16")
    settle_precision(tmp_path, [config], runs)
    assert kept_precision(tmp_path) == "fp32"
    (tmp_path / PRECISION).unlink()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    settle_precision(tmp_path, [config], runs[1:2])
    assert kept_precision(tmp_path) == "fp32"  # a processor without bf16


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / PRECISION).write_text('{"precision": "fp8"}')
    with pytest.raises(RunError, match=r"precision.json: damaged: precision = 'fp8'"):
        kept_precision(tmp_path)


def test_runs_of_different_precisions_get_a_note(tiny_encoder: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_encoder)
    runs = {name: finished(tmp_path / name, config, name[:4]) for name in ("fp32-a", "bf16-a", "bf16-b")}
    assert precision_notes(runs) == [
        "Precision of the matrix multiplications: fp32 in 1 run (fp32-a), bf16 in 2 runs (bf16-a, bf16-b); differences "
        "between these runs may come from it. --precision sets one."
    ]
    assert precision_notes({name: runs[name] for name in ("bf16-a", "bf16-b")}) == []
