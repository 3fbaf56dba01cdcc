"""Linear layers in fp32 or bf16: the one place where a precision is chosen.

In bf16 the matrix multiplications take bf16 operands and everything around them stays fp32. The cast of a weight is
kept until the weight changes, so it is made once per update and not once per pass. Packed batches have a different
number of rows in each step; on a CPU with AMX, a bf16 product takes four times as long as one with a multiple of 64
rows, and each new number of rows compiles and keeps a kernel. So the operands are padded with rows of zeros, which
change no result.
"""

import time
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]
ROWS = 64  # bf16 operands have a multiple of so many


class Linear(nn.Module):
    """y = x Wᵀ + b, with W [outputs, inputs], and b unless `bias` is False."""

    bias: nn.Parameter  # as in PyTorch's own, None without one

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.register_parameter("bias", nn.Parameter(torch.zeros(outputs)) if bias else None)
        self.precision: Precision = "fp32"
        self._cast: Tensor | None = None
        self._cast_of: tuple[Tensor, int, torch.device] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cast": None, "_cast_of": None}  # a copy has weights, and so a cast, of its own

    def forward(self, x: Tensor) -> Tensor:
        """[rows, inputs] to [rows, outputs]."""
        if self.precision == "fp32":
            return F.linear(x, self.weight, self.bias)
        weight: Tensor = _CachedCast.apply(self.weight, self._bf16_weight())  # type: ignore[no-untyped-call]
        filled: Tensor = _Filled.apply(x)  # type: ignore[no-untyped-call]
        y: Tensor = _RealRows.apply(F.linear(filled, weight), len(x))  # type: ignore[no-untyped-call]
        return y if self.bias is None else y.add_(self.bias)

    def _bf16_weight(self) -> Tensor:
        cast_of, now = self._cast_of, (self.weight, self.weight._version, self.weight.device)
        if self._cast is None or cast_of is None or cast_of[0] is not now[0] or cast_of[1:] != now[1:]:
            with torch.inference_mode(mode=False):  # a cast made while predicting must serve in training too
                self._cast = self.weight.detach().to(torch.bfloat16)
            self._cast_of = now
        return self._cast


def _fill(x: Tensor) -> Tensor:
    """[rows, n] to bf16 [rows or more, n], zeros below."""
    rows = len(x)
    filled = x.new_empty(-(-rows // ROWS) * ROWS, x.shape[1], dtype=torch.bfloat16)
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


def choose_precision(setting: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """bf16 where it is wanted, a GPU has it, or a short measurement finds it faster on a processor that has it."""
    if setting != "auto":
        return setting
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capability = torch.backends.cpu.get_cpu_capability()
    if "AVX512" not in capability and "SVE" not in capability:
        return "fp32"
    x, w = torch.randn(512, 384), torch.randn(1536, 384)
    return "bf16" if _seconds(x.bfloat16(), w.bfloat16()) < 0.8 * _seconds(x, w) else "fp32"


def _seconds(x: Tensor, weight: Tensor) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        F.linear(x, weight)
        best = min(best, time.perf_counter() - start)
    return best
