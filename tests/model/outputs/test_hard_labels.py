"""Each loss against its definition in float64, what outputs mean, and how far two of them are apart."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bertram.model.outputs import output_of
from bertram.tasks import Task

PAIR = {"texts": ["a", "b"]}
ANY = settings(deadline=None, max_examples=50)
FLOATS = st.floats(-8, 8, width=32)


def task(kind: str, **more: Any) -> Task:
    usual: dict[str, Any] = {"labels": ["a", "b", "c", "d"]} if kind == "class" else {}
    if more.get("head") == "cosine":
        usual["encoding"] = "bi"
    return Task.model_validate({"name": "t", "kind": kind, "files": PAIR, **usual, **more})


CLASS, CORAL = task("class"), task("class", loss="coral")
BINARY, SCORE = task("binary"), task("score", range=[0, 5])
SHARE = task("score", range=[0, 5], loss="binary-cross-entropy")
COSINE = {"head": "cosine"}
COSINE_MSE = task("score", range=[0, 5], loss="cosine-mse", **COSINE)
EMBEDDING = task("score", range=[0, 5], loss="cosine-embedding", margin=0.25, **COSINE)
ALIKE = task("binary", loss="cosine-embedding", margin=0.25, **COSINE)


def rows(count: int, low: float, high: float) -> st.SearchStrategy[list[list[float]]]:
    numbers = st.floats(low, high, width=32)
    return st.lists(st.lists(numbers, min_size=count, max_size=count), min_size=1, max_size=5)


def check(task: Task, raw: list[Any], labels: list[Any], expected: list[float]) -> None:
    found = output_of(task).losses(torch.tensor(raw), torch.tensor(labels))
    assert found.shape == (len(labels),)
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(expected, rel=2e-5, abs=2e-5)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def bce(logit: float, target: float) -> float:
    return -target * math.log(sigmoid(logit)) - (1 - target) * math.log(sigmoid(-logit))


@ANY
@given(raw=rows(4, -8, 8), data=st.data())
def test_cross_entropy_is_minus_the_log_of_the_labels_share(raw: list[list[float]], data: st.DataObject) -> None:
    labels = [data.draw(st.integers(0, 3)) for _ in raw]
    check(CLASS, raw, labels, [math.log(sum(map(math.exp, row))) - row[y] for row, y in zip(raw, labels, strict=True)])


@ANY
@given(raw=rows(3, -8, 8), data=st.data())
def test_coral_is_the_cross_entropy_of_each_level(raw: list[list[float]], data: st.DataObject) -> None:
    labels = [data.draw(st.integers(0, 3)) for _ in raw]
    expected = [sum(bce(x, float(y > k)) for k, x in enumerate(row)) for row, y in zip(raw, labels, strict=True)]
    check(CORAL, raw, labels, expected)


@ANY
@given(raw=st.lists(FLOATS, min_size=1), data=st.data())
def test_binary_cross_entropy(raw: list[float], data: st.DataObject) -> None:
    labels = [data.draw(st.integers(0, 1)) for _ in raw]
    check(BINARY, raw, labels, [bce(x, y) for x, y in zip(raw, labels, strict=True)])


@ANY
@given(raw=st.lists(FLOATS, min_size=1), data=st.data())
def test_scores_are_learned_by_their_share_of_the_range_or_by_squared_error(
    raw: list[float], data: st.DataObject
) -> None:
    labels = [data.draw(st.floats(0, 5, width=32)) for _ in raw]
    check(SHARE, raw, labels, [bce(x, y / 5) for x, y in zip(raw, labels, strict=True)])
    check(SCORE, raw, labels, [(5 * sigmoid(x) - y) ** 2 for x, y in zip(raw, labels, strict=True)])
    shifted = task("score", range=[-2, 8], loss="binary-cross-entropy")
    check(shifted, raw, labels, [bce(x, (y + 2) / 10) for x, y in zip(raw, labels, strict=True)])


@ANY
@given(raw=st.lists(st.floats(-1, 1, width=32), min_size=1), data=st.data())
def test_cosines_are_learned_by_squared_error_or_by_the_embedding_loss(raw: list[float], data: st.DataObject) -> None:
    labels = [data.draw(st.floats(0, 5, width=32)) for _ in raw]
    both = list(zip(raw, labels, strict=True))
    check(COSINE_MSE, raw, labels, [(5 * (x + 1) / 2 - y) ** 2 for x, y in both])
    check(EMBEDDING, raw, labels, [1 - x if y >= 2.5 else max(0.0, x - 0.25) for x, y in both])
    yes = [int(y > 2.5) for y in labels]
    check(ALIKE, raw, yes, [1 - x if y else max(0.0, x - 0.25) for x, y in zip(raw, yes, strict=True)])


def test_the_embedding_loss_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    u, v, target = torch.randn(20, 8), torch.randn(20, 8), torch.tensor([1, -1] * 10)
    expected = torch.nn.CosineEmbeddingLoss(margin=0.25)(u, v, target)
    found = output_of(ALIKE).losses(torch.cosine_similarity(u, v), (target > 0).long()).mean()
    assert float(found) == pytest.approx(float(expected), abs=1e-6)


@ANY
@given(low=st.integers(-100, 100), width=st.integers(1, 100), unit=st.sampled_from([1, 0.1, 0.3, 1 / 7]))
def test_a_score_in_the_middle_of_the_range_counts_as_alike(low: int, width: int, unit: float) -> None:
    ends = [low * unit, (low + width) * unit]
    middle = torch.tensor(sum(ends) / 2)
    below = middle - 1e-3 * width * unit
    of_range = task("score", range=ends, loss="cosine-embedding", margin=0.5, **COSINE)
    found = output_of(of_range).losses(torch.tensor([0.2, 0.2]), torch.stack([middle, below]))
    assert found.tolist() == pytest.approx([0.8, 0.0])


@pytest.mark.parametrize("made", [CLASS, CORAL, BINARY, SCORE, SHARE], ids=lambda t: f"{t.kind} {t.trained_by}")
def test_large_logits_stay_finite(made: Task) -> None:
    wide = {"class": (2, 3 if made is CORAL else 4), "binary": (2,), "score": (2,)}[made.kind]
    raw = torch.full(wide, 300.0, requires_grad=True)
    cost = output_of(made).losses(raw, torch.tensor([0, 1])).sum()
    (gradient,) = torch.autograd.grad(cost, raw)
    assert bool(torch.isfinite(cost))
    assert bool(torch.isfinite(gradient).all())


@ANY
@given(raw=rows(3, -30, 30))
def test_coral_probabilities_are_probabilities_and_differences_of_its_levels(raw: list[list[float]]) -> None:
    found = output_of(CORAL).meaning(torch.tensor(raw))
    assert found.shape == (len(raw), 4)
    assert bool((found >= 0).all())
    assert found.sum(1).tolist() == pytest.approx([1.0] * len(raw), abs=1e-6)
    ordered = torch.tensor(raw).sort(dim=1, descending=True).values
    above = [[1.0, *map(sigmoid, row), 0.0] for row in ordered.tolist()]
    expected = [[a - b for a, b in pairwise(row)] for row in above]
    for one, other in zip(output_of(CORAL).meaning(ordered).tolist(), expected, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@ANY
@given(raw=rows(4, -30, 30))
def test_class_probabilities_are_the_softmax(raw: list[list[float]]) -> None:
    found = output_of(CLASS).meaning(torch.tensor(raw))
    for one, row in zip(found.tolist(), raw, strict=True):
        total = sum(math.exp(x) for x in row)
        assert one == pytest.approx([math.exp(x) / total for x in row], abs=1e-6)


@ANY
@given(raw=st.lists(FLOATS, min_size=1))
def test_yes_is_the_sigmoid_and_no_the_rest(raw: list[float]) -> None:
    found = output_of(BINARY).meaning(torch.tensor(raw))
    assert found[:, 1].tolist() == pytest.approx([sigmoid(x) for x in raw], abs=1e-6)
    assert found.sum(1).tolist() == pytest.approx([1.0] * len(raw))


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.25, 0.9])
def test_the_boundary_of_the_embedding_loss_lies_midway_between_its_two_ends(margin: float) -> None:
    made = task("binary", loss="cosine-embedding", margin=margin, **COSINE)
    middle = (1 + margin) / 2
    found = output_of(made).meaning(torch.tensor([-1.0, middle - 1e-3, middle, middle + 1e-3, 1.0]))[:, 1]
    assert float(found[2]) == pytest.approx(0.5)
    assert found.tolist() == sorted(found.tolist())
    assert found[1] < 0.5 < found[3]
    assert bool(((found >= 0) & (found <= 1)).all())


def test_scores_are_in_label_units() -> None:
    raw = torch.tensor([-50.0, 0.0, 50.0])
    assert output_of(task("score", range=[-2, 8])).meaning(raw).tolist() == pytest.approx([-2, 3, 8])
    assert output_of(SHARE).meaning(raw).tolist() == pytest.approx([0, 2.5, 5])
    cosines = torch.tensor([-1.0, 0.0, 1.0])
    assert output_of(COSINE_MSE).meaning(cosines).tolist() == pytest.approx([0, 2.5, 5])
    assert output_of(EMBEDDING).meaning(cosines).tolist() == pytest.approx([0, 2.5, 5])


ALL = [CLASS, CORAL, BINARY, SCORE, SHARE, COSINE_MSE, EMBEDDING, ALIKE]


def outputs(made: Task, seed: int) -> Tensor:
    shape = {"class": (5, 3 if made is CORAL else 4)}.get(made.kind, (5,))
    raw = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.tanh(raw) if made.head == "cosine" else raw


@pytest.mark.parametrize("made", ALL, ids=lambda t: f"{t.kind} {t.trained_by}")
def test_divergences_are_symmetric_and_zero_only_between_equals(made: Task) -> None:
    apart = output_of(made).divergence
    p, q = outputs(made, 0), outputs(made, 1)
    assert float(apart(p, p)) == 0.0
    assert float(apart(p, q)) == pytest.approx(float(apart(q, p)), rel=1e-6)
    assert float(apart(p, q)) > 0
    assert float(apart(p, q, reduction="none").mean()) == pytest.approx(float(apart(p, q)), rel=1e-6)
    assert apart(p, q, reduction="none").shape == (len(p),)
    assert float(apart(p.repeat_interleave(2, 0), q.repeat_interleave(2, 0))) == pytest.approx(float(apart(p, q)))


@pytest.mark.parametrize("made", [CLASS, BINARY], ids=["class", "binary"])
def test_the_divergence_of_classes_is_the_symmetric_kl_of_their_probabilities(made: Task) -> None:
    p, q = outputs(made, 0), outputs(made, 1)
    a, b = (output_of(made).meaning(raw).double() for raw in (p, q))
    expected = ((a * (a / b).log()).sum(1) + (b * (b / a).log()).sum(1)).mean()
    assert float(output_of(made).divergence(p, q)) == pytest.approx(float(expected), rel=1e-4)


def test_the_divergence_of_coral_is_the_sum_over_its_thresholds() -> None:
    p, q = outputs(CORAL, 0), outputs(CORAL, 1)
    a, b = p.double().sigmoid(), q.double().sigmoid()
    expected = ((a - b) * (p.double() - q.double())).sum(1).mean()
    assert float(output_of(CORAL).divergence(p, q)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("made", [SCORE, SHARE, COSINE_MSE, EMBEDDING], ids=lambda t: t.trained_by)
def test_the_divergence_of_scores_is_the_squared_difference_in_units_of_the_range(made: Task) -> None:
    p, q = outputs(made, 0), outputs(made, 1)
    expected = ((output_of(made).meaning(p) - output_of(made).meaning(q)) / 5).square().mean()
    assert float(output_of(made).divergence(p, q)) == pytest.approx(float(expected), rel=1e-5)


def test_the_formula_of_yes_or_no_has_the_threshold() -> None:
    yes = BINARY.class_names[1]
    for fields, ends in (({}, ""), ({"thresholds": [0.6]}, f"; the run predicts “{yes}” above 0.6")):
        output = output_of(task("binary", **fields))
        assert output.formula("z") == f"P(“{yes}”) = sigmoid(z){ends}"
    decided = output_of(task("binary", loss="cosine-embedding", margin=0.4, thresholds=[0.6], **COSINE))
    assert decided.formula("cos") == f"“{yes}” where cos > 0.9"
    assert decided.decide(decided.meaning(torch.tensor([0.89, 0.91]))).tolist() == [0, 1]
