"""The Gramian of task gradients, their weighted sum, and the conflicts that the Gramian shows."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import TypeAlias

import torch
from torch import Tensor

from bertram.surgery.rules import StatefulWeighting, Weighting

Gradients: TypeAlias = Sequence[Tensor | None]


def combine(
    task_gradients: Sequence[Gradients],
    weighting: Weighting | Sequence[Weighting],
    groups: Sequence[Sequence[int]] | None = None,
    inplace: bool = False,
) -> list[Tensor | None]:
    """Combine the gradients of several tasks into one.

    To log conflicts at no further cost, wrap the weighting in a function that keeps the Gramian it is given. In
    float16 and bfloat16 the weighted sum is taken in float32.

    Args:
        task_gradients: each task's gradient of each shared parameter, in the same order for all tasks; None where the
            task does not touch the parameter.
        weighting: callable that turns a Gramian [T, T] into weights [T]; or one such callable for each group, which a
            rule with a state (`GradVac`) needs.
        groups: indices of the parameters of each layer, for surgery layer by layer; all parameters together by default.
        inplace: write the result into the tensors of the first task that has them, without new memory.

    Returns:
        A gradient for each parameter; None for a parameter that no task touches.

    Raises:
        ValueError: the lists of gradients do not fit each other, the groups or the weightings; gradients of two tasks
            share memory; a gradient is sparse or complex; a weighting is an aggregator of torchjd.
    """
    count = _parameter_count(task_gradients)
    _require_usable(task_gradients)
    if inplace:
        task_gradients = _without_aliases(task_gradients)
    if groups is None:
        groups = [range(count)]
    weightings = _weighting_of_each(groups, weighting, count)
    combined: list[Tensor | None] = [None] * count
    for group, weigh in zip(groups, weightings, strict=True):
        layer = [[gradients[index] for index in group] for gradients in task_gradients]
        weights = weigh(gramian(layer))
        if weights.shape != (len(task_gradients),):
            raise ValueError(f"the weighting gave {list(weights.shape)} for the weights of {len(task_gradients)} tasks")
        for index, gradient in zip(group, weighted_sum(layer, weights, inplace), strict=True):
            combined[index] = gradient
    return combined


@torch.no_grad()
def gramian(task_gradients: Sequence[Gradients]) -> Tensor:
    """Compute the inner products of all pairs of task gradients: float64 [T, T], on the CPU.

    The Gramian of a whole encoder is the sum of its layers' Gramians.

    Args:
        task_gradients: each task's gradients, as in `combine`.
    """
    gramian = _dot_products(task_gradients, torch.float32)
    squares = gramian.diagonal()
    # In float32 a product below 1e-38 is lost and one above 3e38 is infinite. Between these norms neither matters;
    # beyond them (a task that has saturated, or has no gradient at all) everything is multiplied again in float64.
    if not bool(((squares > 1e-20) & (squares < 1e38)).all()):
        gramian = _dot_products(task_gradients, torch.float64)
    return gramian


def _dot_products(task_gradients: Sequence[Gradients], at_least: torch.dtype) -> Tensor:
    """Multiply in the gradients' own precision, but no lower than `at_least`; add up over parameters in float64."""
    _parameter_count(task_gradients)
    products: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
    for gradients in zip(*task_gradients, strict=True):
        present = [
            (task, gradient.reshape(-1).to(torch.promote_types(gradient.dtype, at_least)))
            for task, gradient in enumerate(gradients)
            if gradient is not None
        ]
        for (i, a), (j, b) in combinations_with_replacement(present, 2):
            products[i, j].append(torch.dot(a, b))
    gramian = torch.zeros(len(task_gradients), len(task_gradients), dtype=torch.float64)
    for (i, j), dots in products.items():
        gramian[i, j] = gramian[j, i] = _on_cpu(dots).double().sum()
    return gramian


def _on_cpu(scalars: list[Tensor]) -> Tensor:
    """The scalars as a vector; those of one device are copied at once."""
    if len({scalar.device for scalar in scalars}) == 1:
        return torch.stack(scalars).cpu()
    return torch.stack([scalar.cpu() for scalar in scalars])


@torch.no_grad()
def weighted_sum(
    task_gradients: Sequence[Gradients], weights: Tensor, inplace: bool = False, dtype: torch.dtype | None = None
) -> list[Tensor | None]:
    """Add up the task gradients, each times its weight.

    Args:
        task_gradients: each task's gradients, as in `combine`.
        weights: weight of each task, [T].
        inplace: write the result into the gradients, as in `combine`.
        dtype: type of the sum of float16 and bfloat16 gradients, which is taken in float32; default: their own.
    """
    factors = weights.tolist()
    total: list[Tensor | None] = []
    for gradients in zip(*task_gradients, strict=True):
        present = [(g, factor) for g, factor in zip(gradients, factors, strict=True) if g is not None]
        if not present:
            total.append(None)
            continue
        (first, factor), *remaining = present
        if first.dtype in (torch.float16, torch.bfloat16):  # too narrow for a factor, too coarse for a sum
            summed = first.float().mul_(factor)
            cast = torch.empty_like(summed)  # one for all: an `add_` of two types makes its own
            for gradient, share in remaining:
                summed.add_(cast.copy_(gradient), alpha=share)
            wide = dtype is not None and dtype != first.dtype
            total.append(first.copy_(summed) if inplace and not wide else summed.to(dtype or first.dtype))
            continue
        combined = first.mul_(factor) if inplace else first * factor
        for gradient, share in remaining:
            combined.add_(gradient, alpha=share)
        total.append(combined)
    return total


