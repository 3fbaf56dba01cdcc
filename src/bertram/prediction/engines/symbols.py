"""PyTorch's operations on values that are not computed but written to an ONNX graph.

A `Symbol` stands for a tensor: modules of PyTorch take it, and each operation on it adds nodes to the graph. So a
graph is the code of the model itself. A tensor without numbers (on PyTorch's device `meta`) goes with it through
the same operations, and tells type and number of axes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bertram.errors import BertramError
from bertram.prediction.engines.onnx_graph import OnnxGraph

ELEMENT_TYPES = {torch.float32: 1, torch.int64: 7, torch.bool: 9}
NUMPY_TYPES = {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}
UNTIL_THE_END = (1 << 31) - 1


class UnknownOperationError(BertramError):
    """An operation of PyTorch's that has no ONNX form here."""


class Symbol:
    """A result in a graph, in place of a tensor.

    Args:
        trace: graph and weights.
        name: name of the result.
        meta: tensor without numbers of the same type and number of axes; sizes that can vary are arbitrary.
    """

    def __init__(self, trace: "Trace", name: str, meta: Tensor) -> None:
        self.trace, self.name, self.meta = trace, name, meta

    @property
    def shape(self) -> torch.Size:
        """Sizes of the axes; only those that never vary mean something."""
        return self.meta.shape

    @property
    def dtype(self) -> torch.dtype:
        """Type of the elements."""
        return self.meta.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.meta.ndim

    @property
    def device(self) -> torch.device:
        """Device of the graph's constants."""
        return torch.device("cpu")

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Write an operation of PyTorch's to the graph."""
        trace = next(value.trace for value in _flat(args, kwargs or {}) if isinstance(value, Symbol))
        return trace.apply(function.__name__, args, kwargs or {}, function)

    def __getattr__(self, name: str) -> Any:
        if name not in OPERATIONS:
            raise AttributeError(f"{name} has no ONNX form")
        return partial(self._method, name)

    def _method(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.trace.apply(name, (self, *args), kwargs)


def _operator(name: str) -> Callable[..., Any]:
    def apply(self: Symbol, *args: Any) -> Any:
        return self.trace.apply(name, (self, *args), {})

    return apply


_OPERATORS = (
    *("add", "sub", "mul", "matmul", "truediv", "pow", "neg", "abs", "invert", "getitem"),
    *("gt", "lt", "ge", "le", "and", "or", "lshift", "radd", "rmul", "rsub", "rtruediv"),
)
for _name in _OPERATORS:
    setattr(Symbol, f"__{_name}__", _operator(_name))


class Trace:
    """A graph that is written by running modules of PyTorch on symbols.

    Args:
        graph: graph that is written.
        names: name of each weight, by the id of its tensor.
    """

    def __init__(self, graph: OnnxGraph, names: Mapping[int, str]) -> None:
        self.graph, self.names = graph, names
        self._computed: list[Tensor] = []  # weights that the modules compute; kept, so that no other gets their ids

    def symbol(self, name: str, *sizes: int, dtype: torch.dtype = torch.float32) -> Symbol:
        """A symbol for a result that the graph has already."""
        return Symbol(self, name, torch.empty(sizes, dtype=dtype, device="meta"))

    def apply(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], function: Any = None) -> Any:
        """The result of an operation as a symbol, or as several.

        Raises:
            UnknownOperationError: the operation has no ONNX form here.
        """
        name = name.strip("_")
        write = OPERATIONS.get(name)
        if write is None:
            raise UnknownOperationError(f"the operation {name} of PyTorch has no ONNX form here; use --engine torch")
        meta = _on_meta(name, args, kwargs, function)
        results = write(self, meta, *args, **kwargs)
        if isinstance(meta, Tensor):
            return Symbol(self, results, meta)
        return tuple(Symbol(self, result, part) for result, part in zip(results, meta, strict=True))

    def name(self, value: Any, like: torch.dtype | None = None) -> str:
        """The name of a symbol, a weight or a number in the graph.

        Args:
            value: symbol, tensor or number.
            like: type of a number; default: that of the tensor.
        """
        if isinstance(value, Symbol):
            return value.name if like in (None, value.dtype) else self.cast(value.name, like)
        if isinstance(value, Tensor):
            array = value.detach().numpy()
            name = self.names.get(id(value))
            stored = self.graph.constant(array) if name is None else self.graph.weight(name, array)
            return stored if like in (None, value.dtype) else self.cast(stored, like)
        return self.graph.constant(value, NUMPY_TYPES[like or torch.float32])

    def cast(self, name: str, dtype: torch.dtype) -> str:
        """A result in another type."""
        return str(self.graph.add("Cast", [name], to=ELEMENT_TYPES[dtype]))

    def weight_name(self, tensor: Tensor) -> str:
        """The name of a weight, also of one that a module computes from others."""
        name = self.names.get(id(tensor))
        if name is None:
            self._computed.append(tensor)
            name = f"computed {len(self._computed)}"
        return name


