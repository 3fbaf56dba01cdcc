"""One update: what the parts of a batch, the surgery and the heads contribute to it, and when it is refused."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.common import child_processes, trainings
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
from torch import Tensor, nn
from torch.nn import functional as F

from bertram import surgery
from bertram.errors import TrainingError
from bertram.optimizer import global_norm
from bertram.training import setup
from bertram.training.generators import make_generators
from bertram.training.parameters import by_layer
from bertram.training.state import Training
from bertram.training.step import packed_gradients, step

Gradients = dict[str, Tensor | None]
EMBEDDINGS = (
    "word_embeddings", "position_embeddings", "segment_embeddings", "embedding_norm.weight", "embedding_norm.bias",
)  # fmt: skip
TECHNIQUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "dense": {"optimizer": {"embedding_update": "dense"}},
    "pcgrad": {"surgery": {"method": "pcgrad"}},
    "pcgrad by layer": {"surgery": {"method": "pcgrad", "granularity": "layer"}},
    "smart": {"smart": {"tasks": ["sst", "sts"], "radius": 0.5}},
    "smart and pcgrad": {"smart": {"tasks": ["all"]}, "surgery": {"method": "pcgrad"}},
    "bregman": {"smart": {"tasks": ["all"], "bregman": "momentum"}},
    "rdrop": {"rdrop": {"tasks": ["all"]}},
    "uncertainty": {"uncertainty_weighting": True},
}


def assert_alike(found: Gradients, expected: Gradients, tolerance: float = 2e-5) -> None:
    """The same parameters have a gradient, and these differ by rounding only, measured on the largest of all."""
    assert {n for n, g in found.items() if g is None} == {n for n, g in expected.items() if g is None}
    largest = max(float(g.abs().max()) for g in expected.values() if g is not None)
    for name, gradient in expected.items():
        other = found[name]
        if gradient is not None and other is not None:
            assert float((gradient - other).abs().max()) <= tolerance * largest, name


@pytest.mark.parametrize("technique", quick_only({"plain"}, TECHNIQUES))
def test_accumulation_gives_the_gradients_of_the_whole_batch(
    technique: str, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child_processes.fix_noise(monkeypatch.setattr)
    training = begin_training(tiny_config(tiny_encoder, model=NO_DROPOUT, **TECHNIQUES[technique]))
    surgery_state = training.generators.surgery.get_state()

    def gradients(size: int, parts: int) -> tuple[Gradients, Any]:
        training.context.parts = parts
        training.generators.surgery.set_state(surgery_state)
        return step_gradients(training, size)

    for size, several in {8: (4, 8), 7: (3,), 2: (3,)}.items():
        whole, report = gradients(size, 1)
        for parts in several:
            accumulated, report_of_parts = gradients(size, parts)
            assert_alike(accumulated, whole)
            assert report_of_parts.gradient_norm == pytest.approx(report.gradient_norm, rel=1e-5)
            for task, figures in report.losses.items():
                assert report_of_parts.losses[task]["loss"] == pytest.approx(figures["loss"], rel=1e-5)


def reference_losses(training: Training, batches: list[list[Any]], rate: float, head_rate: float) -> list[list[float]]:
    """The losses of some steps by Hugging Face's BERT on padded batches and AdamW as its equation stands."""
    from transformers import BertModel

    network = training.model.network
    bert: nn.Module = BertModel.from_pretrained(training.config.encoder, add_pooling_layer=False)
    bert.eval().double()
    heads = {name: copy.deepcopy(head.compare) for name, head in network.task_heads()}
    parameters = [(p, rate) for p in bert.parameters()]
    parameters += [(p, head_rate) for head in heads.values() for p in head.double().parameters()]
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p, _ in parameters]
    found = []
    for t, several in enumerate(batches, 1):
        losses = []
        for batch in several:
            tokens = [torch.tensor(ids) for ids, _ in batch.sequences]
            padded = nn.utils.rnn.pad_sequence(tokens, batch_first=True)
            segments = nn.utils.rnn.pad_sequence([torch.tensor(s) for _, s in batch.sequences], batch_first=True)
            real = nn.utils.rnn.pad_sequence([torch.ones_like(ids) for ids in tokens], batch_first=True)
            hidden = bert(padded, attention_mask=real, token_type_ids=segments).last_hidden_state
            pooled = (hidden * real[..., None]).sum(1) / real.sum(1, keepdim=True)
            raw, labels = heads[batch.task](pooled), batch.labels.double()
            if batch.task == "sst":
                losses.append(F.cross_entropy(raw, labels.long()))
            elif batch.task == "quora":
                losses.append(F.binary_cross_entropy_with_logits(raw[:, 0], labels))
            else:
                losses.append(F.mse_loss(5 * torch.sigmoid(raw[:, 0]), labels))
        found.append([float(loss.detach()) for loss in losses])
        gradients = torch.autograd.grad(torch.stack(losses).sum(), [p for p, _ in parameters])
        with torch.no_grad():
            for (p, lr), (m, v), g in zip(parameters, moments, gradients, strict=True):
                m.lerp_(g, 0.1)
                v.lerp_(g * g, 0.001)
                p.sub_(lr * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (v.sqrt() + 1e-6))
    return found


