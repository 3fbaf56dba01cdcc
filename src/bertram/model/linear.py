"""Linear layers in fp32 or bf16: the one place where a precision is chosen.

In bf16 the matrix multiplications take bf16 operands and everything around them stays fp32. The cast of a weight is
kept until the weight changes, so it is made once per update and not once per pass. Packed batches have a different
number of rows in each step; on a CPU with AMX, a bf16 product takes four times as long as one with a multiple of 64
rows, and each new number of rows compiles and keeps a kernel. So the operands are padded with rows of zeros, which
change no result: up to a multiple of 64, or of 32 without AMX. The feed-forward part stays in bf16 from product to
product, forward and backward.
"""

import time
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.model.task_rows import ROWS, TaskRows

Precision = Literal["fp32", "bf16"]


class Linear(nn.Module):
    """y = x Wᵀ + b, with W [outputs, inputs], and b unless `bias` is False."""

    bias: nn.Parameter  # as in PyTorch's own, None without one

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.register_parameter("bias", nn.Parameter(torch.zeros(outputs)) if bias else None)
        self.precision: Precision = "fp32"
        self._casts: dict[str, _Cast] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_casts": {}}  # a copy has weights, and so casts, of its own

    def forward(self, x: Tensor, tasks: TaskRows | None = None) -> Tensor:
        """[rows, inputs] to [rows, outputs].

        Args:
            x: inputs.
            tasks: tasks of the rows, where each task's gradient is wanted.
        """
        if self.precision == "fp32":
            return F.linear(x, self.weight, self.bias) if tasks is None else tasks.linear(x, self.weight, self.bias)
        return self.from_bf16(bf16_operand(x), len(x), tasks)

    def from_bf16(self, x: Tensor, rows: int, tasks: TaskRows | None = None) -> Tensor:
        """The outputs of a bf16 operand's first rows, in fp32; the arguments are those of `product`."""
        y = real_rows(self.product(x, rows, tasks), rows)
        if self.bias is None:
            return y
        return y.add_(self.bias) if tasks is None else tasks.plus(y, self.bias)

    def product(self, x: Tensor, rows: int, tasks: TaskRows | None, *, with_bias: bool = False) -> Tensor:
        """The product in bf16.

        Args:
            x: inputs that `bf16_operand` made, bf16 [more rows, inputs].
            rows: number of rows that count.
            tasks: as in `forward`.
            with_bias: True to add the bias before the result is rounded.

        Returns:
            bf16 [more rows, outputs].
        """
        bias = self.bias if with_bias else None
        casts = [self._cast("weight"), *([] if bias is None else [self._cast("bias")])]
        if tasks is not None and not tasks.leaves.with_sum:
            y = F.linear(x, *casts)
        else:
            parameters = (self.weight, bias)
            y = F.linear(x, *(_CachedCast.apply(p, cast) for p, cast in zip(parameters, casts, strict=False)))  # type: ignore[no-untyped-call]
        return y if tasks is None else tasks.with_gradients(y, x, rows, self.weight, bias, like=casts[0])

    def _cast(self, name: str) -> Tensor:
        """A parameter in bf16."""
        parameter = self.get_parameter(name)
        cast = self._casts.get(name)
        if cast is None or not cast.is_of(parameter):
            cast = self._casts[name] = _Cast(parameter)
        return cast.value


def feed_forward(up: Linear, down: Linear, x: Tensor, tasks: TaskRows | None = None) -> Tensor:
    """The linear layer `down` of the GELU of the linear layer `up` of some rows; in bf16 all the way, or in fp32."""
    if up.precision == "fp32":
        return down(F.gelu(up(x, tasks)), tasks)  # type: ignore[no-any-return]
    inner = F.gelu(up.product(bf16_operand(x), len(x), tasks, with_bias=True))
    return down.from_bf16(inner, len(x), tasks)


class _Cast:
    """The cast of a parameter to bf16, as it was at one moment."""

    def __init__(self, parameter: Tensor) -> None:
        with torch.inference_mode(mode=False):  # a cast made while predicting must serve in training too
            self.value = parameter.detach().to(torch.bfloat16)
        self._of = (parameter, parameter._version, parameter.device)

    def is_of(self, parameter: Tensor) -> bool:
        """Whether the parameter has not changed since."""
        return self._of[0] is parameter and self._of[1:] == (parameter._version, parameter.device)


def bf16_operand(x: Tensor) -> Tensor:
    """[rows, n] in fp32 to a bf16 operand, [more rows, n]: at least one row of zeros, up to a multiple of `ROWS`."""
    return _Filled.apply(x)  # type: ignore[no-untyped-call, no-any-return]


def real_rows(y: Tensor, rows: int) -> Tensor:
    """The rows of a bf16 product that are of real operands, in fp32."""
    return _RealRows.apply(y, rows)  # type: ignore[no-untyped-call, no-any-return]


def _fill(x: Tensor) -> Tensor:
    """[rows, n] to bf16 [more rows, n], zeros below."""
    rows = len(x)
    filled = x.new_empty((rows // ROWS + 1) * ROWS, x.shape[1], dtype=torch.bfloat16)
    filled[:rows] = x
    filled[rows:] = 0
    return filled


class _Filled(torch.autograd.Function):
    """fp32 rows as a bf16 operand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        return _fill(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad[: ctx.rows].float()


class _RealRows(torch.autograd.Function):
    """The rows of a bf16 product that are of real operands, in fp32."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, rows: int) -> Tensor:  # noqa: ARG004
        return y[:rows].float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return _fill(grad), None


class _CachedCast(torch.autograd.Function):
    """A weight's cast that was made before, with the weight's gradient.

    The product itself is left to PyTorch: it knows which gradients are asked for, and SMART's ascent asks for that of
    the input alone.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, cast: Tensor) -> Tensor:  # noqa: ARG004
        return cast.view_as(cast)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return grad.float(), None


def choose_precision(
    setting: Literal["auto", "fp32", "bf16"], device: torch.device, measured: Precision | None = None
) -> Precision:
    """bf16 where it is wanted, a GPU has it, or a short measurement finds it faster on a processor that has it.

    Args:
        setting: precision of the configuration.
        device: device of the multiplications.
        measured: outcome of an earlier measurement, which is not repeated; None to measure.
    """
    if setting != "auto":
        return setting
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capability = torch.backends.cpu.get_cpu_capability()
    if "AVX512" not in capability and "SVE" not in capability:
        return "fp32"
    if measured is not None:
        return measured
    x, w = torch.randn(512, 384), torch.randn(1536, 384)
    return "bf16" if _seconds(x.bfloat16(), w.bfloat16()) < 0.8 * _seconds(x, w) else "fp32"


def _seconds(x: Tensor, weight: Tensor) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        F.linear(x, weight)
        best = min(best, time.perf_counter() - start)
    return best
