"""Heads: what they compute, where they start, and that every admitted combination learns."""

import itertools
from math import sqrt
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from bertram import task_kinds
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.heads import COSINE_SCALE, MEASURES, Similarity, TaskHead, head_of
from bertram.model.outputs import output_of
from bertram.task_kinds import SIMILARITIES, Encoding, Head
from bertram.tasks import Task

HIDDEN = 8
KINDS: dict[str, dict[str, Any]] = {
    "class": {"kind": "class", "labels": ["a", "b", "c"]},
    "binary": {"kind": "binary"},
    "score": {"kind": "score", "range": [0, 5]},
    "multi-label": {"kind": "multi-label", "labels": ["a", "b", "c"]},
}


def task(kind: str, texts: int = 2, **more: Any) -> Task:
    files = {"texts": ["a", "b"][:texts]}
    return Task.model_validate({"name": "t", "files": files, **KINDS[kind], **more})


def head(made: Task, seed: int = 0) -> TaskHead:
    found = head_of(made, HIDDEN)
    found.initialize(torch.Generator().manual_seed(seed))
    return found


def vectors(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, HIDDEN, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("kind", "loss", "shape"),
    [("class", None, (6, 3)), ("class", "coral", (6, 2)), ("binary", None, (6,)), ("score", None, (6,))],
)
@pytest.mark.parametrize("name", ["linear", "mlp", "features"])
def test_shapes(kind: str, loss: str | None, shape: tuple[int, ...], name: str) -> None:
    made = task(kind, head=name, loss=loss, encoding="bi" if name == "features" else "cross")
    raw = head(made)(vectors(12 if name == "features" else 6), NO_DROPOUT)
    assert raw.shape == shape
    assert output_of(made).width == (shape[1] if len(shape) > 1 else 1)


def plain(kind: str, u: list[float], v: list[float]) -> float:
    """The similarities as the words say."""
    dot = sum(a * b for a, b in zip(u, v, strict=True))
    gaps = [a - b for a, b in zip(u, v, strict=True)]
    if kind == "cosine":
        return dot / sqrt(sum(a * a for a in u) * sum(b * b for b in v))
    if kind == "dot":
        return dot / sqrt(len(u))
    if kind == "euclidean":
        return -sqrt(sum(d * d for d in gaps)) / sqrt(len(u))
    return -sum(map(abs, gaps)) / len(u)


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_similarities_are_what_they_are_called(kind: Head) -> None:
    u, v = vectors(7, 1), vectors(7, 2)
    expected = [plain(kind, a, b) for a, b in zip(u.double().tolist(), v.double().tolist(), strict=True)]
    compare = Similarity(MEASURES[kind], plain=False)
    with torch.no_grad():
        compare.scale.fill_(3.0)
        compare.offset.fill_(-0.5)
        assert compare.similarity(u, v).tolist() == pytest.approx(expected, rel=1e-5)
        assert compare(u, v).tolist() == pytest.approx([3 * x - 0.5 for x in expected], rel=1e-5)
        assert compare(v, u).tolist() == compare(u, v).tolist()


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_equal_texts_are_the_most_similar_and_have_a_gradient(kind: Head) -> None:
    u = vectors(3, 1).requires_grad_()
    compare = Similarity(MEASURES[kind], plain=True)
    same = compare(u, u.detach().clone())
    if kind != "dot":
        assert bool((same >= compare(u, vectors(3, 2))).all())
    (gradient,) = torch.autograd.grad(same.sum(), u)
    assert bool(torch.isfinite(gradient).all())


def test_features_are_both_texts_their_gap_and_their_product() -> None:
    made = head(task("score", head="features", encoding="bi"))
    pooled = vectors(10)
    u, v = pooled[:5], pooled[5:]
    assert isinstance(made.compare, nn.Linear)
    expected = made.compare(torch.cat([u, v, (u - v).abs(), u * v], dim=1))
    assert torch.allclose(made(pooled, NO_DROPOUT), expected[:, 0], atol=1e-6)


