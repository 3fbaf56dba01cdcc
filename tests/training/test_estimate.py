"""The estimate of a run agrees with what the run then does; its minutes are measured, so no test looks at them."""

import io
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tests.common.encoders import TINY
from tests.common.trainings import begin_training, tiny_config

from bertram.cli.show_estimate import estimate_table
from bertram.config import Config
from bertram.errors import ConfigError
from bertram.training import estimate as estimate_module
from bertram.training.estimate import estimate
from bertram.training.step import StepReport, step
from bertram.training.train import train


def tokens_of_all(config: Config) -> dict[str, int]:
    """Real tokens of one pass over each task's training examples."""
    return {
        name: sum(len(ids) for ids, _ in examples.batch(range(len(examples))).sequences)
        for name, examples in begin_training(config).data.train.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "more"),
    [
        ("joint", {}),
        ("joint", {"epoch_of": "sts"}),
        ("sequential", {}),
        pytest.param("worst-last", {}, marks=pytest.mark.slow),
        pytest.param("rotating", {"steps_per_epoch": 5}, marks=pytest.mark.slow),
        pytest.param("annealed", {}, marks=pytest.mark.slow),
        pytest.param("temperature", {"size_exponent": 0.3, "size_cap": 12}, marks=pytest.mark.slow),
    ],
)
def test_steps_examples_tokens_and_parameters_are_those_of_the_run(
    order: str, more: dict[str, Any], tiny_encoder: Path, tmp_path: Path
) -> None:
    config = tiny_config(
        tiny_encoder,
        tasks={
            "sst": {"max_train_samples": 40},
            "quora": {"encoding": "bi", "head": "cosine"},
            "sts": {"batch_size": 5},
        },
        sampling={"order": order, "epochs": 2, **more},
        optimizer={"embedding_update": "frozen"},
        evaluation={"max_eval_samples": 2},
    )
    estimated = estimate(config)
    record = train(config, tmp_path / "run").record
    assert estimated.steps == record["steps"]["taken"]
    assert estimated.steps_per_epoch == record["steps"]["per_epoch"]
    assert estimated.parameters == record["parameters"]["all"]
    assert estimated.trained_parameters == record["parameters"]["trained"]
    table_of_words = TINY.vocabulary * TINY.hidden  # which is frozen
    assert estimated.parameters - estimated.trained_parameters == table_of_words
    whole = tokens_of_all(config)
    for task, seen in record["examples_seen"].items():
        assert estimated.tasks[task].epoch_examples == seen / 2
        limit = config.tasks[task].max_train_samples
        assert limit is not None
        assert estimated.tasks[task].epoch_tokens == round(seen / 2 * whole[task] / limit)


@pytest.mark.slow
def test_an_estimate_uses_the_threads_and_leaves_no_files(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    used: list[int] = []

    def watched(*arguments: Any) -> StepReport:
        used.append(torch.get_num_threads())
        return step(*arguments)

    monkeypatch.setattr(estimate_module, "step", watched)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        estimated = estimate(tiny_config(tiny_encoder, evaluation={"max_eval_samples": 2}))
        assert set(used) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert list(tmp_path.iterdir()) == []
    assert (estimated.peak_memory_mib or 0) > 0
    assert math.isfinite(estimated.minutes)
    assert estimated.minutes == estimated.training_minutes + estimated.evaluation_minutes > 0


@pytest.mark.slow
def test_a_dry_run_shows_what_would_be_trained_on_what(tiny_encoder: Path) -> None:
    config = tiny_config(tiny_encoder, smart={"tasks": ["sst"]}, tasks={"sts": {"trained": False}}, seed=17)
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(estimate_table(config, estimate(config)))
    text = console.export_text()
    assert "seed = 17" in text
    rows = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[1:-1]]
        for line in text.splitlines()
        if "│" in line
    }
    assert rows["sst"][1:3] == ["24", "24"]
    assert rows["sst"][4:] == ["16", "cross-entropy", "linear"]
    assert rows["sts"][1:4] == ["0", "0", "0"]
    assert "steps       6 (3 an epoch)" in text
    assert "parameters  212,551, of which 212,551 are trained" in text


def test_what_cannot_work_is_refused_before_anything_is_measured(tiny_encoder: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.max_length: the encoder has 64 positions"):
        estimate(tiny_config(tiny_encoder, model={"max_length": 128}))
