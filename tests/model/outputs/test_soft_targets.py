"""Losses on soft targets against plain formulas of PyTorch in float64, their gradients against closed forms."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from bertram.label_sets import LabelSets
from bertram.label_spaces import Classes, ScoreRange, YesNo
from bertram.model.outputs import Output
from bertram.model.outputs.bernoulli import Bernoulli
from bertram.model.outputs.bounded_score import BoundedScore, BoundedShare
from bertram.model.outputs.cosine import CosineEmbeddingScore, CosineEmbeddingYesNo, CosineScore
from bertram.model.outputs.multi_label import MultiLabel
from bertram.model.outputs.ordinal import Ordinal
from bertram.model.outputs.softmax import Softmax

CLASSES, YES_NO, RANGE = Classes(("a", "b", "c", "d")), YesNo(), ScoreRange(-1.0, 4.0)
SETS = LabelSets(("a", "b", "c", "d"))
LOW, WIDTH, MARGIN, ROWS = -1.0, 5.0, 0.25, 40
Formula = Callable[[Tensor, Tensor], Tensor]


def above(probabilities: Tensor) -> Tensor:
    """P(y > k), [n, K-1], as a sum over the classes above."""
    return torch.stack([probabilities[:, k + 1 :].sum(1) for k in range(3)], dim=1)


def binary(raw: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy from probabilities."""
    p = torch.sigmoid(raw)
    return -target * torch.log(p) - (1 - target) * torch.log(1 - p)


def share(scores: Tensor) -> Tensor:
    """Scores in units of the range."""
    return (scores - LOW) / WIDTH


def pull(cosines: Tensor, alike: Tensor) -> Tensor:
    """PyTorch's cosine-embedding loss of pairs of unit vectors with these cosines."""
    u = torch.stack([torch.ones_like(cosines), torch.zeros_like(cosines)], dim=1)
    v = torch.stack([cosines, (1 - cosines.square()).sqrt()], dim=1)
    return nn.functional.cosine_embedding_loss(u, v, torch.where(alike, 1, -1), margin=MARGIN, reduction="none")


def sigmoid_slope(raw: Tensor) -> Tensor:
    """The derivative of the sigmoid."""
    return torch.sigmoid(raw) * torch.sigmoid(-raw)


@dataclass(frozen=True)
class Case:
    """An output with its loss and gradient in other words.

    Attributes:
        output: kind of output.
        loss: loss [n] of raw outputs and soft targets.
        gradient: derivative of each example's loss by its raw outputs.
        proper: True if a target that is the meaning of the raw outputs is where the loss is least.
    """

    output: Output
    loss: Formula
    gradient: Formula
    proper: bool = True


