"""Operations of PyTorch as nodes of a graph: onnxruntime gives what PyTorch gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.common.graphs import run_graph

from bertram.prediction.engines.symbols import UnknownOperationError

CASES: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: 1 - 2 * x / 3 + x * x - (-x).abs() + 1 / (x * x + 1) + x**2,
    "comparisons": lambda x: ((x > 0) & (x <= 0.5) | ~(x >= -1)).float() + (x < 0).long(),
    "indices": lambda x: x[:, 1:3] + x[:, None, :2][:, 0] + x[..., -2:] + x[:, :2],
    "cutting and joining": lambda x: torch.cat([*x.chunk(2, dim=-1), torch.stack(x.unbind(1), dim=1)], dim=1),
    "axes": lambda x: torch.unflatten(x, -1, (2, 2)).transpose(1, 2).flatten(1).unsqueeze(1).squeeze(1),
    "reductions": lambda x: x.sum(1) + x.mean(dim=1) + x.amax(1) - x.amin(-1) + x.sum(1, keepdim=True).squeeze(1),
    "functions": lambda x: torch.tanh(x) + torch.sigmoid(x).log() + x.exp() + F.gelu(x) + x.square().sqrt(),
    "bounds": lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=0) + torch.minimum(x, -x) + torch.maximum(x, 2 * x),
    "choices": lambda x: torch.where(x > 0, x, torch.zeros_like(x)) + torch.ones_like(x) + x.argmax(1)[:, None],
    "sums so far": lambda x: x.cumsum(1),
    "products": lambda x: (x @ torch.arange(8.0).reshape(4, 2)) + torch.softmax(x, dim=1)[:, :2],
    "similarities": lambda x: F.cosine_similarity(x, x * x, dim=1),
    "norms": lambda x: F.layer_norm(x, (4,), torch.arange(4.0), None, 1e-6),
}


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_computes_what_pytorch_computes(name: str) -> None:
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    [found] = run_graph(CASES[name], x)
    np.testing.assert_allclose(found, CASES[name](x).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (torch.erfinv, "the operation erfinv of PyTorch has no ONNX form here"),
        (lambda x: F.gelu(x, approximate="tanh"), "approximation of GELU by tanh"),
        (lambda x: x[:, [0, 2]], "indexing by list"),
    ],
)
def test_an_operation_without_an_onnx_form_is_named(function: Callable[[Any], Any], named: str) -> None:
    with pytest.raises(UnknownOperationError, match=named):
        run_graph(function, torch.zeros(2, 4))


def test_weights_that_modules_compute_are_not_confused() -> None:
    """A computed tensor is gone after its use, and the next one may get its id."""
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    weights = [torch.full((4, 3), float(number)) for number in range(1, 9)]

    def heads(rows: Any) -> Any:
        return [F.linear(rows, 4 * weight) for weight in weights]

    for found, wanted in zip(run_graph(heads, x), heads(x), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5)
