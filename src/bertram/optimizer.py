"""AdamW (Loshchilov & Hutter, 2019), parameter groups and learning-rate schedules."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor


class AdamW(torch.optim.Optimizer):
    """AdamW in the efficient bias-correction form of Adam (Kingma & Ba, 2015, end of section 2).

    lr_t = lr·√(1-β₂ᵗ)/(1-β₁ᵗ); p ← p - lr_t·m/(√v + ε); then the decoupled decay p ← p - lr·wd·p.
    ε is not corrected. A parameter without a gradient is left alone, decay included. A sparse gradient moves and
    decays only its rows, as `torch.optim.SparseAdam` does: a row's moments move when the row is used, while t counts
    all steps of the parameter.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        betas: decay rates of the two moments.
        eps: ε.
        weight_decay: wd.
        correct_bias: False leaves the factor √(1-β₂ᵗ)/(1-β₁ᵗ) out.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        correct_bias: bool = True,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "correct_bias": correct_bias,
        }  # fmt: skip
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            dense = [p for p in group["params"] if p.grad is not None and not p.grad.is_sparse]
            sparse = [p for p in group["params"] if p.grad is not None and p.grad.is_sparse]
            _fused_update(dense, [self._state(p) for p in dense], group)
            for parameter in sparse:
                _row_update(parameter, self._state(parameter), group)
        return loss

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["m"] = torch.zeros_like(parameter)
            state["v"] = torch.zeros_like(parameter)
        return state


def _fused_update(params: list[Tensor], states: list[dict[str, Tensor]], group: Mapping[str, Any]) -> None:
    """PyTorch's fused kernel, with its arguments chosen so that it computes the form above.

    The kernel decays first and corrects ε: p ← (1 - lr'·wd')·p - (lr'/(1-β₁ᵗ))·m/(√v/√(1-β₂ᵗ) + ε').
    Equal with lr' = lr·(1 - lr·wd) [times its share without correction], wd' = wd/(1 - lr·wd), ε' = ε/√(1-β₂ᵗ).
    """
    by_step: dict[float, list[int]] = {}
    for number, state in enumerate(states):
        by_step.setdefault(float(state["step"]), []).append(number)
    for past, numbers in by_step.items():
        first, second = _corrections(group["betas"], past + 1)
        rate = 1.0 if group["correct_bias"] else first / second
        shrink = 1.0 - group["lr"] * group["weight_decay"]
        torch._fused_adamw_(
            [params[i] for i in numbers],
            [grad for i in numbers if (grad := params[i].grad) is not None],
            [states[i]["m"] for i in numbers],
            [states[i]["v"] for i in numbers],
            [],
            [states[i]["step"].add_(1) for i in numbers],
            lr=group["lr"] * shrink * rate,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"] / shrink / rate,
            eps=group["eps"] / second,
            amsgrad=False,
            maximize=False,
        )
    for parameter in params:
        torch.autograd.graph.increment_version(parameter)  # the kernel does not; casts of weights are kept by version


def _row_update(parameter: Tensor, state: dict[str, Tensor], group: Mapping[str, Any]) -> None:
    """The same update for the rows of a sparse gradient only."""
    assert parameter.grad is not None
    grad = parameter.grad.coalesce()
    rows, values = grad.indices()[0], grad.values()
    state["step"] += 1
    beta1, beta2 = group["betas"]
    first, second = _corrections(group["betas"], float(state["step"]))
    rate = group["lr"] * (second / first if group["correct_bias"] else 1.0)
    m = state["m"][rows].mul_(beta1).add_(values, alpha=1 - beta1)
    v = state["v"][rows].mul_(beta2).addcmul_(values, values, value=1 - beta2)
    state["m"][rows], state["v"][rows] = m, v
    moved = parameter[rows].addcdiv_(m, v.sqrt().add_(group["eps"]), value=-rate)
    parameter[rows] = moved.mul_(1.0 - group["lr"] * group["weight_decay"])


def _corrections(betas: tuple[float, float], step: float) -> tuple[float, float]:
    """1 - β₁ᵗ and √(1 - β₂ᵗ)."""
    return 1 - betas[0] ** step, math.sqrt(1 - betas[1] ** step)


def clip(gradients: Sequence[Tensor | None], norm: float, largest: float) -> None:
    """Scale gradients of a known joint norm down to a largest one, in place; 0 means no limit."""
    if largest and norm > largest:
        torch._foreach_mul_([g for g in gradients if g is not None], largest / norm)


def global_norm(gradients: Iterable[Tensor | None]) -> float:
    """The Euclidean norm of all gradients together; not finite if any of them is not."""
    there = [g for g in gradients if g is not None]
    if not there:
        return 0.0
    return float(torch.linalg.vector_norm(torch.stack([norm.double() for norm in torch._foreach_norm(there)])))


def schedule(step: int, total: int, warmup: float, decay: Literal["constant", "linear", "cosine"]) -> float:
    """The factor of the learning rate in a step.

    Args:
        step: how many steps were taken before.
        total: of the run.
        warmup: share of the steps in which it rises linearly.
        decay: how it falls to zero afterwards.
    """
    rising = round(warmup * total)
    if step < rising:
        return (step + 1) / rising
    if decay == "constant":
        return 1.0
    done = (step - rising) / max(total - rising, 1)
    return 1.0 - done if decay == "linear" else 0.5 * (1 + math.cos(math.pi * done))
