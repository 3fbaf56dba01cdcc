"""Rules of gradient surgery: small objects that turn the Gramian of the task gradients into weights.

Each modified gradient of a rule is written as coefficients w in the basis of the original ones, so that inner products
with it come from the Gramian: g_j . (sum_k w_k g_k) = G_j . w.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from operator import mul
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

Weighting: TypeAlias = Callable[[Tensor], Tensor]


@runtime_checkable
class StatefulWeighting(Protocol):
    """A rule with a state between steps, which a checkpoint must hold; it is no module."""

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights [T] from the Gramian [T, T]."""
        ...

    def state_dict(self) -> dict[str, Tensor | None]:
        """State for a checkpoint."""
        ...

    def load_state_dict(self, state: dict[str, Tensor | None]) -> None:
        """Restore the state of a checkpoint."""


def _own_generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def pcgrad_weights(gramian: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Weights of the tasks' gradients in PCGrad's update, the sum of the projected gradients.

    Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Algorithm 1, with each projected gradient g_i^PC
    written as w in the basis of the original gradients, so that g_j . g_i^PC = G_j . w.

    Args:
        gramian: inner products of the task gradients, [T, T].
        generator: CPU generator of the order of the projections; PyTorch's global one by default.

    Returns:
        Weights [T] of the Gramian's type: the update is ``weights @ task_gradients``.
    """
    G = gramian.tolist()  # noqa: N806
    total = [0.0] * len(G)
    for i in range(len(G)):
        w = _unit_vector(i, len(G))
        for j in _other_tasks(i, len(G), generator):
            s = _dot(G[j], w)
            if s < 0.0 < G[j][j]:  # the right half follows from the left, but for underflow
                w[j] -= s / G[j][j]
        total = _add(total, w)
    return gramian.new_tensor(total)


@dataclass
class Sum:
    """The additive loss: each task's gradient times a constant (1 by default)."""

    weights: Sequence[float] | None = None

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights [T] from the Gramian [T, T]."""
        return gramian.new_ones(len(gramian)) if self.weights is None else gramian.new_tensor(self.weights)


@dataclass
class PCGrad:
    """PCGrad with a generator of its own: see `pcgrad_weights`.

    Args:
        generator: CPU generator of the order of the projections; by default one with a fixed seed, so that all
            processes of a training project in the same order.
    """

    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        self.generator = self.generator or _own_generator()

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights [T] from the Gramian [T, T]."""
        return pcgrad_weights(gramian, self.generator)


@dataclass
class AsymmetricProjection:
    """MTRec's rule: the sum of the auxiliary gradients gives way to the main task's, which stays as it is.

    Bi et al., MTRec: Multi-Task Learning over BERT for News Recommendation, Findings of ACL 2022. If the sum a of the
    auxiliary gradients conflicts with the main gradient g, the update is g + a - (a . g / |g|^2) g, else g + a.

    Args:
        main: index of the main task.
    """

    main: int

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights [T] from the Gramian [T, T]."""
        if not 0 <= self.main < len(gramian):
            raise ValueError(f"main task {self.main}: there are {len(gramian)} tasks, counted from 0")
        weights = [1.0] * len(gramian)
        g = gramian[self.main].tolist()
        s = sum(product for task, product in enumerate(g) if task != self.main)
        if s < 0.0 < g[self.main]:
            weights[self.main] -= s / g[self.main]
        return gramian.new_tensor(weights)


@dataclass
class GradVac:
    """Gradient Vaccine: pulls each pair of gradients to the cosine that it has had on average.

    Wang et al., Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual Models,
    ICLR 2021, Algorithm 1 (cosines of the gradient modified so far with the original ones, the target of a pair updated
    right after its use, starting at 0). A pair whose cosine is undefined, since one gradient is zero, is left alone.

    Args:
        beta: weight of the newest cosine in a pair's running target.
        generator: CPU generator of the order of the pairs; by default one with a fixed seed, as in `PCGrad`.
        targets: running targets of the pairs' cosines, [T, T] in float64; None before the first step.

    Raises:
        ValueError: beta is not a number from 0 to 1.
    """

    beta: float = 0.01
    generator: torch.Generator | None = None
    targets: Tensor | None = None

    def __post_init__(self) -> None:
        self.generator = self.generator or _own_generator()
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta = {self.beta}: must be a number from 0 to 1")

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights [T] from the Gramian [T, T]; moves the targets."""
        tasks = len(gramian)
        if self.targets is None:
            self.targets = torch.zeros(tasks, tasks, dtype=torch.float64)
        if len(self.targets) != tasks:
            raise ValueError(f"GradVac has targets for {len(self.targets)} tasks, but there are {tasks} gradients")
        G, targets, total = gramian.tolist(), self.targets.tolist(), [0.0] * tasks  # noqa: N806
        for i in range(tasks):
            w = _unit_vector(i, tasks)
            for j in _other_tasks(i, tasks, self.generator):
                norm_i, norm_j = _norm(G, w), sqrt(G[j][j])
                if not (norm_i > 0 and norm_j > 0):
                    continue
                phi = max(-1.0, min(1.0, _dot(G[j], w) / norm_i / norm_j))
                target = targets[i][j]
                if phi < target < 1.0:  # no multiple of g_j leads to a cosine of 1
                    pull = target * _sine(phi) - phi * _sine(target)
                    w[j] += norm_i * pull / (norm_j * _sine(target))
                targets[i][j] = (1 - self.beta) * target + self.beta * phi
            total = _add(total, w)
        self.targets = torch.tensor(targets, dtype=torch.float64)
        return gramian.new_tensor(total)

    def state_dict(self) -> dict[str, Tensor | None]:
        """State for a checkpoint, besides the generator's."""
        return {"targets": self.targets}

    def load_state_dict(self, state: dict[str, Tensor | None]) -> None:
        """Restore the state of a checkpoint."""
        self.targets = state["targets"]


@dataclass
class ConFIG:
    """ConFIG: the direction with the same cosine to every task's gradient, as long as the gradients reach along it.

    Liu et al., ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks, ICLR 2025, equation 2: with
    U the unit gradients, the direction u of pinv(U) 1 and the length sum_i g_i . u. Since pinv(U) = U^T pinv(U U^T),
    and U U^T are the cosines, it is a function of the Gramian. A task whose gradient is zero is left out.

    Args:
        tolerance: eigenvalues of the cosines below this share of the largest count as 0; at 1e-8 gradients within an
            angle of 1e-4 count as parallel.
    """

    tolerance: float = 1e-8

    def __call__(self, gramian: Tensor) -> Tensor:
        """Weights [T] from the Gramian [T, T]."""
        if not bool(gramian.isfinite().all()):  # the sum stays not finite, so checks of the gradients see it
            return gramian.new_ones(len(gramian))
        norm = gramian.diagonal().sqrt()
        inverse = torch.where(norm > 0, 1 / norm, 0.0)
        cosines = gramian * inverse[:, None] * inverse[None, :]
        direction = inverse * (torch.linalg.pinv(cosines, rtol=self.tolerance, hermitian=True) @ (norm > 0).to(gramian))
        square = direction @ gramian @ direction
        if not square > 0:
            return torch.zeros_like(norm)
        length = (gramian @ direction).sum() / square.sqrt()
        weights: Tensor = length / square.sqrt() * direction
        return weights


def _other_tasks(i: int, tasks: int, generator: torch.Generator | None) -> list[int]:
    return [j for j in torch.randperm(tasks, generator=generator).tolist() if j != i]


def _unit_vector(i: int, size: int) -> list[float]:
    return [float(j == i) for j in range(size)]


def _add(a: list[float], b: list[float]) -> list[float]:
    return [x + y for x, y in zip(a, b, strict=True)]


def _dot(a: list[float], b: list[float]) -> float:
    return float(sum(map(mul, a, b)))


def _sine(cosine: float) -> float:
    return sqrt((1 - cosine) * (1 + cosine))


def _norm(gramian: list[list[float]], w: list[float]) -> float:
    """Norm of the gradient with coefficients w; 0 where only rounding is left of it."""
    square = _dot(w, [_dot(row, w) for row in gramian])
    largest = sum(abs(c) * sqrt(row[j]) for j, (c, row) in enumerate(zip(w, gramian, strict=True))) ** 2
    return sqrt(square) if square > 1e-14 * largest else 0.0