# What the plain loop above gives for seed 0 and the first four batches of the sample: sst, quora, sts.
GOLDEN = [
    [1.62398, 0.69619, 2.70850],
    [1.56082, 0.69387, 2.50365],
    [1.76495, 0.69184, 3.55174],
    [1.46049, 0.67099, 3.31821],
]


@pytest.mark.slow
def test_losses_are_those_of_a_plain_loop_with_hugging_face_s_bert(tiny_encoder: Path) -> None:
    as_it_stands = {"embedding_update": "dense", "max_grad_norm": 0.0, "weight_decay": 0.0}
    config = tiny_config(tiny_encoder, model=NO_DROPOUT, optimizer=as_it_stands)
    fresh = begin_training(config)
    batches = [fresh.batches(fresh.sampler.next()) for _ in range(4)]
    expected = reference_losses(fresh, batches, config.optimizer.lr, config.optimizer.head_lr)
    assert np.array(expected) == pytest.approx(np.array(GOLDEN), rel=1e-4)
    for parts in (1, 4):
        training = begin_training(config)
        training.context.parts = parts
        found = [[figures["loss"] for figures in report.losses.values()] for report in take_steps(training, 4)]
        assert np.array(found) == pytest.approx(np.array(expected), rel=1e-4)


@pytest.mark.parametrize("method", quick_only({"pcgrad"}, ["pcgrad", "gradvac", "mgda"]))
@pytest.mark.parametrize("granularity", quick_only({"layer"}, ["encoder", "layer"]))
def test_surgery_combines_the_shared_gradients_of_each_task_and_leaves_heads_alone(
    method: str, granularity: str, tiny_encoder: Path
) -> None:
    config = tiny_config(
        tiny_encoder,
        model=NO_DROPOUT,
        optimizer={"max_grad_norm": 0.0},
        surgery={"method": method, "granularity": granularity},
    )
    found, report = step_gradients(begin_training(config))
    alone = {}
    for task in config.tasks:
        training = begin_training(config)
        training.context.weighting = None
        recorder = trainings.GradientRecorder(training.context)
        training.context.optimizer = recorder  # type: ignore[assignment]
        step(training.context, training.batches({task: torch.arange(8).numpy()}))
        alone[task] = recorder.gradients

    for task, gradients in alone.items():
        heads = [name for name in found if name.startswith(f"heads.{task}.")]
        assert heads
        assert_alike({n: found[n] for n in heads}, {n: gradients[n] for n in heads})

    shared = [name for name in found if name.startswith("encoder.")]
    of_tasks = [[alone[task][name] for name in shared] for task in config.tasks]
    assert_alike(
        {n: found[n] for n in shared},
        dict(zip(shared, combined_by_name(config, shared, of_tasks, granularity), strict=True)),
    )
    assert (len(report.gramians) == 1) == (granularity == "encoder")
    whole = torch.stack(list(report.gramians)).sum(0)
    torch.testing.assert_close(whole, surgery.gramian(of_tasks), rtol=1e-4, atol=1e-8)


def combined_by_name(config: Any, shared: list[str], of_tasks: list[list[Tensor | None]], granularity: str) -> Any:
    """Surgery on gradients by name, with layers told by their names."""
    weigh = setup.weighting(config, make_generators(config.seed, torch.device("cpu")).surgery)
    if granularity == "encoder":
        return surgery.combine(of_tasks, weigh)

    def layer(name: str) -> str:
        part = name.split(".")
        return f"layer {part[2]}" if part[1] == "layers" else "pooler" if part[1] == "pooler" else "embeddings"

    names = ["embeddings", "layer 0", "layer 1", "pooler"]
    groups = [[i for i, name in enumerate(shared) if layer(name) == one] for one in names]
    several = [setup.weighting(config, weigh.generator) if hasattr(weigh, "generator") else weigh for _ in groups]
    return surgery.combine(of_tasks, several, groups)


@pytest.mark.parametrize("method", ["none", "pcgrad"])
def test_weights_that_no_task_uses_get_no_gradient_and_do_not_decay(method: str, tiny_encoder: Path) -> None:
    config = tiny_config(tiny_encoder, surgery={"method": method}, optimizer={"weight_decay": 0.1})
    gradients, _ = step_gradients(begin_training(config))
    assert {name for name, gradient in gradients.items() if gradient is None} == {
        "encoder.pooler.weight",
        "encoder.pooler.bias",
    }
    training = begin_training(config)
    before = copy_weights(training)
    take_steps(training, 2)
    after = copy_weights(training)
    unmoved = {name for name in before if torch.equal(before[name], after[name])}
    assert unmoved == {"encoder.pooler.weight", "encoder.pooler.bias"}


def test_only_the_word_embeddings_of_a_step_move(tiny_encoder: Path) -> None:
    training = begin_training(tiny_config(tiny_encoder))
    before = copy_weights(training)["encoder.word_embeddings"]
    places = training.sampler.next()
    batches = training.batches(places)
    step(training.context, batches)
    moved = (copy_weights(training)["encoder.word_embeddings"] != before).any(1).nonzero().flatten().tolist()
    assert set(moved) == {token for batch in batches for tokens, _ in batch.sequences for token in tokens}