def test_mlp_has_a_hidden_layer() -> None:
    made = head(task("class", head="mlp"))
    pooled = vectors(4)
    expected = made.get_submodule("compare")(nn.functional.gelu(made.get_submodule("inner")(pooled)))
    assert torch.equal(made(pooled, NO_DROPOUT), expected)


def test_dropout_is_drawn_before_the_head() -> None:
    made, pooled = head(task("class", head="linear")), vectors(4)
    dropout = Dropout(torch.Generator().manual_seed(1), head_rate=0.5)
    dropped = Dropout(torch.Generator().manual_seed(1), head_rate=0.5).before_head(pooled)
    assert torch.equal(made(pooled, dropout), made(dropped, NO_DROPOUT))


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_both_texts_of_a_similarity_lose_the_same_coordinates(kind: Head) -> None:
    made = head(task("binary", head=kind, encoding="bi", raw_cosine=True))
    u = vectors(4)
    dropout = Dropout(torch.Generator().manual_seed(1), head_rate=0.4)
    same = made(torch.cat([u, u]), dropout)
    mask = Dropout(torch.Generator().manual_seed(1), head_rate=0.4).head_mask(u)
    assert mask is not None
    assert bool((mask == 0).any())
    if kind == "dot":
        assert torch.allclose(same, (u * u * mask).sum(1) / HIDDEN**0.5, atol=1e-5)
    else:
        assert torch.allclose(same, made(torch.cat([u, u]), NO_DROPOUT), atol=1e-5)  # equal texts stay equal


@pytest.mark.parametrize("kind", ["cosine", "dot"])
def test_dropout_leaves_a_similarity_where_it_is_on_average(kind: str) -> None:
    made = head(task("binary", head=kind, encoding="bi", raw_cosine=True))
    generator = torch.Generator().manual_seed(2)
    u = torch.randn(1, 384, generator=generator)
    v = u + 0.5 * torch.randn(1, 384, generator=generator)
    without = float(made(torch.cat([u, v]), NO_DROPOUT))
    dropout = Dropout(generator, head_rate=0.3)
    many = made(torch.cat([u.expand(4000, -1), v.expand(4000, -1)]), dropout)
    assert float(many.mean()) == pytest.approx(without, abs=4 * float(many.std()) / 4000**0.5 + 1e-3)


def test_weights_start_small_by_the_generator_and_biases_at_zero() -> None:
    for name in ("linear", "mlp"):
        made, twin, other = (head(task("class", head=name), seed) for seed in (0, 0, 1))
        for key, value in made.state_dict().items():
            assert torch.equal(value, twin.state_dict()[key])
            if "bias" in key:
                assert not value.any()
            else:
                assert not torch.equal(value, other.state_dict()[key])
                assert float(value.abs().max()) < 0.1


@settings(deadline=None, max_examples=30)
@given(counts=st.lists(st.integers(1, 50), min_size=2, max_size=6))
def test_coral_starts_at_the_label_frequencies(counts: list[int]) -> None:
    made = task("class", loss="coral", labels=[str(k) for k in range(len(counts))])
    start = head(made)
    labels = torch.cat([torch.full((count,), k) for k, count in enumerate(counts)])
    start.fit_start(labels)
    found = output_of(made).meaning(start(torch.zeros(1, HIDDEN), NO_DROPOUT))[0]
    assert found.tolist() == pytest.approx([count / sum(counts) for count in counts], abs=2e-3)


def test_coral_starts_with_finite_biases_where_a_label_does_not_occur() -> None:
    start = head(task("class", loss="coral"))
    start.fit_start(torch.tensor([1, 1, 1]))
    assert bool(torch.isfinite(start.get_parameter("compare.bias")).all())