CASES = {
    "softmax": Case(
        Softmax(CLASSES),
        lambda z, t: -(t * torch.log_softmax(z, 1)).sum(1),
        lambda z, t: torch.softmax(z, 1) - t,
    ),
    "ordinal": Case(
        Ordinal(CLASSES),
        lambda z, t: binary(z, above(t)).sum(1),
        lambda z, t: torch.sigmoid(z) - above(t),
    ),
    "bernoulli": Case(Bernoulli(YES_NO), binary, lambda z, t: torch.sigmoid(z) - t),
    "multi-label": Case(
        MultiLabel(SETS),
        lambda z, t: binary(z, t).mean(1),
        lambda z, t: (torch.sigmoid(z) - t) / 4,
    ),
    "bounded score": Case(
        BoundedScore(RANGE),
        lambda z, t: (LOW + WIDTH * torch.sigmoid(z) - t).square(),
        lambda z, t: 2 * (LOW + WIDTH * torch.sigmoid(z) - t) * WIDTH * sigmoid_slope(z),
    ),
    "bounded share": Case(
        BoundedShare(RANGE),
        lambda z, t: binary(z, share(t)),
        lambda z, t: torch.sigmoid(z) - share(t),
    ),
    "cosine score": Case(
        CosineScore(RANGE),
        lambda c, t: (LOW + WIDTH * (c + 1) / 2 - t).square(),
        lambda c, t: 2 * (LOW + WIDTH * (c + 1) / 2 - t) * WIDTH / 2,
    ),
    "cosine-embedding score": Case(
        CosineEmbeddingScore(RANGE, MARGIN),
        lambda c, t: pull(c, t >= LOW + WIDTH / 2),
        lambda c, t: torch.where(t >= LOW + WIDTH / 2, -torch.ones_like(c), (c > MARGIN).to(c.dtype)),
        proper=False,
    ),
    "cosine-embedding yes or no": Case(
        CosineEmbeddingYesNo(YES_NO, MARGIN),
        lambda c, t: t * pull(c, t > -1) + (1 - t) * pull(c, t < -1),
        lambda c, t: -t + (1 - t) * (c > MARGIN),
        proper=False,
    ),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def raw_outputs(output: Output, seed: int = 0) -> Tensor:
    """Random raw outputs, [n, width] or [n]: ordered thresholds, cosines between -1 and 1."""
    shape = (ROWS,) if output.flat else (ROWS, output.width)
    raw = 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    if isinstance(output, Ordinal):
        return raw.sort(dim=1, descending=True).values
    cosine = isinstance(output, CosineScore | CosineEmbeddingYesNo)
    return torch.tanh(raw) if cosine else raw


def targets(output: Output, seed: int = 1) -> Tensor:
    """The meaning of other raw outputs as soft targets."""
    return output.soft_targets(output.meaning(raw_outputs(output, seed)))


@EVERY
def test_soft_targets_are_what_a_model_says(case: Case) -> None:
    output = case.output
    soft = targets(output)
    assert soft.shape == ((ROWS, 4) if isinstance(output.space, Classes | LabelSets) else (ROWS,))
    if isinstance(output.space, ScoreRange):
        assert bool(((soft >= LOW) & (soft <= LOW + WIDTH)).all())
    else:
        assert bool(((soft >= 0) & (soft <= 1)).all())
    mean = (output.meaning(raw_outputs(output, 1)) + output.meaning(raw_outputs(output, 2))) / 2
    assert torch.allclose(output.soft_targets(mean), (targets(output, 1) + targets(output, 2)) / 2, atol=1e-6)


@EVERY
def test_the_loss_on_soft_targets_is_its_formula(case: Case) -> None:
    raw, soft = raw_outputs(case.output), targets(case.output)
    losses = case.output.soft_losses(raw, soft)
    assert losses.shape == (ROWS,)
    assert losses.dtype == torch.float32
    expected = case.loss(raw.double(), soft.double())
    assert losses.tolist() == pytest.approx(expected.tolist(), rel=2e-5, abs=2e-5)


@EVERY
def test_the_gradient_of_the_loss_on_soft_targets_is_its_closed_form(case: Case) -> None:
    raw, soft = raw_outputs(case.output).requires_grad_(), targets(case.output)
    (gradient,) = torch.autograd.grad(case.output.soft_losses(raw, soft).sum(), raw)
    expected = case.gradient(raw.detach().double(), soft.double())
    assert gradient.flatten().tolist() == pytest.approx(expected.flatten().tolist(), rel=1e-4, abs=2e-5)


@EVERY
def test_a_certain_target_costs_what_its_label_costs(case: Case) -> None:
    output, generator = case.output, torch.Generator().manual_seed(3)
    raw = raw_outputs(output)
    if isinstance(output.space, ScoreRange):
        labels = certain = LOW + WIDTH * torch.rand(ROWS, generator=generator)
    elif isinstance(output.space, Classes):
        labels = torch.randint(4, (ROWS,), generator=generator)
        certain = nn.functional.one_hot(labels, 4).float()
    elif isinstance(output.space, LabelSets):
        labels = torch.randint(16, (ROWS,), generator=generator)
        certain = torch.tensor([[value >> k & 1 for k in range(4)] for value in labels.tolist()]).float()
    else:
        labels = torch.randint(2, (ROWS,), generator=generator)
        certain = labels.float()
    assert torch.allclose(output.soft_losses(raw, certain), output.losses(raw, labels), atol=1e-5)


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.proper], ids=lambda c: type(c.output).__name__
)
def test_a_model_that_agrees_with_its_target_has_nothing_to_learn(case: Case) -> None:
    output = case.output
    raw = raw_outputs(output).requires_grad_()
    soft = output.soft_targets(output.meaning(raw.detach()))
    losses = output.soft_losses(raw, soft)
    (gradient,) = torch.autograd.grad(losses.sum(), raw)
    assert float(gradient.abs().max()) < 1e-4
    for seed in (4, 5):
        assert bool((output.soft_losses(raw_outputs(output, seed), soft) >= losses.detach() - 1e-5).all())


@EVERY
def test_large_raw_outputs_keep_the_loss_and_its_gradient_finite(case: Case) -> None:
    output = case.output
    if isinstance(output, CosineScore | CosineEmbeddingYesNo):
        raw = torch.sign(raw_outputs(output))
    else:
        raw = 300 * torch.sign(raw_outputs(output))
    raw.requires_grad_()
    losses = output.soft_losses(raw, targets(output))
    (gradient,) = torch.autograd.grad(losses.sum(), raw)
    assert bool(torch.isfinite(losses).all())
    assert bool(torch.isfinite(gradient).all())
