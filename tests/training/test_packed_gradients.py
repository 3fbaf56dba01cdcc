"""One packed backward pass gives each task's gradient as backward passes of one task after the other do."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.models import PAIRS, TEXTS
from tests.common.quick import quick_only
from tests.common.trainings import (
    NO_DROPOUT,
    begin_training,
    copy_weights,
    equal_weights,
    step_gradients,
    take_steps,
    tiny_config,
)
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bertram import surgery
from bertram.data.examples import Batch
from bertram.model.task_rows import TaskLeaves
from bertram.training.parameters import word_table
from bertram.training.state import Training
from bertram.training.step import (
    Gradients,
    _parts,
    combined,
    gramians_by_layer,
    packed_gradients,
    step,
    update,
    word_rows,
)

ByTask = dict[str, dict[str, Tensor | None]]
BI = {"encoding": "bi", "head": "cosine"}
TECHNIQUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "first tokens": {"model": {"pooling": "cls"}},
    "pooler": {"model": {"pooling": "pooler"}},
    "pairs text by text": {"tasks": {"quora": BI, "sts": {"encoding": "bi", "head": "features"}}},
    "dense": {"optimizer": {"embedding_update": "dense"}},
    "frozen words": {"optimizer": {"embedding_update": "frozen"}},
    "accumulation": {"sampling": {"gradient_accumulation_steps": 3}},
    "smart": {"smart": {"tasks": ["sst"], "radius": 0.5}},
    "smart on all": {"smart": {"tasks": ["all"], "radius": 0.5, "bregman": "momentum"}},
    "smart-pytorch": {"smart": {"tasks": ["sst"], "variant": "smart-pytorch"}},
    "rdrop": {"rdrop": {"tasks": ["quora"]}},
    "uncertainty": {"uncertainty_weighting": True},
}


def task_by_task(training: Training, batches: list[Batch]) -> ByTask:
    """Each task's gradient of the shared parameters, by a pass and a backward pass of its loss alone.

    The pass has all tasks in it, so that each draws the masks and the noise that it draws in the packed pass.
    """
    context = training.context
    drawn_from = (training.generators.dropout, training.generators.noise)
    states = [generator.get_state() for generator in drawn_from]
    words = word_rows(context, batches)
    leaves: dict[str, Tensor] = dict(context.shared)
    if words is not None:
        leaves[word_table(context.network)] = words.rows
    gradients: ByTask = {}
    for number, batch in enumerate(batches):
        for generator, state in zip(drawn_from, states, strict=True):
            generator.set_state(state)
        total: dict[str, Tensor | None] = dict.fromkeys(leaves)
        for part in _parts(batches, context.parts):
            loss = context.objective(part, words)[number]
            cost = loss.batch.share * context.objective.weighted(loss)
            for name, gradient in zip(
                leaves, torch.autograd.grad(cost, list(leaves.values()), allow_unused=True), strict=True
            ):
                past = total[name]
                total[name] = gradient if past is None or gradient is None else past + gradient
        gradients[batch.task] = total
    for generator, state in zip(drawn_from, states, strict=True):
        generator.set_state(state)
    return gradients


def first_batches(training: Training) -> list[Batch]:
    return training.batches({name: torch.arange(8).numpy() for name in training.sampler.pools})


def assert_close(gradients: ByTask, expected: ByTask, tolerance: float = 1e-6) -> None:
    """The gradients of each parameter differ by rounding only, measured on the task's largest gradient."""
    assert gradients.keys() == expected.keys()
    for task, of_task in expected.items():
        largest = max(float(g.abs().max()) for g in of_task.values() if g is not None)
        for name, gradient in of_task.items():
            packed = gradients[task][name]
            assert (packed is None) == (gradient is None), name
            if packed is not None and gradient is not None:
                assert packed.shape == gradient.shape
                assert float((packed - gradient).abs().max()) <= tolerance * largest, name


def flat(gradients: ByTask) -> list[list[Tensor | None]]:
    return [list(of_task.values()) for of_task in gradients.values()]


def assert_same_gradients(training: Training) -> None:
    """Gradients, Gramian and combined gradient of the packed pass are those of one task after the other."""
    batches, context = first_batches(training), training.context
    take_steps(training, 1)  # so that a teacher of earlier weights has something to say
    expected = task_by_task(training, batches)
    packed = packed_gradients(context, batches, word_rows(context, batches), TaskLeaves())
    assert_close(packed.by_task, expected)
    gramians = gramians_by_layer(context, packed)
    whole = torch.stack(gramians).sum(0)
    scale = surgery.norms(surgery.gramian(flat(expected)))
    error = (whole - surgery.gramian(flat(expected))).abs() / scale[:, None] / scale[None, :]
    assert float(error.max()) <= 1e-6
    weights = torch.tensor([1.0, -0.5, 0.25], dtype=torch.float64)
    context.weighting, context.layers = (lambda _: weights), None
    total, _ = combined(context, packed, gramians)
    largest = max(float(g.abs().max()) for g in flat(expected)[0] if g is not None)
    for name, other in zip(context.shared, surgery.weighted_sum(flat(expected), weights), strict=True):
        gradient = total[name]
        assert (gradient is None) == (other is None)
        if gradient is not None and other is not None:
            assert float((gradient - other).abs().max()) <= 1e-6 * largest


