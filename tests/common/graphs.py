"""Functions of PyTorch as ONNX graphs, run by onnxruntime."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from bertram.prediction.engines.onnx_graph import OnnxGraph
from bertram.prediction.engines.symbols import Symbol, Trace


def run_graph(function: Callable[..., Tensor | Sequence[Tensor]], *inputs: Tensor) -> list[np.ndarray[Any, Any]]:
    """The results of a function whose operations are written to a graph; axis 0 of every input may vary."""
    trace = Trace(OnnxGraph(), {})
    symbols = []
    for number, value in enumerate(inputs):
        sizes = value.shape[1:]
        integer = not value.dtype.is_floating_point
        name = trace.graph.input(f"input {number}", ("rows", *sizes), integer=integer)
        symbols.append(trace.symbol(name, 3, *sizes, dtype=torch.int64 if integer else torch.float32))
    results = function(*symbols)
    for number, result in enumerate([results] if isinstance(results, Symbol) else results):
        symbol = cast(Symbol, result)
        name = symbol.name if symbol.dtype != torch.bool else trace.cast(symbol.name, torch.int64)
        axes = [f"axis {axis} of {number}" for axis in range(symbol.ndim)]
        trace.graph.output(f"output {number}", name, axes, integer=not symbol.dtype.is_floating_point)
    session = onnxruntime.InferenceSession(trace.graph.model({}).SerializeToString())
    feed = {f"input {number}": value.numpy() for number, value in enumerate(inputs)}
    return [np.asarray(result) for result in session.run(None, feed)]
