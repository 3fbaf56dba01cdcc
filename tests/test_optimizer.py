"""AdamW against a plain reference in float64, its row-wise form, schedules, clipping and groups."""

import copy
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bertram import options, recipe
from bertram.config import Config
from bertram.model.dropout import NO_DROPOUT
from bertram.model.multitask import Multitask
from bertram.model.pretrained import read_encoder
from bertram.optimizer import AdamW, clip, global_norm, schedule
from bertram.training import setup
from bertram.training.objective import Objective

ANY = settings(deadline=None, max_examples=40)


class Reference:
    """The algorithm of Loshchilov & Hutter with Kingma & Ba's efficient form, line by line in float64."""

    def __init__(self, p: Tensor, lr: float, wd: float, eps: float, *, correct_bias: bool) -> None:
        self.p, self.lr, self.wd, self.eps, self.correct_bias = p.double().clone(), lr, wd, eps, correct_bias
        self.m, self.v, self.t = torch.zeros_like(self.p), torch.zeros_like(self.p), 0
        self.beta1, self.beta2 = 0.9, 0.999

    def step(self, g: Tensor, rows: Tensor | slice = slice(None), lr: float | None = None) -> None:
        lr = self.lr if lr is None else lr
        g = g.double()
        self.t += 1
        self.m[rows] = self.beta1 * self.m[rows] + (1 - self.beta1) * g
        self.v[rows] = self.beta2 * self.v[rows] + (1 - self.beta2) * g * g
        rate = lr
        if self.correct_bias:
            rate = lr * math.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t)
        self.p[rows] = self.p[rows] - rate * self.m[rows] / (self.v[rows].sqrt() + self.eps)
        self.p[rows] = self.p[rows] - lr * self.wd * self.p[rows]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sparse(rows: Tensor, values: Tensor, size: int) -> Tensor:
    return torch.sparse_coo_tensor(rows[None], values, (size, values.shape[1]), check_invariants=True)


@pytest.mark.parametrize(
    ("correct_bias", "wd", "eps"), [(True, 0.0, 1e-6), (True, 0.05, 1e-6), (False, 0.05, 1e-6), (True, 0.05, 1e-2)]
)
def test_1000_steps_agree_with_the_reference(correct_bias: bool, wd: float, eps: float) -> None:
    parameter = nn.Parameter(normal(7, 5))
    reference = Reference(parameter.detach(), 1e-2, wd, eps, correct_bias=correct_bias)
    optimizer = AdamW([parameter], lr=1e-2, eps=eps, weight_decay=wd, correct_bias=correct_bias)
    generator = torch.Generator().manual_seed(1)
    for number in range(1000):
        rate = 1e-2 * schedule(number, 1000, 0.1, "linear")
        gradient = torch.randn(7, 5, generator=generator) * 10 ** float(number % 5 - 3)
        parameter.grad = gradient.clone()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        reference.step(gradient, lr=rate)
        assert torch.equal(parameter.grad, gradient)
    assert float((parameter.detach() - reference.p).abs().max()) < 2e-5
    state = optimizer.state[parameter]
    assert torch.allclose(state["m"].double(), reference.m, rtol=1e-4, atol=1e-8)
    assert torch.allclose(state["v"].double(), reference.v, rtol=1e-4, atol=1e-12)
    assert float(state["step"]) == 1000


def test_in_float64_it_is_the_reference() -> None:
    parameter = nn.Parameter(normal(6).double())
    reference = Reference(parameter.detach(), 1e-2, 0.05, 1e-6, correct_bias=True)
    optimizer = AdamW([parameter], lr=1e-2, weight_decay=0.05)
    for number in range(200):
        gradient = normal(6, seed=number).double()
        parameter.grad = gradient.clone()
        optimizer.step()
        reference.step(gradient)
    assert torch.allclose(parameter.detach(), reference.p, atol=1e-12)


