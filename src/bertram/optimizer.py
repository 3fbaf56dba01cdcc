"""AdamW (Loshchilov & Hutter, 2019), parameter groups and learning-rate schedules."""

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

    Raises:
        ValueError: a value that cannot work, such as a negative learning rate, or a complex parameter.
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

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters.

        Raises:
            ValueError: its values cannot work, or a parameter is complex.
        """
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        problems = list(_problems(group))
        if any(parameter.is_complex() for parameter in group["params"]):
            problems.append("params: complex parameters are not supported")
        if problems:
            self.param_groups.pop()
            raise ValueError("AdamW: " + "; ".join(problems))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the `state_dict` of this class.

        Raises:
            ValueError: it is the state of another optimizer, such as `torch.optim.AdamW`.
        """
        missing = [
            name
            for part, names in ((state_dict["param_groups"], OPTIONS), (state_dict["state"].values(), STATE))
            for name in names
            if any(name not in values for values in part)
        ]
        if missing:
            raise ValueError(f"AdamW: the state is that of another optimizer: {', '.join(missing)} missing")
        super().load_state_dict(state_dict)
        for parameter, state in self.state.items():
            state["step"] = state["step"].to(parameter.device)  # PyTorch moves the moments alone

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            dense = [p for p in group["params"] if p.grad is not None and not p.grad.is_sparse]
            sparse = [p for p in group["params"] if p.grad is not None and p.grad.is_sparse]
            for parameters in _of_one_kind(dense):
                _fused_update(parameters, [self._state(p) for p in parameters], group)
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


OPTIONS = ("lr", "betas", "eps", "weight_decay", "correct_bias")  # of each group
NOT_OFFERED = ("amsgrad", "maximize", "foreach", "capturable", "differentiable", "fused")  # options of PyTorch's AdamW
STATE = ("step", "m", "v")  # of each parameter: steps taken and the two moments
WEIGHTS, GRADIENT, FIRST_MOMENT, SECOND_MOMENT = range(4)  # places in `_tensors`


def _problems(group: Mapping[str, Any]) -> Iterator[str]:
    """The values of a group that cannot work."""
    for name in ("lr", "eps", "weight_decay"):
        if not 0 <= group[name] < math.inf:
            yield f"{name} = {group[name]}: must be 0 or more"
    betas = group["betas"]
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        yield f"betas = {betas}: must be two numbers from 0 to below 1"
    unexpected = group.keys() - {"params", "param_names", *OPTIONS}
    for name in sorted(unexpected):
        close = difflib.get_close_matches(name, OPTIONS, 1)
        if close:
            yield f"{name}: unknown option of a group; did you mean {close[0]}?"
        elif name in NOT_OFFERED and group[name]:
            yield f"{name}: this class has no such option; it has {', '.join(OPTIONS)}"


def _of_one_kind(parameters: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """The parameters, together where they are on one device and of one type, as the kernel needs them."""
    groups: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for parameter in parameters:
        groups.setdefault((parameter.device, parameter.dtype), []).append(parameter)
    yield from groups.values()


def _tensors(parameter: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Weights, gradient and moments."""
    assert parameter.grad is not None
    return parameter, parameter.grad, state["m"], state["v"]


def _same_layout(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The tensors if their memory is laid out alike, else contiguous copies: the kernel ignores strides.

    The moments have no gaps, so that a view with gaps differs from them.
    """
    if len({tensor.stride() for tensor in tensors}) == 1:
        return tensors
    return tuple(tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors)


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
        shrink = (1.0 - group["lr"] * group["weight_decay"]) or 2.0**-60  # a decay to 0 exactly would divide by 0
        originals = [_tensors(params[i], states[i]) for i in numbers]
        laid_out = [_same_layout(tensors) for tensors in originals]
        weights, gradients, m, v = ([*column] for column in zip(*laid_out, strict=True))
        torch._fused_adamw_(
            weights,
            gradients,
            m,
            v,
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
        for tensors, copies in zip(originals, laid_out, strict=True):
            if copies is not tensors:
                for place in (WEIGHTS, FIRST_MOMENT, SECOND_MOMENT):
                    tensors[place].copy_(copies[place])
    for parameter in params:
        torch.autograd.graph.increment_version(parameter)  # the kernel does not; casts of weights are kept by version


def _row_update(parameter: Tensor, state: dict[str, Tensor], group: Mapping[str, Any]) -> None:
    """Update of the rows of a sparse gradient."""
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
    present = [g for g in gradients if g is not None]
    if not present:
        return 0.0
    return float(torch.linalg.vector_norm(torch.stack([norm.double() for norm in torch._foreach_norm(present)])))


DECAYS: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,  # noqa: ARG005
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}
"""The factor of the learning rate by the share of the steps done since the warmup."""


def schedule(step: int, total: int, warmup: float, decay: Literal["constant", "linear", "cosine"]) -> float:
    """The factor of the learning rate in a step.

    Args:
        step: number of steps taken before.
        total: number of steps of the run.
        warmup: share of the steps in which the rate rises linearly.
        decay: name of the way it falls afterwards, one of `DECAYS`.
    """
    rising = round(warmup * total)
    if step < rising:
        return (step + 1) / rising
    return DECAYS[decay]((step - rising) / max(total - rising, 1))
