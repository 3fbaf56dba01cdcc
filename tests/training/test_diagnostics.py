"""Looks at a training that tell the truth and change nothing, and warnings where a technique does nothing."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common import trainings
from tests.common.trainings import NO_DROPOUT, begin_training, copy_weights, equal_weights, take_steps, tiny_config
from torch import Tensor

from bertram.training.diagnostics import IDLE_STEPS, Idle, conflicts
from bertram.training.step import StepReport, packed_gradients

PEACE, CONFLICT = torch.eye(2), torch.tensor([[1.0, -0.5], [-0.5, 1.0]])


def test_a_look_at_conflicts_changes_neither_weights_nor_generators(tiny_encoder: Path) -> None:
    training = begin_training(
        tiny_config(tiny_encoder, smart={"tasks": ["sst"]}, rdrop={"tasks": ["quora"]}, uncertainty_weighting=True)
    )
    take_steps(training, 1)
    before = copy_weights(training), {n: g.get_state() for n, g in vars(training.generators).items()}
    batches = training.batches(training.sampler.next())
    found = conflicts(training.context, batches, training.generators)
    assert equal_weights(copy_weights(training), before[0])
    assert equal_weights({n: g.get_state() for n, g in vars(training.generators).items()}, before[1])
    assert all(parameter.grad is None for parameter in training.model.network.parameters())
    assert conflicts(training.context, batches, training.generators) == found


def test_conflicts_are_those_of_the_tasks_gradients(tiny_encoder: Path) -> None:
    training = begin_training(tiny_config(tiny_encoder, model=NO_DROPOUT))
    batches = training.batches(training.sampler.next())
    found = conflicts(training.context, batches, training.generators)

    def flat(task: int) -> Tensor:
        gradients = packed_gradients(training.context, [batches[task]], None).shared
        return torch.cat([g.flatten().double() for g in gradients.values() if g is not None])

    whole = [flat(task) for task in range(3)]
    assert found["tasks"] == ["sst", "quora", "sts"]
    assert found["norms"] == pytest.approx([float(g.norm()) for g in whole], rel=1e-4)
    for i in range(3):
        for j in range(3):
            cosine = float(torch.cosine_similarity(whole[i], whole[j], dim=0))
            assert found["cosines"][i][j] == pytest.approx(cosine, abs=1e-4)
    negative = sum(found["cosines"][i][j] < 0 for i in range(3) for j in range(i))
    assert found["conflict_rate"] == pytest.approx(negative / 3)

    layers = found["layers"]
    assert len(layers) == 4  # embeddings, two layers, and the pooler, which mean pooling does not use
    assert layers[-1] == {"cosines": [[None] * 3] * 3, "norms": [0.0] * 3}
    for task in range(3):
        together = math.sqrt(sum(layer["norms"][task] ** 2 for layer in layers))
        assert together == pytest.approx(found["norms"][task], rel=1e-4)


@pytest.mark.slow
def test_the_log_shows_gradients_and_perturbations_every_so_many_steps(tiny_encoder: Path, tmp_path: Path) -> None:
    from bertram.training.train import train

    config = tiny_config(
        tiny_encoder, smart={"tasks": ["sst"], "radius": 0.5}, log={"logging_steps": 2, "diagnostics_steps": 3}
    )
    train(config, tmp_path / "run")
    assert [line["step"] for line in trainings.logged_lines(tmp_path / "run", "conflicts")] == [3, 6]
    steps = trainings.logged_lines(tmp_path / "run", "losses")
    assert [line["step"] for line in steps] == [2, 4, 6]
    for line in steps:
        figures = line["losses"]["sst"]
        assert 0 <= figures["smart/divergence_before"] < figures["smart/divergence_after"]
        assert 0 < figures["smart/gradient_cosine"] <= 1
        assert figures["smart/radius"] > 0
        assert figures["penalty"] == pytest.approx(figures["smart/penalty"])
        assert not [name for task in ("quora", "sts") for name in line["losses"][task] if name.startswith("smart")]


# ------------------------------------------------------------------------------------------ idle techniques


def idle(tmp_path: Path, **changes: Any) -> Idle:
    return Idle(tiny_config(tmp_path, **changes))


def said(watcher: Idle, *gramians: Tensor, **penalties: float) -> list[str]:
    losses = {task: {"loss": 2.0, "smart/penalty": penalty} for task, penalty in penalties.items()}
    return list(watcher.watch(StepReport(losses, 1.0, gramians)))


def test_surgery_without_a_conflict_in_500_steps_is_reported_once(tmp_path: Path) -> None:
    watcher = idle(tmp_path, surgery={"method": "pcgrad"})
    early = [line for _ in range(IDLE_STEPS - 1) for line in said(watcher, PEACE)]
    assert early == []
    (warning,) = said(watcher, PEACE)
    assert warning == "surgery does nothing: no two gradients were in conflict in 500 steps"
    assert [line for _ in range(2 * IDLE_STEPS) for line in said(watcher, PEACE)] == []


def test_a_conflict_starts_the_count_again_and_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    watcher = idle(tmp_path, surgery={"method": "pcgrad"})
    for _ in range(IDLE_STEPS - 1):
        assert said(watcher, PEACE) == []
    assert said(watcher, CONFLICT) == []
    for _ in range(IDLE_STEPS - 1):
        assert said(watcher, PEACE) == []
    again = idle(tmp_path, surgery={"method": "pcgrad"})
    again.load_state_dict(watcher.state_dict())
    assert len(said(again, PEACE)) == 1
    once_more = idle(tmp_path, surgery={"method": "pcgrad"})
    once_more.load_state_dict(again.state_dict())
    assert said(once_more, PEACE) == []


def test_a_conflict_in_one_layer_counts(tmp_path: Path) -> None:
    watcher = idle(tmp_path, surgery={"method": "pcgrad", "granularity": "layer"})
    small = CONFLICT / 100  # in the sum of the layers it would not be seen
    assert [line for _ in range(IDLE_STEPS + 1) for line in said(watcher, PEACE, small)] == []
    assert len([line for _ in range(IDLE_STEPS + 1) for line in said(watcher, PEACE, PEACE)]) == 1


@pytest.mark.parametrize("method", ["gradvac", "mgda", "mean"])
def test_methods_that_change_gradients_without_a_conflict_are_never_called_idle(tmp_path: Path, method: str) -> None:
    watcher = idle(tmp_path, surgery={"method": method})
    assert [line for _ in range(IDLE_STEPS + 1) for line in said(watcher, PEACE)] == []


def test_a_penalty_far_below_the_loss_is_reported_once(tmp_path: Path) -> None:
    watcher = idle(tmp_path, smart={"tasks": ["sst", "sts"]})
    assert said(watcher, sst=1e-7, sts=1e-3) == []
    (warning,) = said(watcher, sst=1e-7, sts=1e-6)
    assert warning == "SMART does nothing: its penalty is 5.0e-07 of the loss; use a larger smart.radius"
    assert said(watcher, sst=1e-7, sts=1e-7) == []


def test_r_drop_without_dropout_is_reported(tiny_encoder: Path) -> None:
    for rate, warnings in ((0.0, ["R-Drop does nothing"]), (0.1, [])):
        model = {"dropout": rate, "encoder_dropout": 0.0}
        training = begin_training(tiny_config(tiny_encoder, model=model, rdrop={"tasks": ["sst"]}))
        (report,) = take_steps(training, 1)
        assert [line.split(":")[0] for line in training.idle.watch(report)] == warnings


def test_what_is_switched_off_is_not_reported(tmp_path: Path) -> None:
    watcher = idle(tmp_path)
    assert [line for _ in range(IDLE_STEPS + 1) for line in said(watcher, PEACE, sst=0.0)] == []


def test_the_paper_s_radius_is_reported_by_a_training(tiny_encoder: Path) -> None:
    paper = {"tasks": ["sst"], "unit": "absolute", "radius": 1e-5, "noise_std": 1e-5, "step_size": 1e-3}
    training = begin_training(tiny_config(tiny_encoder, smart=paper))
    (report,) = take_steps(training, 1)
    assert [line.split(":")[0] for line in training.idle.watch(report)] == ["SMART does nothing"]