@pytest.mark.parametrize(("correct_bias", "wd"), [(True, 0.05), (False, 0.0)])
def test_rows_agree_with_the_reference_of_rows(correct_bias: bool, wd: float) -> None:
    table = nn.Parameter(normal(30, 4))
    reference = Reference(table.detach(), 1e-2, wd, 1e-6, correct_bias=correct_bias)
    optimizer = AdamW([table], lr=1e-2, weight_decay=wd, correct_bias=correct_bias)
    generator = torch.Generator().manual_seed(2)
    for _ in range(1000):
        rows = torch.randperm(30, generator=generator)[:5].sort().values
        values = torch.randn(5, 4, generator=generator)
        table.grad = sparse(rows, values, 30)
        optimizer.step()
        reference.step(values, rows)
    assert float((table.detach() - reference.p).abs().max()) < 2e-5


def test_a_row_moves_and_decays_only_when_it_is_used() -> None:
    table = nn.Parameter(normal(10, 3))
    optimizer = AdamW([table], lr=1e-2, weight_decay=0.5)
    before, used = table.detach().clone(), torch.tensor([2, 7])
    table.grad = sparse(used, normal(2, 3, seed=1), 10)
    optimizer.step()
    state = {name: value.clone() for name, value in optimizer.state[table].items()}
    changed = (table.detach() != before).any(1).nonzero().flatten()
    assert torch.equal(changed, used)
    assert torch.equal(state["m"].any(1).nonzero().flatten(), used)
    table.grad = sparse(torch.tensor([4]), normal(1, 3, seed=2), 10)
    optimizer.step()
    for name in ("m", "v"):
        assert torch.equal(optimizer.state[table][name][used], state[name][used])
    assert float(optimizer.state[table]["step"]) == 2  # t counts the parameter's steps, not the row's


def test_rows_agree_with_sparse_adam() -> None:
    ours, theirs = nn.Parameter(normal(20, 3)), nn.Parameter(normal(20, 3))
    mine = AdamW([ours], lr=1e-2, eps=1e-12)
    peer = torch.optim.SparseAdam([theirs], lr=1e-2, eps=1e-12)
    generator = torch.Generator().manual_seed(3)
    for _ in range(300):
        rows = torch.randperm(20, generator=generator)[:4].sort().values
        values = torch.randn(4, 3, generator=generator)
        ours.grad, theirs.grad = sparse(rows, values, 20), sparse(rows, values, 20)
        mine.step()
        peer.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_rows_are_exact_adamw_where_every_row_is_used() -> None:
    dense, rows = nn.Parameter(normal(8, 3)), nn.Parameter(normal(8, 3))
    optimizers = [AdamW([p], lr=1e-2, weight_decay=0.1) for p in (dense, rows)]
    for number in range(100):
        gradient = normal(8, 3, seed=number)
        dense.grad, rows.grad = gradient, sparse(torch.arange(8), gradient, 8)
        for optimizer in optimizers:
            optimizer.step()
    assert torch.allclose(dense, rows, atol=1e-6)


def test_a_row_that_is_named_twice_gets_the_sum() -> None:
    first, second = nn.Parameter(normal(5, 2)), nn.Parameter(normal(5, 2))
    values = normal(2, 2, seed=1)
    first.grad = sparse(torch.tensor([3, 3]), values, 5)
    second.grad = sparse(torch.tensor([3]), values.sum(0, keepdim=True), 5)
    for parameter in (first, second):
        AdamW([parameter], lr=0.1).step()
    assert torch.allclose(first, second)


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    used, unused = nn.Parameter(normal(3)), nn.Parameter(normal(3))
    optimizer = AdamW([used, unused], lr=0.1, weight_decay=0.5)
    before = unused.detach().clone()
    for _ in range(3):
        used.grad = torch.ones(3)
        optimizer.step()
    assert torch.equal(unused, before)
    assert not optimizer.state[unused]
    unused.grad = torch.ones(3)  # it begins with a correction of its own
    optimizer.step()
    assert float(optimizer.state[unused]["step"]) == 1
    assert float(optimizer.state[used]["step"]) == 4
    reference = Reference(before, 0.1, 0.5, 1e-6, correct_bias=True)
    reference.step(torch.ones(3))
    assert torch.allclose(unused.double(), reference.p, atol=1e-6)


