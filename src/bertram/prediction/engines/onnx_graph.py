"""An ONNX graph under construction: nodes, weights, inputs and outputs, with linear layers in fp32 or int8.

The nodes are ONNX's own, except in int8: `DynamicQuantizeMatMul` is onnxruntime's. It quantizes the activations of each
product at run time, one scale a tensor; the weights have one scale for each output, and the word embeddings one for
each row.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bertram.errors import BertramError

OPSET = 18
IR_VERSION = 9  # read by every onnxruntime since 1.15
RUNTIME_DOMAIN = "com.microsoft"
Array = npt.NDArray[Any]


class OnnxGraph:
    """A graph to which nodes are added in the order in which they are computed.

    Args:
        int8: names of the weights that are stored and multiplied in int8.
        levels: largest int8 weight, 127; 63 for processors that saturate sums of products of 8 bits.

    Raises:
        BertramError: the package onnx is not installed.
    """

    def __init__(self, int8: Collection[str] = (), levels: int = 127) -> None:
        try:
            import onnx  # noqa: PLC0415 - takes a quarter of a second, and is an extra
        except ModuleNotFoundError:
            raise BertramError("an ONNX graph needs the package onnx; run: pip install 'bertram[onnx]'") from None
        self.onnx, self.int8, self.levels = onnx, set(int8), levels
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._weights: dict[str, Any] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._counts: dict[str, int] = {}

    def add(
        self, operator: str, inputs: Sequence[str], *, results: int = 1, domain: str = "", **attributes: Any
    ) -> Any:
        """Add a node.

        Returns:
            The name of its result, or the names where there are several.
        """
        name = self._new_name(operator)
        names = [name] if results == 1 else [f"{name}.{number}" for number in range(results)]
        node = self.onnx.helper.make_node(operator, list(inputs), names, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return names[0] if results == 1 else names

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The name of a constant; equal ones are stored once."""
        array = np.ascontiguousarray(np.asarray(value, dtype=dtype)).reshape(np.shape(value))
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._store(self._new_name("constant"), array)
        return self._constants[key]

    def weight(self, name: str, value: Array) -> str:
        """The name of a weight in fp32."""
        return name if name in self._weights else self._store(name, value)

    def linear(self, x: str, name: str, weight: Array, bias: str | None) -> str:
        """X Wᵀ + b.

        Args:
            x: name of [..., inputs].
            name: name of the weight.
            weight: W, [outputs, inputs].
            bias: name of b, [outputs]; None: none.
        """
        if name in self.int8:
            quantized, scale = self._int8_rows(weight)
            inputs = [
                x,
                self._array(f"{name}.int8", quantized.T),
                self._array(f"{name}.scale", scale),
                "",  # no zero point: the weights are symmetric
                bias or "",
            ]
            return str(self.add("DynamicQuantizeMatMul", inputs[: 5 if bias else 3], domain=RUNTIME_DOMAIN))
        product = self.add("MatMul", [x, self._array(f"{name}.transposed", weight.T)])
        return str(product if bias is None else self.add("Add", [product, bias]))

    def rows(self, name: str, table: Array, places: str) -> str:
        """Rows of a table.

        Args:
            name: name of the table.
            table: [rows, width].
            places: name of the integer tensor of row numbers.
        """
        if name in self.int8:
            quantized, scale = self._int8_rows(table)
            chosen = self.add("Gather", [self._array(f"{name}.int8", quantized), places])
            scales = self.add("Gather", [self._array(f"{name}.scale", scale[:, None]), places])
            return str(self.add("Mul", [self.add("Cast", [chosen], to=1), scales]))
        return str(self.add("Gather", [self.weight(name, table), places]))

    def input(self, name: str, axes: Sequence[str | int], *, integer: bool = True) -> str:
        """Add an input and give its name.

        Args:
            name: name of the input.
            axes: names of the axes of any size, and sizes of the others.
            integer: True for int64, False for float32.
        """
        kind = self.onnx.TensorProto.INT64 if integer else self.onnx.TensorProto.FLOAT
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, list(axes)))
        return name

    def output(self, name: str, result: str, axes: Sequence[str | int], *, integer: bool = False) -> None:
        """Make a result an output.

        Args:
            name: name of the output.
            result: name of the result.
            axes: names of the axes of any size, and sizes of the others.
            integer: True for int64, False for float32.
        """
        self.nodes.append(self.onnx.helper.make_node("Identity", [result], [name], name=f"output {name}"))
        kind = self.onnx.TensorProto.INT64 if integer else self.onnx.TensorProto.FLOAT
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, kind, list(axes)))

    def model(self, metadata: dict[str, str]) -> Any:
        """The graph as an ONNX model.

        Args:
            metadata: properties that the file has beside the graph.
        """
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, "bertram", self.inputs, self.outputs, list(self._weights.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain == RUNTIME_DOMAIN for node in self.nodes):
            opsets.append(helper.make_opsetid(RUNTIME_DOMAIN, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="bertram")
        helper.set_model_props(model, metadata)
        return model

    def _int8_rows(self, weight: Array) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
        """A matrix in int8 with the scale of each row; rows of zeros have the scale 1."""
        scale = np.abs(weight).max(axis=1) / self.levels
        scale[scale == 0] = 1.0
        return np.rint(weight / scale[:, None]).astype(np.int8), scale.astype(np.float32)

    def _array(self, name: str, value: Array) -> str:
        return name if name in self._weights else self._store(name, value)

    def _store(self, name: str, value: Array) -> str:
        self._weights[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        return name

    def _new_name(self, operator: str) -> str:
        number = self._counts.get(operator, 0)
        self._counts[operator] = number + 1
        return f"{operator}_{number}"
