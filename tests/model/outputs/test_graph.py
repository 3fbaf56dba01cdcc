"""The meaning and the decision of every kind of output in a graph, run by onnxruntime, against those in PyTorch."""

import numpy as np
import pytest
import torch
from tests.common.graphs import run_graph
from tests.model.outputs.test_soft_targets import CASES, ROWS, raw_outputs


def test_expressions_equal_the_meaning_also_where_thresholds_are_out_of_order() -> None:
    generator = torch.Generator().manual_seed(0)
    for output in (case.output for case in CASES.values()):
        raw = 3 * torch.randn(ROWS, output.width, generator=generator)
        raw = raw.squeeze(1) if output.flat else raw
        assert torch.allclose(output.graph(raw), output.meaning(raw), atol=1e-6), output


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_gives_the_meaning_and_the_decision(name: str) -> None:
    output = CASES[name].output
    raw = raw_outputs(output).roll(1, dims=-1)
    meaning, value = run_graph(lambda symbol: (output.graph(symbol), output.decide(output.graph(symbol))), raw)
    np.testing.assert_allclose(meaning, output.meaning(raw).numpy(), atol=1e-6)
    np.testing.assert_allclose(value, output.decide(output.meaning(raw)).numpy(), atol=1e-6)
