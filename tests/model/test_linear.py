"""The bf16 linear layer, its kept cast, and the choice of a precision."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bertram.model import linear
from bertram.model.linear import Linear, choose_precision
from bertram.model.task_rows import ROWS
from bertram.optimizer import AdamW


@pytest.fixture
def layer() -> Linear:
    torch.manual_seed(0)
    made = Linear(48, 24)
    nn.init.normal_(made.weight, std=0.05)
    nn.init.normal_(made.bias)
    made.precision = "bf16"
    return made


def product(layer: Linear, x: Tensor) -> Tensor:
    """What a bf16 layer computes, with nothing kept."""
    return (x.bfloat16() @ layer.weight.detach().bfloat16().t()).float() + layer.bias.detach()


def test_fp32_is_the_plain_layer(layer: Linear) -> None:
    layer.precision = "fp32"
    x = torch.randn(5, 48)
    assert torch.allclose(layer(x), x @ layer.weight.t() + layer.bias, atol=1e-6)


def test_bf16_is_close_to_fp32_forwards_and_backwards(layer: Linear) -> None:
    x = torch.randn(200, 48)
    upstream = torch.randn(200, 24)
    found: dict[str, list[Tensor]] = {}
    for precision in ("fp32", "bf16"):
        layer.precision = precision
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        found[precision] = [y, *torch.autograd.grad((y * upstream).sum(), [leaf, layer.weight, layer.bias])]
    for exact, rounded in zip(found["fp32"], found["bf16"], strict=True):
        assert rounded.dtype == torch.float32
        assert float(((exact - rounded).norm() / exact.norm()).detach()) < 0.01  # bf16 has 8 bits: 0.4 % for a factor
    assert not torch.equal(found["fp32"][0], found["bf16"][0])
    assert torch.allclose(found["fp32"][3], found["bf16"][3])  # the bias stays out of bf16


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 200])
def test_rows_of_zeros_below_the_operand_change_nothing(layer: Linear, rows: int) -> None:
    x, upstream = torch.randn(rows, 48, requires_grad=True), torch.randn(rows, 24)
    y = layer(x)
    of_x, of_weight = torch.autograd.grad(y, [x, layer.weight], upstream)
    g, weight = upstream.bfloat16().float(), layer.weight.detach().bfloat16().float()
    torch.testing.assert_close(y.detach(), product(layer, x.detach()), rtol=0.01, atol=1e-6)
    torch.testing.assert_close(of_x, g @ weight, rtol=0.01, atol=1e-3)
    torch.testing.assert_close(of_weight, g.t() @ x.detach().bfloat16().float(), rtol=0.01, atol=1e-3)


def test_only_what_is_asked_for_gets_a_gradient(layer: Linear) -> None:
    layer.weight.requires_grad_(False)
    x = torch.randn(3, 48)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None
    assert torch.allclose(layer.bias.grad, torch.full((24,), 3.0))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("wanted", "products"), [("x", 1), ("weight", 1), ("x weight", 2), ("bias", 0)])
def test_only_the_products_that_are_asked_for_are_computed(
    precision: linear.Precision, wanted: str, products: int, layer: Linear
) -> None:
    """All three require a gradient, as in SMART's ascent, which asks for that of the input."""
    layer.precision = precision
    rows = ROWS - 1
    leaves = {"x": torch.randn(rows, 48, requires_grad=True), "weight": layer.weight, "bias": layer.bias}
    total = layer(leaves["x"]).sum()
    with FlopCounterMode(display=False) as counted:
        torch.autograd.grad(total, [leaves[name] for name in wanted.split()])
    assert counted.get_total_flops() == products * 2 * (rows if precision == "fp32" else ROWS) * 48 * 24


def _step(layer: Linear) -> None:
    optimizer = AdamW(layer.parameters(), lr=0.1)
    layer(torch.randn(4, 48)).square().sum().backward()
    optimizer.step()


def _assign(layer: Linear) -> None:
    layer.load_state_dict({"weight": torch.randn(24, 48), "bias": torch.zeros(24)}, assign=True)


@torch.no_grad()
def _lerp(layer: Linear) -> None:
    layer.weight.lerp_(torch.randn(24, 48), 0.5)


@torch.no_grad()
def _rows(layer: Linear) -> None:
    layer.weight[torch.tensor([1, 3])] += 1.0


CHANGES: dict[str, Callable[[Linear], object]] = {
    "an optimizer step": _step,
    "load_state_dict": lambda layer: layer.load_state_dict({"weight": torch.randn(24, 48), "bias": torch.zeros(24)}),
    "load_state_dict by assignment": _assign,
    "a new parameter": lambda layer: setattr(layer, "weight", nn.Parameter(torch.randn(24, 48))),
    "lerp_": _lerp,
    "an assignment to rows": _rows,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("predicting", [False, True])
def test_the_cast_follows_the_weight(layer: Linear, change: Callable[[Linear], object], predicting: bool) -> None:
    x = torch.randn(5, 48)
    with torch.inference_mode(mode=predicting):
        layer(x)
    for _ in range(2):
        before = layer(x)
        change(layer)
        with torch.inference_mode(mode=predicting):
            after = layer(x).clone()
        assert not torch.equal(before, after)
        assert torch.allclose(after, product(layer, x), atol=1e-6)


def test_the_cast_is_made_once_an_update(layer: Linear) -> None:
    first = layer._cast("weight")
    with torch.no_grad():
        layer(torch.randn(5, 48))
    assert layer._cast("weight") is first
    _step(layer)
    assert layer._cast("weight") is not first


def test_a_cast_made_while_predicting_serves_in_training(layer: Linear) -> None:
    x = torch.randn(5, 48)
    with torch.inference_mode():
        predicted = layer(x)
    trained = layer(x)
    trained.sum().backward()
    assert torch.equal(predicted, trained)
    assert layer.weight.grad is not None


def test_a_copy_has_a_cast_of_its_own(layer: Linear) -> None:
    x = torch.randn(5, 48)
    layer(x)
    with torch.no_grad():
        layer.weight.mul_(2)  # the cast is now behind the weight
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with torch.no_grad():
            twin.weight.mul_(1.5)
        assert torch.allclose(twin(x), product(twin, x), atol=1e-6)
    assert torch.allclose(layer(x), product(layer, x), atol=1e-6)


def test_the_cast_is_no_part_of_the_state(layer: Linear) -> None:
    layer(torch.randn(5, 48))
    assert set(layer.state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_a_wanted_precision_is_taken(wanted: str) -> None:
    assert choose_precision(wanted, torch.device("cpu")) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("capability", "share", "expected"),
    [("AVX512", 0.5, "bf16"), ("AVX512", 0.9, "fp32"), ("AVX2", 0.1, "fp32"), ("SVE256", 0.5, "bf16")],
)
def test_auto_takes_bf16_only_where_the_processor_has_it_and_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, capability: str, share: float, expected: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(linear, "_seconds", lambda x, _: share if x.dtype == torch.bfloat16 else 1.0)
    assert choose_precision("auto", torch.device("cpu")) == expected


def test_auto_decides_by_measuring() -> None:
    assert choose_precision("auto", torch.device("cpu")) in ("fp32", "bf16")