def test_a_zero_gradient_is_a_gradient() -> None:
    parameter = nn.Parameter(normal(3))
    before = parameter.detach().clone()
    parameter.grad = torch.zeros(3)
    AdamW([parameter], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(parameter, before * 0.95)


def test_the_state_can_be_saved_and_the_steps_go_on_the_same() -> None:
    parameter = nn.Parameter(normal(4, 2))
    optimizer = AdamW([parameter], lr=0.01, weight_decay=0.1)
    for number in range(5):
        parameter.grad = normal(4, 2, seed=number)
        optimizer.step()
    twin = nn.Parameter(parameter.detach().clone())
    other = AdamW([twin], lr=0.01, weight_decay=0.1)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for number in range(5, 10):
        parameter.grad, twin.grad = normal(4, 2, seed=number), normal(4, 2, seed=number)
        optimizer.step()
        other.step()
    assert torch.equal(parameter, twin)


def test_the_state_of_another_optimizer_is_refused() -> None:
    parameter = nn.Parameter(normal(3))
    parameter.grad = normal(3)
    other = torch.optim.AdamW([parameter])
    other.step()
    ours = AdamW([parameter])
    with pytest.raises(ValueError, match=r"another optimizer: correct_bias, m, v missing"):
        ours.load_state_dict(other.state_dict())
    ours.step()
    again = AdamW([nn.Parameter(normal(3))])
    again.load_state_dict(ours.state_dict())
    again.load_state_dict(AdamW([nn.Parameter(normal(3))]).state_dict())  # before its first step


def test_the_whole_state_moves_to_the_device_of_the_parameter() -> None:
    parameter = nn.Parameter(normal(3))
    parameter.grad = normal(3)
    optimizer = AdamW([parameter])
    optimizer.step()
    elsewhere = nn.Parameter(torch.empty(3, device="meta"))
    resumed = AdamW([elsewhere])
    resumed.load_state_dict(optimizer.state_dict())
    assert {value.device.type for value in resumed.state[elsewhere].values()} == {"meta"}
    assert optimizer.state[parameter]["step"].device.type == "cpu"


@pytest.mark.parametrize("rows", [False, True])
def test_a_decay_of_everything_gives_0(rows: bool) -> None:
    parameter = nn.Parameter(normal(3, 2))
    parameter.grad = sparse(torch.arange(3), normal(3, 2), 3) if rows else normal(3, 2)
    AdamW([parameter], lr=1.0, weight_decay=1.0).step()
    torch.testing.assert_close(parameter.detach(), torch.zeros(3, 2))


def test_every_update_is_seen_by_the_version() -> None:
    dense, table = nn.Parameter(normal(4, 2)), nn.Parameter(normal(4, 2))
    optimizer = AdamW([dense, table], lr=0.01)
    for _ in range(2):
        before = dense._version, table._version
        dense.grad, table.grad = normal(4, 2), sparse(torch.tensor([1]), normal(1, 2), 4)
        optimizer.step()
        assert dense._version > before[0]
        assert table._version > before[1]


def test_a_closure_is_evaluated_with_gradients() -> None:
    parameter = nn.Parameter(torch.tensor([3.0]))
    optimizer = AdamW([parameter], lr=0.1)

    def closure() -> float:
        loss = parameter.square().sum()
        loss.backward()
        return float(loss.detach())

    assert optimizer.step(closure) == 9.0
    assert float(parameter.detach()) == pytest.approx(2.9)


@ANY
@given(total=st.integers(1, 400), warmup=st.floats(0, 0.9), decay=st.sampled_from(["constant", "linear", "cosine"]))
def test_rates_rise_linearly_and_fall_towards_zero(total: int, warmup: float, decay: str) -> None:
    factors = [schedule(step, total, warmup, decay) for step in range(total)]  # type: ignore[arg-type]
    rising = round(warmup * total)
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[:rising] == [pytest.approx((step + 1) / rising) for step in range(rising)]
    falling = factors[rising:]
    assert falling == sorted(falling, reverse=True)
    assert not falling or falling[0] == 1
    if decay == "constant":
        assert set(falling) <= {1.0}
    elif falling:
        assert schedule(total, total, warmup, decay) == pytest.approx(0, abs=1e-9)  # type: ignore[arg-type]


def test_schedules_have_their_forms() -> None:
    assert schedule(55, 100, 0.1, "linear") == pytest.approx(0.5)
    assert schedule(55, 100, 0.1, "cosine") == pytest.approx(0.5)
    assert schedule(10 + 30, 100, 0.1, "cosine") == pytest.approx(0.5 * (1 + math.cos(math.pi / 3)))


@ANY
@given(largest=st.floats(0.01, 100), scale=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_a_gradient_is_clipped_to_the_largest_norm_in_its_direction(largest: float, scale: float, seed: int) -> None:
    gradients = [scale * normal(3, 2, seed=seed), None, scale * normal(5, seed=seed + 1)]
    before = torch.cat([g.flatten() for g in gradients if g is not None])
    norm = global_norm(gradients)
    assert norm == pytest.approx(float(before.double().norm()), rel=1e-5)
    clip(gradients, norm, largest)
    after = torch.cat([g.flatten() for g in gradients if g is not None])
    assert global_norm(gradients) == pytest.approx(min(norm, largest), rel=1e-4)
    assert float(torch.cosine_similarity(before, after, dim=0)) == pytest.approx(1, abs=1e-5)


def test_zero_means_no_clipping_and_no_gradients_have_no_norm() -> None:
    gradient = torch.full((3,), 1e6)
    clip([gradient], global_norm([gradient]), 0.0)
    assert torch.equal(gradient, torch.full((3,), 1e6))
    assert global_norm([]) == 0.0
    assert global_norm([None]) == 0.0
    clip([None], 0.0, 1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_gradient_that_is_not_finite_has_no_finite_norm(bad: float) -> None:
    assert not math.isfinite(global_norm([torch.ones(3), torch.tensor([1.0, bad])]))


@pytest.fixture(scope="module")
def network(tiny_encoder: Path) -> Multitask:
    return Multitask(read_encoder(tiny_encoder), recipe("baseline").tasks, "cls")


def groups_of(network: Multitask, config: Config) -> dict[str, tuple[float, float]]:
    """The rate and the decay of each parameter, by name."""
    objective = Objective(network, config, NO_DROPOUT, torch.Generator(), total_steps=1)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    if objective.log_variances is not None:
        names |= {id(objective.log_variances[task]): f"s.{task}" for task in network.tasks}
    made = setup.make_optimizer(config, network, objective)
    found = [(names[id(p)], (g["lr"], g["weight_decay"])) for g in made.param_groups for p in g["params"]]
    assert len(dict(found)) == len(found) == len(names)
    assert all(group["lr"] == group["rate"] for group in made.param_groups)
    return dict(found)


def test_layers_have_rates_that_fall_with_depth(network: Multitask) -> None:
    rates = {"lr": 1e-4, "head_lr": 1e-3, "layerwise_lr_decay": 0.5, "weight_decay": 0.1}
    found = groups_of(network, options.change(recipe("baseline"), optimizer=rates))
    for name, (rate, _) in found.items():
        layer = 0
        if name.startswith("encoder.layers."):
            layer = int(name.split(".")[2]) + 1
        elif name.startswith("encoder.pooler"):
            layer = 2
        expected = 1e-3 if name.startswith("heads.") else 1e-4 * 0.5 ** (2 - layer)
        assert rate == pytest.approx(expected), name


def test_norms_biases_and_scalars_do_not_decay(network: Multitask) -> None:
    config = options.change(recipe("baseline"), optimizer={"weight_decay": 0.1}, uncertainty_weighting=True)
    found = groups_of(network, config)
    free = {name for name, (_, decay) in found.items() if decay == 0}
    assert free == {
        name for name in found if name.endswith((".bias", "norm.weight", ".scale", ".offset")) or name.startswith("s.")
    }
    assert {decay for name, (_, decay) in found.items() if name not in free} == {0.1}
    assert all(rate == config.optimizer.head_lr for name, (rate, _) in found.items() if name.startswith("s."))


def test_what_is_frozen_has_no_group(network: Multitask) -> None:
    config = recipe("baseline")
    objective = Objective(network, config, NO_DROPOUT, torch.Generator(), total_steps=1)
    network.encoder.requires_grad_(False)
    try:
        made = setup.make_optimizer(config, network, objective)
    finally:
        network.encoder.requires_grad_()
    assert {id(p) for g in made.param_groups for p in g["params"]} == set(map(id, network.heads.parameters()))


# ------------------------------------------------------------------------------------------ other people's tensors


def laid_out(kind: str) -> nn.Parameter:
    """A parameter [6, 4] or [2, 3, 4, 5] whose memory has another order than its coordinates."""
    if kind == "transposed":
        return nn.Parameter(normal(4, 6).t())
    if kind == "view with gaps":
        return nn.Parameter(normal(6, 9)[:, 2:6])
    if kind == "channels last":
        return nn.Parameter(normal(2, 3, 4, 5).to(memory_format=torch.channels_last))
    return nn.Parameter(normal(6, 4))


@pytest.mark.parametrize("kind", ["plain", "transposed", "view with gaps", "channels last"])
@pytest.mark.parametrize("gradient", ["like the parameter", "contiguous", "reversed", "expanded"])
def test_the_layout_of_parameters_and_gradients_means_nothing(kind: str, gradient: str) -> None:
    parameter = laid_out(kind)
    base = parameter._base
    outside = None if base is None else base.detach().clone()
    reference = Reference(parameter.detach(), 1e-2, 0.05, 1e-6, correct_bias=True)
    optimizer = AdamW([parameter], lr=1e-2, weight_decay=0.05)
    for step in range(5):
        values = normal(*parameter.shape, seed=step)
        if gradient == "like the parameter":
            values = torch.empty_like(parameter).copy_(values)
        elif gradient == "reversed":
            order = list(reversed(range(values.ndim)))
            values = values.permute(order).contiguous().permute(order)
        elif gradient == "expanded":
            values = values.mean().expand(parameter.shape)
        reference.step(values)
        parameter.grad = values
        optimizer.step()
    torch.testing.assert_close(parameter.detach().double(), reference.p, rtol=1e-5, atol=1e-6)
    if outside is not None and base is not None and kind == "view with gaps":
        assert torch.equal(base[:, :2], outside[:, :2])
        assert torch.equal(base[:, 6:], outside[:, 6:])


def test_moments_from_a_checkpoint_may_be_laid_out_otherwise() -> None:
    parameter = laid_out("channels last")
    reference = Reference(parameter.detach(), 1e-2, 0.0, 1e-6, correct_bias=True)
    optimizer = AdamW([parameter], lr=1e-2)
    for step in range(4):
        values = normal(*parameter.shape, seed=step)
        reference.step(values)
        parameter.grad = values
        optimizer.step()
        state = optimizer.state[parameter]
        state["m"], state["v"] = state["m"].contiguous(), state["v"].contiguous()
    torch.testing.assert_close(parameter.detach().double(), reference.p, rtol=1e-5, atol=1e-6)


def test_parameters_of_several_types_are_one_group() -> None:
    single, double = nn.Parameter(normal(4)), nn.Parameter(normal(4).double())
    single.grad, double.grad = normal(4, seed=1), normal(4, seed=1).double()
    AdamW([single, double], lr=1e-2).step()
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"lr": -1.0}, "lr = -1.0: must be 0 or more"),
        ({"lr": math.nan}, "lr = nan: must be 0 or more"),
        ({"betas": (1.5, 2)}, r"betas = \(1.5, 2\): must be two numbers from 0 to below 1"),
        ({"eps": -1e-8}, "eps = -1e-08: must be 0 or more"),
        ({"weight_decay": -0.1, "lr": math.inf}, "lr = inf: .*; weight_decay = -0.1: must be 0 or more"),
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, object], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        AdamW([nn.Parameter(normal(2))], **values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=fault):
        AdamW([{"params": [nn.Parameter(normal(2))], **values}])


def test_a_group_with_a_typing_error_is_refused() -> None:
    with pytest.raises(ValueError, match="weigth_decay: unknown option of a group; did you mean weight_decay"):
        AdamW([{"params": [nn.Parameter(normal(2))], "weigth_decay": 0.1}])
    with pytest.raises(ValueError, match="maximize: this class has no such option"):
        AdamW([{"params": [nn.Parameter(normal(2))], "maximize": True, "foreach": None}])
    AdamW([{"params": [nn.Parameter(normal(2))], "maximize": False}])
    named = AdamW([{"params": [nn.Parameter(normal(2))], "name": "encoder", "rate": 0.1}])  # fields of the caller
    assert named.param_groups[0]["name"] == "encoder"


def test_complex_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="complex parameters are not supported"):
        AdamW([nn.Parameter(torch.ones(2, dtype=torch.complex64))])