@pytest.mark.parametrize("method", ["none", "pcgrad"])
def test_the_gradient_is_clipped_after_surgery(method: str, tiny_encoder: Path) -> None:
    free, report = step_gradients(begin_training(tiny_config(tiny_encoder, model=NO_DROPOUT, surgery={"method": method},
                                                 optimizer={"max_grad_norm": 0.0})))  # fmt: skip
    limit = report.gradient_norm / 3
    clipped, report_of_clipped = step_gradients(
        begin_training(
            tiny_config(tiny_encoder, model=NO_DROPOUT, surgery={"method": method}, optimizer={"max_grad_norm": limit})
        )
    )
    assert report.gradient_norm == pytest.approx(global_norm(free.values()), rel=1e-6)
    assert report_of_clipped.gradient_norm == pytest.approx(report.gradient_norm, rel=1e-6)
    assert_alike(clipped, {name: None if g is None else g / 3 for name, g in free.items()})


@pytest.mark.parametrize("technique", ["plain", "pcgrad", "smart"])
def test_a_loss_that_is_not_finite_is_refused_and_leaves_the_weights_alone(technique: str, tiny_encoder: Path) -> None:
    training = begin_training(tiny_config(tiny_encoder, **TECHNIQUES[technique]))
    take_steps(training, 1)
    head = training.model.network.head("quora").compare
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight[0, 0] = math.inf
    before, places = copy_weights(training), training.sampler.next()
    with pytest.raises(TrainingError, match="the loss is not finite") as refused:
        step(training.context, training.batches(places))
    text = str(refused.value)
    assert "task quora" in text
    assert "sst" not in text
    for example in training.data.train["quora"].batch(places["quora"]).ids:
        assert example in text
    assert equal_weights(copy_weights(training), before)
    assert all(parameter.grad is None for parameter in training.model.network.parameters())


def break_gradient(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
    output.register_hook(lambda gradient: gradient / 0)


@pytest.mark.parametrize("technique", ["plain", "pcgrad"])
def test_a_gradient_that_is_not_finite_is_refused_and_leaves_the_weights_alone(
    technique: str, tiny_encoder: Path
) -> None:
    training = begin_training(tiny_config(tiny_encoder, **TECHNIQUES[technique]))
    take_steps(training, 1)
    before, places = copy_weights(training), training.sampler.next()
    norm = training.model.network.encoder.get_submodule("embedding_norm")
    broken = norm.register_forward_hook(break_gradient)
    with pytest.raises(TrainingError, match="the gradient is not finite") as refused:
        step(training.context, training.batches(places))
    broken.remove()
    for batch in training.batches(places):
        assert f"task {batch.task}, examples {', '.join(batch.ids)}" in str(refused.value)
    assert equal_weights(copy_weights(training), before)
    step(training.context, training.batches(places))  # and training can go on


def test_layers_are_the_embeddings_each_layer_and_the_pooler(tiny_encoder: Path) -> None:
    context = begin_training(tiny_config(tiny_encoder)).context
    layers = [set(layer) for layer in by_layer(context.network)]
    assert set().union(*layers) == set(context.shared)
    assert sum(map(len, layers)) == len(context.shared) == len(list(context.network.encoder.parameters()))
    assert layers[0] == {f"encoder.{name}" for name in EMBEDDINGS}
    assert all(name.startswith("encoder.layers.0.") for name in layers[1])
    assert all(name.startswith("encoder.layers.1.") for name in layers[2])
    assert layers[3] == {"encoder.pooler.weight", "encoder.pooler.bias"}


def test_a_task_s_gradient_does_not_depend_on_the_tasks_packed_with_it(tiny_encoder: Path) -> None:
    training = begin_training(tiny_config(tiny_encoder, model=NO_DROPOUT))
    batches = training.batches(training.sampler.next())
    together = packed_gradients(training.context, batches, None)
    alone = [packed_gradients(training.context, [batch], None) for batch in batches]
    for name, gradient in together.shared.items():
        parts = [one.shared[name] for one in alone]
        if gradient is None:
            assert parts == [None] * len(batches)
        else:
            torch.testing.assert_close(
                torch.stack([p for p in parts if p is not None]).sum(0), gradient, rtol=1e-4, atol=1e-5
            )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["config", "gradvac", "nash-mtl"])
def test_a_rule_trains_and_goes_on_from_a_checkpoint(method: str, tiny_encoder: Path) -> None:
    if method == "nash-mtl":
        pytest.importorskip("ecos")
    config = tiny_config(tiny_encoder, model=NO_DROPOUT, surgery={"method": method, "granularity": "layer"})
    whole, first, resumed = (begin_training(config) for _ in range(3))
    take_steps(whole, 4)
    take_steps(first, 2)
    resumed.load_state_dict(first.state_dict())
    take_steps(resumed, 2)
    assert equal_weights(copy_weights(whole), copy_weights(resumed))