def _flat(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    values: list[Any] = []
    for value in (*args, *kwargs.values()):
        values += value if isinstance(value, list | tuple) else [value]
    return values


def _meta_of(value: Any) -> Any:
    if isinstance(value, Symbol):
        return value.meta
    if isinstance(value, Tensor):
        return value.detach().to("meta")
    if isinstance(value, list | tuple):
        return type(value)(map(_meta_of, value))
    return value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "truediv": lambda x, y: x / y,
    "rtruediv": lambda x, y: y / x,
    "rdiv": lambda x, y: y / x,
    "rsub": lambda x, y: y - x,
    "radd": lambda x, y: y + x,
    "rmul": lambda x, y: y * x,
    "getitem": lambda x, key: x[key],
    "float": lambda x: x.float(),
    "long": lambda x: x.long(),
    "bool": lambda x: x.bool(),
    "to": lambda x, *args, **_: x.to(args[0]) if isinstance(args[0], torch.dtype) else x,
    "and": lambda x, y: x & y,
    "lshift": lambda x, y: x << y,
    "or": lambda x, y: x | y,
    "invert": lambda x: ~x,
    "pow": lambda x, y: x**y,
    "cosine_similarity": torch.nn.functional.cosine_similarity,
    "embedding": torch.nn.functional.embedding,
}


def _on_meta(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], function: Any) -> Any:
    call = FUNCTIONS.get(name) or function or getattr(Tensor, name, None) or getattr(torch, name)
    return call(*map(_meta_of, args), **{key: _meta_of(value) for key, value in kwargs.items()})


# Each writes an operation: from the trace, the result without numbers, and the operation's arguments, to result names.


def _binary(operator: str, *, logical: bool = False, swapped: bool = False) -> Callable[..., str]:
    def write(trace: Trace, meta: Tensor, x: Any, y: Any) -> str:
        like = _common_type(x, y) if logical else meta.dtype
        names = [trace.name(x, like), trace.name(y, like)]
        return str(trace.graph.add(operator, names[::-1] if swapped else names))

    return write


def _common_type(x: Any, y: Any) -> torch.dtype:
    metas = [_meta_of(value) for value in (x, y)]
    return torch.result_type(*metas)


def _unary(operator: str) -> Callable[..., str]:
    def write(trace: Trace, meta: Tensor, x: Symbol) -> str:
        return str(trace.graph.add(operator, [trace.name(x, meta.dtype)]))

    return write


def _reduce(operator: str) -> Callable[..., str]:
    def write(trace: Trace, meta: Tensor, x: Symbol, dim: Any = None, keepdim: bool = False) -> str:
        if dim is None:
            axes = list(range(x.ndim))
        else:
            axes = [axis % x.ndim for axis in (dim if isinstance(dim, list | tuple) else [dim])]
        inputs = [trace.name(x, meta.dtype), trace.graph.constant(axes, "int64")]
        return str(trace.graph.add(operator, inputs, keepdims=int(keepdim)))

    return write


def _cast(trace: Trace, meta: Tensor, x: Symbol, *_: Any, **__: Any) -> str:
    return x.name if x.dtype == meta.dtype else trace.cast(x.name, meta.dtype)


def _linear(trace: Trace, _: Tensor, x: Symbol, weight: Tensor, bias: Tensor | None = None) -> str:
    bias_name = None if bias is None else trace.name(bias)
    return trace.graph.linear(x.name, trace.weight_name(weight), weight.detach().numpy(), bias_name)


def _embedding(trace: Trace, _: Tensor, places: Symbol, table: Tensor, *__: Any, **___: Any) -> str:
    return trace.graph.rows(trace.weight_name(table), table.detach().numpy(), places.name)


