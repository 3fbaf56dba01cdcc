"""The techniques reach the training as they are tested alone: what is masked, packed, weighted, seeded and added up."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.trainings import NO_DROPOUT, begin_training, tiny_config
from torch import Tensor

from bertram.data.examples import Batch
from bertram.label_spaces import YesNo
from bertram.model.multitask import Inputs
from bertram.model.outputs.cosine import CosineEmbeddingYesNo
from bertram.training.generators import make_generators, seeded_generator
from bertram.training.state import Training

CLS, SEP = 101, 102
STEP = 0.01
SMALL_STEP = {"unit": "absolute", "radius": 1.0, "noise_std": 1e-5, "step_size": STEP}  # one step inside the ball
BI = {"encoding": "bi", "head": "cosine"}


def first_batches(training: Training, count: int = 4) -> list[Batch]:
    return training.batches({name: torch.arange(count).numpy() for name in training.data.train})


def offsets(training: Training, batches: list[Batch]) -> tuple[Tensor, Inputs]:
    """The offset [N, H] of the last perturbed pass, and the packed inputs it belongs to."""
    seen: list[tuple[Tensor, Inputs]] = []
    network = training.model.network
    really = network.forward

    def watched(batches: Any, inputs: Any = None, *given: Any, **more: Any) -> Any:
        if more.get("offset") is not None:
            seen.append((more["offset"].detach(), inputs))
        return really(batches, inputs, *given, **more)

    network.forward = watched  # type: ignore[method-assign]
    training.context.objective(batches, None)
    return seen[-1]


@pytest.mark.parametrize("tasks", [["sst"], ["quora"], ["all"]])
def test_the_offset_leaves_cls_and_every_sep_alone_and_moves_all_other_tokens(
    tasks: list[str], tiny_encoder: Path
) -> None:
    config = tiny_config(tiny_encoder, model=NO_DROPOUT, smart={"tasks": tasks, **SMALL_STEP})
    training = begin_training(config)
    batches = [batch for batch in first_batches(training) if tasks == ["all"] or batch.task in tasks]
    offset, inputs = offsets(training, batches)
    special = (inputs.packed.token_ids == CLS) | (inputs.packed.token_ids == SEP)
    pairs = sum(len(batch) for batch in batches if batch.task != "sst")
    singles = sum(len(batch) for batch in batches if batch.task == "sst")
    assert int(special.sum()) == 3 * pairs + 2 * singles  # pairs are read together
    assert not offset[special].any()
    assert bool(offset[~special].any(1).all())


@pytest.mark.parametrize("encoding", [{}, BI])
def test_the_gradient_is_normalized_over_each_example(encoding: dict[str, Any], tiny_encoder: Path) -> None:
    """One step moves a single token of an example by the whole step; both texts of a pair are one example."""
    config = tiny_config(
        tiny_encoder, model=NO_DROPOUT, smart={"tasks": ["all"], **SMALL_STEP}, tasks={"sts": encoding}
    )
    training = begin_training(config)
    batches = first_batches(training)
    offset, _ = offsets(training, batches)
    largest = offset.abs().amax(1)
    whole = torch.isclose(largest, torch.tensor(STEP), rtol=5e-3)  # but for the noise
    examples = sum(len(batch) for batch in batches)
    assert float(largest.max()) == pytest.approx(STEP, rel=5e-3)
    assert examples == 12 <= int(whole.sum()) <= 14
    assert len(largest) > 5 * examples


@pytest.mark.parametrize("tasks", [["sst"], ["all"]])
def test_the_penalty_is_lambda_times_the_mean_divergence_of_the_task(tasks: list[str], tiny_encoder: Path) -> None:
    def penalties(weight: float) -> dict[str, float]:
        smart = {"tasks": tasks, **SMALL_STEP, "weight": weight}
        training = begin_training(tiny_config(tiny_encoder, model=NO_DROPOUT, smart=smart))
        losses = training.context.objective(first_batches(training), None)
        return {loss.batch.task: loss.penalty.item() for loss in losses if loss.penalty is not None}

    once, thrice = penalties(1.0), penalties(3.0)
    assert list(once) == (["sst"] if tasks == ["sst"] else ["sst", "quora", "sts"])
    for task, value in once.items():
        assert value > 0
        assert thrice[task] == pytest.approx(3 * value, rel=1e-4), task

    training = begin_training(tiny_config(tiny_encoder, model=NO_DROPOUT, smart={"tasks": tasks, **SMALL_STEP}))
    batches = [batch for batch in first_batches(training) if batch.task in once]
    network = training.model.network
    offset, inputs = offsets(training, batches)
    clean, perturbed = network(batches, inputs), network(batches, inputs, offset=offset)
    for batch, p, q in zip(batches, clean, perturbed, strict=True):
        expected = network.output(batch.task).divergence(p, q)
        assert once[batch.task] == pytest.approx(expected.item(), rel=1e-4)


def test_r_drop_averages_the_losses_of_both_passes(tiny_encoder: Path) -> None:
    training = begin_training(tiny_config(tiny_encoder, rdrop={"tasks": ["all"]}))
    batches, network = first_batches(training), training.model.network
    dropout = training.generators.dropout
    state = dropout.get_state()
    losses = training.context.objective(batches, None)
    dropout.set_state(state)
    (objective,) = {id(way): way for way in training.context.objective.of_task.values()}.values()
    outputs = network([*batches, *batches], dropout=objective.dropout)  # type: ignore[attr-defined]
    for number, (batch, loss) in enumerate(zip(batches, losses, strict=True)):
        assert batch.labels is not None
        first, second = (
            network.output(batch.task).losses(raw, batch.labels).mean().item()
            for raw in (outputs[number], outputs[len(batches) + number])
        )
        assert first != pytest.approx(second, rel=1e-4)  # ten times the tolerance below
        assert loss.loss.item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_uncertainty_weighs_the_penalties_too(tiny_encoder: Path) -> None:
    config = tiny_config(tiny_encoder, uncertainty_weighting=True, rdrop={"tasks": ["all"], "alpha": 5000.0})
    training = begin_training(config)
    objective = training.context.objective
    assert objective.log_variances is not None
    with torch.no_grad():
        for scalar in objective.log_variances.values():
            scalar.fill_(-0.5)
    for loss in objective(first_batches(training), None):
        assert loss.penalty is not None
        assert loss.penalty > 0.01 * loss.loss
        half = 0.5 if loss.batch.task == "sts" else 1.0
        expected = half * math.exp(0.5) * (loss.loss + loss.penalty) - 0.25
        assert objective.weighted(loss).item() == pytest.approx(expected.item(), rel=1e-5)


def test_every_purpose_has_random_numbers_of_its_own() -> None:
    generators = make_generators(3, torch.device("cpu"))
    streams = {
        name: torch.rand(64, generator=generator).tolist()
        for name, generator in [*vars(generators).items(), ("head", seeded_generator(3, "head sst"))]
    }
    names = list(streams)
    assert names == ["dropout", "noise", "surgery", "head"]
    for number, name in enumerate(names):
        for other in names[:number]:
            assert not set(streams[name]) & set(streams[other]), (name, other)


@pytest.mark.parametrize("purpose", ["dropout", "noise", "surgery"])
def test_another_seed_gives_other_random_numbers(purpose: str) -> None:
    first, other = (getattr(make_generators(seed, torch.device("cpu")), purpose) for seed in (3, 4))
    assert not torch.equal(torch.rand(64, generator=first), torch.rand(64, generator=other))


def test_cosines_of_the_embedding_loss_are_compared_in_units_of_their_range() -> None:
    output = CosineEmbeddingYesNo(YesNo(("0", "1"), ("no", "yes")), margin=0.0)
    assert output.divergence(torch.tensor([1.0]), torch.tensor([-1.0])).item() == 1.0
    assert output.divergence(torch.tensor([0.5]), torch.tensor([-0.5])).item() == 0.25
