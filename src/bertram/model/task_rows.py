"""Each task's gradient of the shared weights, from one packed backward pass.

The tokens of different tasks never mix. So in a packed pass of all tasks, the gradient of the sum of the losses with
respect to the output Y of a layer is, on the rows of a task t, the gradient of that task's loss alone. For y = x Wᵀ + b
the gradients of task t are dYₜᵀ Xₜ and the sum of dYₜ, over the rows of t: the products of a plain backward pass, cut
by rows. Likewise the weights of norms and the rows of tables.

PyTorch carries dY from layer to layer, as ever. A `Function` beside each layer sees dY and X, and gives each task's
gradient to a leaf of that task, which stands for the weight and has no memory of its own. Where only the gradient of
the inputs is asked for, as in SMART's ascent, PyTorch leaves these functions out.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def _row_multiple() -> int:
    """The number whose multiples the rows of bf16 operands are, see `bertram.model.linear`: 64 with AMX, else 32."""
    has_amx: Callable[[], bool] = getattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    return 64 if has_amx() else 32


ROWS = _row_multiple()


class TaskLeaves:
    """One leaf for each task and shared parameter, in the place of the parameter.

    Args:
        with_sum: True if the parameters themselves get the gradient of the sum, besides.
    """

    def __init__(self, *, with_sum: bool = False) -> None:
        self.with_sum = with_sum
        self._leaves: dict[Tensor, dict[str, Tensor]] = {}

    def of(self, parameter: Tensor, task: str, like: Tensor | None = None) -> Tensor:
        """The leaf of a task and a parameter; an alias of `like`, by default of the parameter."""
        leaves = self._leaves.setdefault(parameter, {})
        if task not in leaves:
            leaves[task] = (parameter if like is None else like).detach().requires_grad_()
        return leaves[task]

    def value(self, parameter: Tensor) -> Tensor:
        """The parameter for a forward pass: with its graph if it gets a gradient itself."""
        return parameter if self.with_sum else parameter.detach()

    def by_task(self, parameter: Tensor) -> list[tuple[str, Tensor]]:
        """The tasks whose rows have met a parameter, each with its leaf."""
        return list(self._leaves.get(parameter, {}).items())


class Cut:
    """The rows of each task in tensors with one number of rows.

    Args:
        task_of: [n] number of each row's task.
        count: number T of tasks.
    """

    def __init__(self, task_of: Tensor, count: int) -> None:
        self.count = count
        self._rows = len(task_of)
        self._sizes = torch.bincount(task_of, minlength=count).tolist()
        self._order = torch.argsort(task_of, stable=True)
        tasks = torch.arange(count, device=task_of.device)
        self._members = (tasks[:, None] == task_of).float()  # [T, n]
        self._places: dict[int, tuple[Tensor, list[int]]] = {}

    def sums(self, x: Tensor) -> Tensor:
        """The sum of each task's rows, [n or more, H] to [T, H]."""
        return self._members @ x[: self._rows].float()

    def parts(self, grad: Tensor, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """The rows of each task in a gradient and further tensors, [n or more, ...].

        In bf16, where products take a multiple of `ROWS` rows, rows of zeros follow those of the gradient.
        """
        order, bounds = self._order_with(ROWS if grad.dtype == torch.bfloat16 else 1)
        sorted_rows = [x.index_select(0, order) for x in (grad, *tensors)]
        return [tuple(x[begin:end] for x in sorted_rows) for begin, end in pairwise(bounds)]

    def _order_with(self, multiple: int) -> tuple[Tensor, list[int]]:
        """The rows task by task, each task's filled up to a multiple with row n, and where each task begins and ends.

        `bf16_operand` sees to it that there is a row n, and that it is zero.
        """
        if multiple not in self._places:
            filled = [-(-size // multiple) * multiple for size in self._sizes]
            parts = [
                F.pad(rows, (0, length - len(rows)), value=self._rows)
                for rows, length in zip(self._order.split(self._sizes), filled, strict=True)
            ]
            self._places[multiple] = torch.cat(parts), [0, *accumulate(filled)]
        return self._places[multiple]


class TaskRows:
    """The tasks of the rows of a pass, and the leaves that get their gradients.

    Args:
        leaves: leaves of the step.
        tasks: names of the pass's tasks.
        token_tasks: [N] number of each token's task.
        sequence_tasks: [S] number of each packed sequence's task.
    """

    def __init__(self, leaves: TaskLeaves, tasks: Sequence[str], token_tasks: Tensor, sequence_tasks: Tensor) -> None:
        self.leaves, self.tasks, self.sequence_tasks = leaves, tuple(tasks), sequence_tasks
        self._cuts = {len(rows): Cut(rows, len(tasks)) for rows in (token_tasks, sequence_tasks)}

    def of(self, parameter: Tensor, like: Tensor | None = None) -> list[Tensor]:
        """The leaf of each task of the pass for a parameter; see `TaskLeaves.of`."""
        return [self.leaves.of(parameter, task, like) for task in self.tasks]

    def in_place_of(self, parameter: Tensor) -> list[Tensor]:
        """The parameter for each task of the pass, for uses that tell the tasks apart themselves."""
        value = self.leaves.value(parameter)
        return [leaf + (value - parameter.detach()) for leaf in self.of(parameter)]

    def cut(self, rows: int) -> Cut:
        """The cut of tensors with so many rows: N, or S."""
        return self._cuts[rows]

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """X Wᵀ + b."""
        y = F.linear(x, self.leaves.value(weight), None if bias is None else self.leaves.value(bias))
        return self.with_gradients(y, x, len(x), weight, bias)

    def with_gradients(
        self, y: Tensor, x: Tensor, rows: int, weight: Tensor, bias: Tensor | None, like: Tensor | None = None
    ) -> Tensor:
        """The outputs y = x Wᵀ + b of a product, which was computed without the parameters' graph.

        Args:
            y: outputs, [rows or more, outputs].
            x: inputs, [rows or more, inputs].
            rows: number of rows that count; those below are zeros in `x` and in the gradient of `y`.
            weight: parameter W.
            bias: parameter b.
            like: tensor of the type in which W's gradient is wanted.
        """
        if not weight.requires_grad:
            return y
        biases = [] if bias is None else self.of(bias)
        beside = _Products.apply(x.detach(), y.shape[1], self.cut(rows), *self.of(weight, like), *biases)  # type: ignore[no-untyped-call]
        return _Joined.apply(y, beside)  # type: ignore[no-untyped-call, no-any-return]

    def plus(self, y: Tensor, bias: Tensor) -> Tensor:
        """The rows plus a bias, in place."""
        y.add_(self.leaves.value(bias))
        if not bias.requires_grad:
            return y
        gradients = _Sums.apply(y.detach(), self.cut(len(y)), *self.of(bias))  # type: ignore[no-untyped-call]
        return _Joined.apply(y, gradients)  # type: ignore[no-untyped-call, no-any-return]

    def layer_norm(self, x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
        """Each row's normalized coordinates, times `weight`, plus `bias`."""
        shift = None if bias is None else self.leaves.value(bias)
        y, mean, rstd = torch.native_layer_norm(x, [x.shape[1]], self.leaves.value(weight), shift, eps)
        if not weight.requires_grad:
            return y
        biases = [] if bias is None else self.of(bias)
        beside = _Norms.apply(x.detach(), mean.detach(), rstd.detach(), self.cut(len(x)), *self.of(weight), *biases)  # type: ignore[no-untyped-call]
        return _Joined.apply(y, beside)  # type: ignore[no-untyped-call, no-any-return]

    def embedding(self, index: Tensor, table: Tensor) -> Tensor:
        """Rows of a table, [n] to [n, H]."""
        y = F.embedding(index, self.leaves.value(table))
        if not table.requires_grad:
            return y
        return _Joined.apply(y, _Rows.apply(index, y.shape[1], self.cut(len(index)), *self.of(table)))  # type: ignore[no-untyped-call, no-any-return]


def _zeros(like: Tensor, rows: int, width: int) -> Tensor:
    """Zeros without memory of their own."""
    return like.new_zeros(()).expand(rows, width)


class _Joined(torch.autograd.Function):
    """The first input; both get its gradient."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, beside: Tensor) -> Tensor:  # noqa: ARG004
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG004
        return grad, grad


class _Products(torch.autograd.Function):
    """Each task's gradients of the weight and bias of a product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, outputs: int, cut: Cut, *leaves: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.cut, ctx.has_bias = cut, len(leaves) > cut.count
        return _zeros(x, len(x), outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        weights = [grad_of_task.t() @ x_of_task for grad_of_task, x_of_task in ctx.cut.parts(grad, x)]
        biases = ctx.cut.sums(grad).unbind() if ctx.has_bias else ()
        return (None, None, None, *weights, *biases)


class _Sums(torch.autograd.Function):
    """Each task's gradient of a bias."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, cut: Cut, *leaves: Tensor) -> Tensor:  # noqa: ARG004
        ctx.cut = cut
        return _zeros(y, *y.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *ctx.cut.sums(grad).unbind())


class _Norms(torch.autograd.Function):
    """Each task's gradients of the weight and bias of a norm."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor, rstd: Tensor, cut: Cut, *leaves: Tensor) -> Tensor:
        ctx.save_for_backward(x, mean, rstd)
        ctx.cut, ctx.has_bias = cut, len(leaves) > cut.count
        return _zeros(x, *x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, rstd = ctx.saved_tensors
        weights = ctx.cut.sums((x - mean).mul_(rstd).mul_(grad)).unbind()
        biases = ctx.cut.sums(grad).unbind() if ctx.has_bias else ()
        return (None, None, None, None, *weights, *biases)


class _Rows(torch.autograd.Function):
    """Each task's gradient of a table."""

    @staticmethod
    def forward(ctx: Any, index: Tensor, width: int, cut: Cut, *leaves: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.cut, ctx.size = cut, len(leaves[0])
        return _zeros(leaves[0], len(index), width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved_tensors
        parts = ctx.cut.parts(grad, index[:, None])
        return (None, None, None, *(_summed_rows(rows, places[:, 0], ctx.size) for rows, places in parts))


def _summed_rows(rows: Tensor, index: Tensor, size: int) -> Tensor:
    """The sum of the rows of each index, [n, H] to [size, H]."""
    return torch.ops.aten.embedding_dense_backward(rows, index, size, -1, False)  # type: ignore[no-any-return]
