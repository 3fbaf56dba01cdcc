"""The meaning of every kind of output in an exported graph, run by onnxruntime, against the meaning in PyTorch."""

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.outputs.test_soft_targets import CASES, ROWS, raw_outputs
from torch import Tensor, nn

from bertram.export.onnx import OPSET
from bertram.model.outputs import Output


class Meanings(nn.Module):
    """The graph expressions of several outputs, of a tensor of raw outputs each."""

    def __init__(self, outputs: list[Output]) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, *raw: Tensor) -> tuple[Tensor, ...]:
        """The meaning of each."""
        return tuple(output.graph(values) for output, values in zip(self.outputs, raw, strict=True))


def test_expressions_equal_the_meaning_also_where_thresholds_are_out_of_order() -> None:
    generator = torch.Generator().manual_seed(0)
    for output in (case.output for case in CASES.values()):
        raw = 3 * torch.randn(ROWS, output.width, generator=generator)
        raw = raw.squeeze(1) if output.flat else raw
        assert torch.allclose(output.graph(raw), output.meaning(raw), atol=1e-6), output


@pytest.mark.slow
def test_onnxruntime_gives_the_meaning(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    outputs = [case.output for case in CASES.values()]
    raw = tuple(raw_outputs(output).roll(1, dims=-1) for output in outputs)
    names = [f"raw_{place}" for place in range(len(raw))]
    path = tmp_path / "meanings.onnx"
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            rows = torch.export.Dim("rows")
            torch.onnx.export(
                Meanings(outputs).eval(), raw, str(path), input_names=names, opset_version=OPSET, dynamo=True,
                dynamic_shapes={"raw": tuple({0: rows} for _ in raw)}, external_data=False, verbose=False,
            )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)
    session = onnxruntime.InferenceSession(str(path))
    few = [values[:7] for values in raw]
    results = session.run(None, {name: values.numpy() for name, values in zip(names, few, strict=True)})
    for output, values, result in zip(outputs, few, results, strict=True):
        np.testing.assert_allclose(result, output.meaning(values).numpy(), atol=1e-6, err_msg=type(output).__name__)