def _layer_norm(
    trace: Trace, _: Tensor, x: Symbol, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> str:
    scale = trace.name(torch.ones(tuple(shape)) if weight is None else weight)
    inputs = [x.name, scale, *([] if bias is None else [trace.name(bias)])]
    return str(trace.graph.add("LayerNormalization", inputs, axis=-len(shape), epsilon=eps))


def _gelu(trace: Trace, _: Tensor, x: Symbol, approximate: str = "none") -> str:
    """x/2 (1 + erf(x/√2)), in the operations that onnxruntime fuses."""
    if approximate != "none":
        raise UnknownOperationError("the approximation of GELU by tanh has no ONNX form here; use --engine torch")
    add, number = trace.graph.add, trace.graph.constant
    erf = add("Erf", [add("Div", [x.name, number(2**0.5, "float32")])])
    return str(add("Mul", [add("Mul", [x.name, add("Add", [erf, number(1.0, "float32")])]), number(0.5, "float32")]))


def _softmax(trace: Trace, _: Tensor, x: Symbol, dim: int, **__: Any) -> str:
    return str(trace.graph.add("Softmax", [x.name], axis=dim))


def _transpose(trace: Trace, _: Tensor, x: Symbol, first: int, second: int) -> str:
    order = list(range(x.ndim))
    order[first], order[second] = order[second], order[first]
    return str(trace.graph.add("Transpose", [x.name], perm=order))


def _permute(trace: Trace, _: Tensor, x: Symbol, *dims: Any) -> str:
    order = dims[0] if isinstance(dims[0], list | tuple) else dims
    return str(trace.graph.add("Transpose", [x.name], perm=[axis % x.ndim for axis in order]))


def _unflatten(trace: Trace, meta: Tensor, x: Symbol, dim: int, sizes: Sequence[int]) -> str:
    dim %= x.ndim
    shape = [0] * dim + list(sizes)
    after = x.ndim - dim - 1
    return _reshaped(trace, x, shape + list(meta.shape[meta.ndim - after :]))


def _flatten(trace: Trace, meta: Tensor, x: Symbol, start_dim: int = 0, end_dim: int = -1) -> str:
    if end_dim % x.ndim != x.ndim - 1:
        raise UnknownOperationError("flattening of inner axes has no ONNX form here; use --engine torch")
    return _reshaped(trace, x, [0] * (start_dim % x.ndim) + [meta.shape[-1] if start_dim else -1])


def _reshaped(trace: Trace, x: Symbol, shape: Sequence[int]) -> str:
    """0 keeps the size of the axis at this place."""
    return str(trace.graph.add("Reshape", [x.name, trace.graph.constant(list(shape), "int64")]))


def _chunk(trace: Trace, meta: Sequence[Tensor], x: Symbol, chunks: int, dim: int = 0) -> list[str]:  # noqa: ARG001
    axis = dim % x.ndim
    sizes = trace.graph.constant([part.shape[axis] for part in meta], "int64")
    names: list[str] = trace.graph.add("Split", [x.name, sizes], results=len(meta), axis=axis)
    return names


def _unbind(trace: Trace, meta: Sequence[Tensor], x: Symbol, dim: int = 0) -> list[str]:
    return [
        str(trace.graph.add("Gather", [x.name, trace.graph.constant(number, "int64")], axis=dim % x.ndim))
        for number in range(len(meta))
    ]


def _cat(trace: Trace, meta: Tensor, tensors: Sequence[Any], dim: int = 0) -> str:
    return str(trace.graph.add("Concat", [trace.name(part, meta.dtype) for part in tensors], axis=dim % meta.ndim))


def _stack(trace: Trace, meta: Tensor, tensors: Sequence[Any], dim: int = 0) -> str:
    axis = dim % meta.ndim
    places = trace.graph.constant([axis], "int64")
    parts = [trace.graph.add("Unsqueeze", [trace.name(part, meta.dtype), places]) for part in tensors]
    return str(trace.graph.add("Concat", parts, axis=axis))


def _unsqueeze(trace: Trace, meta: Tensor, x: Symbol, dim: int) -> str:
    return str(trace.graph.add("Unsqueeze", [x.name, trace.graph.constant([dim % meta.ndim], "int64")]))


def _squeeze(trace: Trace, meta: Tensor, x: Symbol, dim: int) -> str:
    if meta.ndim == x.ndim:
        return x.name
    return str(trace.graph.add("Squeeze", [x.name, trace.graph.constant([dim % x.ndim], "int64")]))


def _getitem(trace: Trace, _: Tensor, x: Symbol, key: Any) -> str:
    """Indexing by numbers, slices of step 1 and None; by one integer tensor alone."""
    if isinstance(key, Symbol):
        return str(trace.graph.add("Gather", [x.name, key.name]))
    add, number = trace.graph.add, trace.graph.constant
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        axes = sum(part is not None for part in keys) - 1
        keys[place : place + 1] = [slice(None)] * (x.ndim - axes)
    name, axis, new_axes = x.name, 0, []
    for part in keys:
        if part is None:
            new_axes.append(axis)
            axis += 1
        elif isinstance(part, int):
            name = add("Gather", [name, number(part, "int64")], axis=axis - len(new_axes))
        elif isinstance(part, slice) and part.step in (None, 1):
            if part != slice(None):
                bounds = (part.start or 0, UNTIL_THE_END if part.stop is None else part.stop)
                place = axis - len(new_axes)
                name = add("Slice", [name, *(number([value], "int64") for value in (*bounds, place))])
            axis += 1
        else:
            raise UnknownOperationError(f"indexing by {type(part).__name__} has no ONNX form here; use --engine torch")
    return str(add("Unsqueeze", [name, number(new_axes, "int64")]) if new_axes else name)


def _clamp(trace: Trace, meta: Tensor, x: Symbol, min: Any = None, max: Any = None) -> str:  # noqa: A002
    name = trace.name(x, meta.dtype)
    for operator, bound in (("Max", min), ("Min", max)):
        if bound is not None:
            name = str(trace.graph.add(operator, [name, trace.name(bound, meta.dtype)]))
    return name


def _square(trace: Trace, _: Tensor, x: Symbol) -> str:
    return str(trace.graph.add("Mul", [x.name, x.name]))


def _shifted(trace: Trace, _: Tensor, x: Symbol, places: Tensor) -> str:
    """Multiply by 2^places; ONNX shifts unsigned integers only."""
    return str(trace.graph.add("Mul", [x.name, trace.graph.constant(2 ** places.numpy(), "int64")]))


def _where(trace: Trace, meta: Tensor, condition: Symbol, x: Any, y: Any) -> str:
    return str(trace.graph.add("Where", [condition.name, trace.name(x, meta.dtype), trace.name(y, meta.dtype)]))


def _filled(value: float) -> Callable[..., str]:
    def write(trace: Trace, meta: Tensor, x: Symbol, **_: Any) -> str:
        shape = trace.graph.add("Shape", [x.name])
        return str(trace.graph.add("Expand", [trace.name(value, meta.dtype), shape]))

    return write


def _argmax(trace: Trace, _: Tensor, x: Symbol, dim: int, keepdim: bool = False) -> str:
    return str(trace.graph.add("ArgMax", [x.name], axis=dim, keepdims=int(keepdim)))


def _cumsum(trace: Trace, meta: Tensor, x: Symbol, dim: int) -> str:
    return str(trace.graph.add("CumSum", [trace.name(x, meta.dtype), trace.graph.constant(dim % x.ndim, "int64")]))


def _cosine(trace: Trace, _: Tensor, u: Symbol, v: Symbol, dim: int = 1, eps: float = 1e-8) -> str:
    add, axes = trace.graph.add, trace.graph.constant([dim], "int64")
    smallest = trace.graph.constant(eps, "float32")

    def dot(a: Symbol, b: Symbol) -> str:
        return str(add("ReduceSum", [add("Mul", [a.name, b.name]), axes], keepdims=0))

    norms = [add("Max", [add("Sqrt", [dot(x, x)]), smallest]) for x in (u, v)]
    return str(add("Div", [dot(u, v), add("Mul", norms)]))


OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: _binary(operator) for name, operator in {
        "add": "Add", "radd": "Add", "sub": "Sub", "mul": "Mul", "rmul": "Mul", "div": "Div", "truediv": "Div",
        "matmul": "MatMul", "pow": "Pow", "minimum": "Min", "maximum": "Max",
    }.items()},
    **{name: _binary(operator, swapped=True) for name, operator in {
        "rsub": "Sub", "rdiv": "Div", "rtruediv": "Div",
    }.items()},
    **{name: _binary(operator, logical=True) for name, operator in {
        "gt": "Greater", "lt": "Less", "ge": "GreaterOrEqual", "le": "LessOrEqual", "eq": "Equal", "and": "And",
        "or": "Or", "logical_and": "And", "logical_or": "Or",
    }.items()},
    **{name: _unary(operator) for name, operator in {
        "neg": "Neg", "abs": "Abs", "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "tanh": "Tanh", "sigmoid": "Sigmoid",
        "cos": "Cos", "sin": "Sin", "relu": "Relu", "softplus": "Softplus", "floor": "Floor", "round": "Round",
        "invert": "Not", "logical_not": "Not", "reciprocal": "Reciprocal",
    }.items()},
    **{name: _reduce(operator) for name, operator in {
        "sum": "ReduceSum", "mean": "ReduceMean", "amax": "ReduceMax", "amin": "ReduceMin", "prod": "ReduceProd",
        "logsumexp": "ReduceLogSumExp",
    }.items()},
    **dict.fromkeys(("float", "long", "bool", "to"), _cast),
    "linear": _linear,
    "embedding": _embedding,
    "layer_norm": _layer_norm,
    "gelu": _gelu,
    "softmax": _softmax,
    "transpose": _transpose,
    "permute": _permute,
    "unflatten": _unflatten,
    "flatten": _flatten,
    "chunk": _chunk,
    "unbind": _unbind,
    "cat": _cat,
    "stack": _stack,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "getitem": _getitem,
    "clamp": _clamp,
    "square": _square,
    "where": _where,
    "lshift": _shifted,
    "zeros_like": _filled(0),
    "ones_like": _filled(1),
    "argmax": _argmax,
    "cumsum": _cumsum,
    "cosine_similarity": _cosine,
}  # fmt: skip