@pytest.mark.parametrize("technique", quick_only({"plain", "smart on all"}, TECHNIQUES))
def test_gradients_gramian_and_their_sum_are_those_of_one_task_after_the_other(
    technique: str, tiny_encoder: Path
) -> None:
    surgery_on = {"surgery": {"method": "pcgrad"}}
    assert_same_gradients(begin_training(tiny_config(tiny_encoder, **surgery_on, **TECHNIQUES[technique])))


@pytest.mark.parametrize(
    "family", quick_only({"distilbert"}, ["roberta", "mpnet", "distilbert", "electra", "modernbert"])
)
@pytest.mark.parametrize("pooling", quick_only({"mean"}, ["mean", "cls"]))
def test_the_layers_of_every_family_give_them(family: str, pooling: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tests.common.families import save_peer, save_tokenizer

    save_peer(family, tmp_path)
    save_tokenizer(family, tmp_path, [*TEXTS, *(text for pair in PAIRS for text in pair)])
    config = tiny_config(
        tmp_path,
        model={"pooling": pooling, "encoder_dropout": 0.1},
        surgery={"method": "pcgrad"},
        smart={"tasks": ["sst"]},
    )
    assert_same_gradients(begin_training(config))


@pytest.mark.parametrize("method", quick_only({"pcgrad"}, ["pcgrad", "gradvac", "asymmetric", "config", "mgda"]))
@pytest.mark.parametrize("granularity", quick_only({"layer"}, ["encoder", "layer"]))
def test_without_dropout_a_training_is_that_of_separate_passes(
    method: str, granularity: str, tiny_encoder: Path
) -> None:
    """Three updates with each rule; the reference packs each task alone, as its own step would."""
    changes = {"surgery": {"method": method, "granularity": granularity, "main_task": "sst"}, "model": NO_DROPOUT}
    config = tiny_config(tiny_encoder, optimizer={"eps": 1e-3}, **changes)
    packed, separate = begin_training(config), begin_training(config)
    take_steps(packed, 3)
    for _ in range(3):
        context = separate.context
        batches = separate.batches(separate.sampler.next())
        words = word_rows(context, batches)
        groups = [packed_gradients(context, [batch], words) for batch in batches]
        by_task = {batch.task: group.shared for batch, group in zip(batches, groups, strict=True)}
        gradients = Gradients({}, by_task, {}, {})
        shared, _ = combined(context, gradients, gramians_by_layer(context, gradients))

        update(context, batches, shared | {n: g for group in groups for n, g in group.own.items()}, words)
    for name, weight in copy_weights(packed).items():
        torch.testing.assert_close(weight, copy_weights(separate)[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("technique", quick_only({"plain"}, ["plain", "smart", "accumulation", "dense"]))
def test_gramians_that_are_only_watched_change_no_bit_of_a_step(technique: str, tiny_encoder: Path) -> None:
    config = tiny_config(tiny_encoder, **TECHNIQUES[technique])
    watched, plain = begin_training(config), begin_training(config)
    for _ in range(2):
        places = watched.sampler.next()
        plain.sampler.next()
        report = step(watched.context, watched.batches(places), watch=True)
        step(plain.context, plain.batches(places))
        assert len(report.layer_gramians) == 4
    assert equal_weights(copy_weights(watched), copy_weights(plain))


def test_bf16_gradients_are_those_of_fp32_to_its_rounding(tiny_encoder: Path) -> None:
    gradients = {}
    for precision in ("fp32", "bf16"):
        training = begin_training(tiny_config(tiny_encoder, precision=precision, surgery={"method": "pcgrad"}))
        batches = first_batches(training)
        gradients[precision] = packed_gradients(training.context, batches, None, TaskLeaves()).by_task
    for task, of_task in gradients["fp32"].items():
        for name, gradient in of_task.items():
            rounded = gradients["bf16"][task][name]
            if gradient is not None and rounded is not None and "key_value.bias" not in name:
                assert float((gradient - rounded.float()).norm()) <= 0.05 * float(gradient.norm()) + 1e-5, name


@pytest.mark.slow
def test_surgery_multiplies_as_much_as_a_plain_step(tiny_encoder: Path) -> None:
    """The same products, cut by rows; SMART's ascent asks for none of the weights' gradients."""
    counts = {}
    for method in ("none", "pcgrad"):
        training = begin_training(tiny_config(tiny_encoder, surgery={"method": method}, smart={"tasks": ["sst"]}))
        with FlopCounterMode(display=False) as counter:
            step_gradients(training)
        counts[method] = counter.get_total_flops()
    assert counts["none"] <= counts["pcgrad"] <= 1.02 * counts["none"]
