"""One packed backward pass gives each task's gradient as backward passes of one task after the other do."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common import child_processes
from tests.common.models import PAIRS, TEXTS
from tests.common.quick import quick_only
from tests.common.trainings import (
    NO_DROPOUT,
    GradientRecorder,
    begin_training,
    copy_weights,
    equal_weights,
    step_gradients,
    take_steps,
    tiny_config,
)
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bertram import options, surgery
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.model.task_rows import TaskLeaves
from bertram.training.parameters import word_table
from bertram.training.state import Training
from bertram.training.step import _parts, combined, gramians_by_layer, packed_gradients, step, word_rows

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
    context.weighting = lambda _: weights
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


def assert_both_ways_train_alike(config: Config, steps: int = 2) -> None:
    """Some updates from one packed pass, and as many from one pass for each task."""
    packed, separate = (
        begin_training(options.change(config, surgery={"gradients": gradients}))
        for gradients in ("packed", "task-by-task")
    )
    for packed_step, separate_step in zip(take_steps(packed, steps), take_steps(separate, steps), strict=True):
        assert separate_step.gradient_norm == pytest.approx(packed_step.gradient_norm, rel=1e-4)
        for task, figures in packed_step.losses.items():  # SMART's other figures are those of a whole pass
            other = separate_step.losses[task]
            assert other["loss"] == pytest.approx(figures["loss"], rel=1e-5)
            assert other.get("penalty", 0.0) == pytest.approx(figures.get("penalty", 0.0), rel=1e-3, abs=1e-7)
        for layer, expected in zip(separate_step.layer_gramians, packed_step.layer_gramians, strict=True):
            torch.testing.assert_close(layer, expected, rtol=1e-3, atol=1e-6)
    for name, weight in copy_weights(packed).items():
        torch.testing.assert_close(weight, copy_weights(separate)[name], rtol=1e-4, atol=1e-6)


SLOWLY = {"optimizer": {"eps": 1e-3}}  # an update that does not turn the rounding of a small gradient into a step


@pytest.mark.parametrize("method", quick_only({"pcgrad", "mgda"}, surgery.methods()))
def test_a_pass_for_each_task_trains_as_the_packed_pass_with_every_rule(method: str, tiny_encoder: Path) -> None:
    if method == "nash-mtl":
        pytest.importorskip("ecos")
    rule = {"method": method, "main_task": "sst"}
    assert_both_ways_train_alike(tiny_config(tiny_encoder, surgery=rule, model=NO_DROPOUT, **SLOWLY), 1)


@pytest.mark.parametrize("method", quick_only({"pcgrad"}, ["pcgrad", "gradvac", "config"]))
@pytest.mark.parametrize("granularity", quick_only({"layer"}, ["encoder", "layer"]))
def test_it_does_so_for_several_updates_and_by_layer(method: str, granularity: str, tiny_encoder: Path) -> None:
    rule = {"method": method, "granularity": granularity}
    assert_both_ways_train_alike(tiny_config(tiny_encoder, surgery=rule, model=NO_DROPOUT, **SLOWLY), 3)


@pytest.mark.parametrize(
    "technique", quick_only({"smart", "accumulation"}, [name for name in TECHNIQUES if name != "plain"])
)
def test_it_does_so_with_every_technique(technique: str, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child_processes.fix_noise(monkeypatch.setattr)
    changes = options.merge(TECHNIQUES[technique], {"model": NO_DROPOUT, "surgery": {"method": "pcgrad"}, **SLOWLY})
    assert_both_ways_train_alike(tiny_config(tiny_encoder, **changes))


class Kept:
    """A tensor that a graph keeps for its backward pass; counts the elements of all that are alive."""

    alive, most = 0, 0

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        Kept.alive += tensor.numel()
        Kept.most = max(Kept.most, Kept.alive)

    def __del__(self) -> None:
        Kept.alive -= self.tensor.numel()


def most_kept(action: Callable[[], object]) -> int:
    """The most elements that graphs keep at a time."""
    Kept.most = Kept.alive
    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        action()
    return Kept.most


def test_a_pass_for_each_task_has_the_activations_of_one_task_in_memory(tiny_encoder: Path) -> None:
    """The most elements that the graphs of a step keep at a time."""
    kept = {}
    for gradients in ("packed", "task-by-task"):
        rule = {"method": "pcgrad", "gradients": gradients}
        training = begin_training(tiny_config(tiny_encoder, surgery=rule, model={"encoder_dropout": 0.0}))
        kept[gradients] = most_kept(partial(take_steps, training, 1))
    assert kept["task-by-task"] < 0.6 * kept["packed"]


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


@pytest.mark.parametrize("technique", quick_only({"plain", "smart"}, list(TECHNIQUES)))
def test_watched_at_every_step_the_update_is_the_same_up_to_rounding(technique: str, tiny_encoder: Path) -> None:
    changes = options.merge(TECHNIQUES[technique], {"optimizer": {"max_grad_norm": 0.0}})
    watched, plain = (begin_training(tiny_config(tiny_encoder, **changes)) for _ in range(2))
    watched.model.network.double()  # so that little is lost by rounding
    plain.model.network.double()
    batches = first_batches(plain)
    of_tasks = flat(task_by_task(plain, batches))
    largest = max(float(g.abs().max()) for of_task in of_tasks for g in of_task if g is not None)
    gradients = []
    for training, how in ((watched, {"watch": True, "exact": False}), (plain, {})):
        recorder = GradientRecorder(training.context)
        training.context.optimizer = recorder  # type: ignore[assignment]
        report = step(training.context, batches, **how)
        gradients.append(recorder.gradients)
        assert len(report.layer_gramians) == (4 if how else 0)
    for name, gradient in gradients[1].items():
        other = gradients[0][name]
        assert (other is None) == (gradient is None), name
        if gradient is not None and other is not None:
            assert float((other - gradient).abs().max()) <= 1e-6 * largest, name


def test_watching_at_every_step_multiplies_as_much_as_a_plain_step(tiny_encoder: Path) -> None:
    counts = []
    for options_of_step in ({}, {"watch": True, "exact": False}):
        training = begin_training(tiny_config(tiny_encoder))
        with FlopCounterMode(display=False) as counter:
            step(training.context, first_batches(training), **options_of_step)
        counts.append(counter.get_total_flops())
    assert counts[0] <= counts[1] <= 1.05 * counts[0]


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