def cosines(gramian: Tensor) -> Tensor:
    """Cosine between each pair of task gradients, [T, T]; NaN where a gradient is zero."""
    norm = norms(gramian)
    return (gramian / norm[:, None] / norm[None, :]).clamp(-1.0, 1.0)


def norms(gramian: Tensor) -> Tensor:
    """Euclidean norm of each task's gradient, [T]."""
    return gramian.diagonal().sqrt()


def magnitude_ratio(gramian: Tensor) -> float:
    """Norm of the largest task gradient over that of the smallest (infinite or NaN where that is zero)."""
    norm = norms(gramian)
    return float(norm.max() / norm.min())


def conflict_rate(gramian: Tensor) -> float:
    """Share of the pairs of tasks whose gradients have a negative inner product; 0 for a single task."""
    tasks = len(gramian)
    above = gramian[tuple(torch.triu_indices(tasks, tasks, 1))]
    return float((above < 0).sum()) / max(1, len(above))


def _require_usable(task_gradients: Sequence[Gradients]) -> None:
    """Refuse gradients that would give a wrong sum."""
    for gradients in zip(*task_gradients, strict=True):
        owners: dict[int, int] = {}
        for task, gradient in enumerate(gradients):
            if gradient is None:
                continue
            if gradient.layout != torch.strided or gradient.is_complex():
                kind = "complex" if gradient.is_complex() else "sparse"
                raise ValueError(f"surgery needs dense, real gradients; one of task {task} is {kind}")
            owner = owners.setdefault(gradient.data_ptr(), task) if gradient.numel() else task
            if owner != task:
                raise ValueError(
                    f"gradients of tasks {owner} and {task} share memory, so that one has overwritten the other. Set "
                    "p.grad = None after each task (zero_grad(set_to_none=True)), use DistributedDataParallel without "
                    "gradient_as_bucket_view, or give clones"
                )


def _without_aliases(task_gradients: Sequence[Gradients]) -> list[list[Tensor | None]]:
    """The gradients, with a copy of each whose memory is that of an earlier one, or overlaps itself after an expand."""
    addresses: set[int] = set()

    def own(gradient: Tensor | None) -> Tensor | None:
        if gradient is None or not gradient.numel():
            return gradient
        expanded = any(step == 0 and size > 1 for step, size in zip(gradient.stride(), gradient.shape, strict=True))
        if gradient.data_ptr() in addresses or expanded:
            return gradient.clone(memory_format=torch.contiguous_format)
        addresses.add(gradient.data_ptr())
        return gradient

    return [[own(gradient) for gradient in gradients] for gradients in task_gradients]


def _require_weighting(weighting: object) -> None:
    """Refuse an aggregator of torchjd, which would take the Gramian for a Jacobian."""
    kinds = {f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(weighting).__mro__}
    if "torchjd.Aggregator" in kinds:
        name = type(weighting).__name__
        raise ValueError(
            f"{name} is an aggregator of torchjd, which takes Jacobians; use a weighting: "
            f"surgery.weighting('{name.lower()}'), or its {name}Weighting()"
        )


def _parameter_count(task_gradients: Sequence[Gradients]) -> int:
    counts = {len(gradients) for gradients in task_gradients}
    if len(counts) != 1:
        raise ValueError(
            "every task needs one gradient (or None) for each shared parameter, "
            f"but the {len(task_gradients)} tasks have {[len(gradients) for gradients in task_gradients]}"
        )
    return counts.pop()


def _weighting_of_each(
    groups: Sequence[Sequence[int]], weighting: Weighting | Sequence[Weighting], count: int
) -> Sequence[Weighting]:
    if sorted(index for group in groups for index in group) != list(range(count)):
        raise ValueError(f"the groups must name each of the {count} parameters exactly once")
    for rule in weighting if isinstance(weighting, Sequence) else [weighting]:
        _require_weighting(rule)
    if not isinstance(weighting, Sequence):
        if len(groups) > 1 and isinstance(weighting, StatefulWeighting) and weighting.state_dict():
            name = type(weighting).__name__
            raise ValueError(f"{name} has a state: give a list of {len(groups)}, one for each group")
        return [weighting] * len(groups)
    if len(weighting) != len(groups):
        raise ValueError(f"{len(groups)} groups need as many weightings, not {len(weighting)}")
    return weighting