def test_coral_has_one_weight_and_a_bias_for_each_threshold() -> None:
    made = head(task("class", loss="coral"))
    raw = made(vectors(5), NO_DROPOUT)
    assert {name: list(p.shape) for name, p in made.named_parameters()} == {
        "compare.shared.weight": [1, HIDDEN],
        "compare.bias": [2],
    }
    bias = made.get_parameter("compare.bias")
    assert torch.allclose(raw[:, 0] - raw[:, 1], (bias[0] - bias[1]).expand(5), atol=1e-6)


@pytest.mark.parametrize("kind", ["binary", "score"])
def test_a_cosine_starts_at_scale_10_with_the_boundary_at_the_median(kind: str) -> None:
    start = head(task(kind, head="cosine", encoding="bi"))
    cosines = torch.tensor([0.9, 0.2, 0.8, 0.7, 0.95])
    assert isinstance(start.compare, Similarity)
    assert float(start.compare.scale.detach()) == COSINE_SCALE
    start.fit_start(torch.tensor([0, 1, 0, 1, 1]), cosines)
    assert float(start.compare.scale.detach()) == 10.0
    logits = (start.compare.scale * cosines + start.compare.offset).detach()
    assert (logits > 1e-5).tolist() == [True, False, False, False, True]
    assert float(logits.median()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["dot", "euclidean", "manhattan"])
def test_other_similarities_start_with_a_spread_of_one_logit(name: str) -> None:
    start = head(task("binary", head=name, encoding="bi"))
    found = 40 * torch.randn(101, generator=torch.Generator().manual_seed(0)) - 7
    assert isinstance(start.compare, Similarity)
    start.fit_start(torch.zeros(101), found)
    logits = (start.compare.scale * found + start.compare.offset).detach()
    assert float(logits.std()) == pytest.approx(1, rel=1e-4)
    assert float(logits.median()) == pytest.approx(0, abs=1e-4)


def test_a_raw_cosine_is_the_logit_itself() -> None:
    start = head(task("binary", head="cosine", encoding="bi", raw_cosine=True))
    pooled = vectors(6)
    start.fit_start(torch.tensor([0, 1, 1]), torch.tensor([0.1, 0.2, 0.3]))
    assert list(start.parameters()) == []
    assert torch.equal(start(pooled, NO_DROPOUT), nn.functional.cosine_similarity(pooled[:3], pooled[3:]))
    assert start(pooled, NO_DROPOUT).abs().max() <= 1


@pytest.mark.parametrize("loss", ["cosine-mse", "cosine-embedding"])
def test_the_losses_of_cosines_see_the_cosine_itself(loss: str) -> None:
    start = head(task("score", head="cosine", encoding="bi", loss=loss))
    assert list(start.parameters()) == []


def admitted(kind: str, name: str, loss: str, encoding: str, texts: int) -> bool:
    """What the words of the field descriptions promise, written once more."""
    fits = {
        "class": ("cross-entropy", "coral"),
        "binary": ("binary-cross-entropy", "cosine-embedding"),
        "score": ("mse", "binary-cross-entropy", "cosine-mse", "cosine-embedding"),
        "multi-label": ("binary-cross-entropy",),
    }
    if loss not in fits[kind] or (loss.startswith("cosine") and name != "cosine"):
        return False
    apart = texts == 2 and encoding == "bi"
    if name in SIMILARITIES:
        return apart and kind in ("binary", "score")
    return texts == 2 if name == "features" else not apart


COMBINATIONS = list(itertools.product(task_kinds.KINDS, get_args(Head), task_kinds.LOSSES, get_args(Encoding), (1, 2)))


@pytest.mark.parametrize("kind", task_kinds.KINDS)
def test_what_does_not_fit_together_is_refused_with_a_remedy(kind: str) -> None:
    remedies = ("use ", "needs ", "cannot tell")
    for _, name, loss, encoding, texts in (c for c in COMBINATIONS if c[0] == kind):
        values = {"head": name, "loss": loss, "encoding": encoding}
        if admitted(kind, name, loss, encoding, texts):
            task(kind, texts, **values)
            continue
        with pytest.raises(ValidationError) as refused:
            task(kind, texts, **values)
        assert any(word in str(refused.value) for word in remedies), values
