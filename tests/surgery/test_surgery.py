"""Gradient surgery against explicit loops over the long vectors, in float64 and with the same orders."""

import doctest
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torchjd._mixins
import torchjd.aggregation
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bertram import surgery

PATIENT = settings(deadline=None)  # no test depends on how fast the machine is
SHAPES = [(3, 4), (4,), (2, 3), ()]
SIZE = 12 + 4 + 6 + 1


def split(jacobian: Tensor) -> list[list[Tensor]]:
    """The rows of a Jacobian [T, SIZE] as gradients of parameters of SHAPES."""
    sizes = [int(torch.Size(shape).numel()) for shape in SHAPES]
    return [[part.reshape(shape) for part, shape in zip(row.split(sizes), SHAPES, strict=True)] for row in jacobian]


def join(gradients: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])


@st.composite
def jacobians(draw: st.DrawFn, smallest: float = -10, largest: float = 10) -> Tensor:
    """Task gradients [T, SIZE], T = 2..6: random, zero, parallel or opposite, each of its own scale."""
    tasks = draw(st.integers(2, 6))
    rows = torch.randn(tasks, SIZE, dtype=torch.float64, generator=seeded(draw(st.integers(0, 2**32 - 1))))
    for row in range(1, tasks):
        kind = draw(st.sampled_from(["random", "random", "zero", "parallel", "opposite", "nearly opposite"]))
        if kind == "zero":
            rows[row] = 0
        elif kind != "random":
            rows[row] = rows[row - 1] * (1 if kind == "parallel" else -1) + (1e-7 * rows[row]) * (kind[0] == "n")
    scales = draw(st.lists(st.floats(smallest, largest), min_size=tasks, max_size=tasks))
    return rows * torch.tensor([10**scale for scale in scales], dtype=torch.float64)[:, None]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def orders(tasks: int, generator: torch.Generator) -> list[list[int]]:
    return [[j for j in torch.randperm(tasks, generator=generator).tolist() if j != i] for i in range(tasks)]


def pcgrad_loop(jacobian: Tensor, orders: list[list[int]]) -> Tensor:
    """Algorithm 1 of the paper, on the long vectors."""
    projected = jacobian.clone()
    for i, order in enumerate(orders):
        for j in order:
            if projected[i] @ jacobian[j] < 0:
                projected[i] -= projected[i] @ jacobian[j] / jacobian[j].norm() ** 2 * jacobian[j]
    return projected.sum(0)


def assert_close(update: Tensor, expected: Tensor, jacobian: Tensor) -> None:
    assert (update - expected).norm() <= 1e-10 * jacobian.norm(dim=1).max()


@settings(PATIENT)
@given(jacobians(), st.integers(0, 2**32 - 1))
def test_pcgrad_is_algorithm_1(jacobian: Tensor, seed: int) -> None:
    expected = pcgrad_loop(jacobian, orders(len(jacobian), seeded(seed)))
    update = join(surgery.combine(split(jacobian), surgery.PCGrad(seeded(seed))))
    assert_close(update, expected, jacobian)


def test_pcgrad_by_hand_is_a_sum_and_no_mean() -> None:
    # g1 = (1, 0) becomes (1/2, 1/2), g2 = (-1, 1) becomes (0, 1).
    update = surgery.combine([[torch.tensor([1.0, 0.0])], [torch.tensor([-1.0, 1.0])]], surgery.PCGrad())
    assert update[0] is not None
    assert update[0].tolist() == [0.5, 1.5]


@settings(PATIENT)
@given(st.integers(0, 2**32 - 1))
def test_two_tasks_agree_with_torchjd(seed: int) -> None:
    jacobian = torch.randn(2, SIZE, dtype=torch.float64, generator=seeded(seed))
    jacobian[1] -= jacobian[0]  # a conflict, nearly always
    update = join(surgery.combine(split(jacobian), surgery.PCGrad()))
    torch.testing.assert_close(update, torchjd.aggregation.PCGrad()(jacobian))


def test_every_task_meets_the_others_in_a_random_order_of_its_own() -> None:
    jacobian = torch.randn(3, 4, dtype=torch.float64, generator=seeded(1))
    jacobian[2] = -jacobian[0] - jacobian[1]
    gramian = jacobian @ jacobian.T
    assert surgery.conflict_rate(gramian) == 1
    possible = {
        tuple(round(x, 9) for x in pcgrad_loop(jacobian, list(orders)).tolist())
        for orders in itertools.product([[1, 2], [2, 1]], [[0, 2], [2, 0]], [[0, 1], [1, 0]])
    }
    generator = seeded(0)
    drawn = {
        tuple(round(x, 9) for x in (surgery.pcgrad_weights(gramian, generator) @ jacobian).tolist()) for _ in range(100)
    }
    assert len(possible) == 8
    assert drawn == possible


def test_the_global_generators_are_left_alone() -> None:
    before = torch.get_rng_state()
    surgery.pcgrad_weights(torch.eye(4), seeded(0))
    surgery.GradVac(generator=seeded(0))(torch.eye(4))
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------------------------------------ Gramian and weighted sum


@settings(PATIENT)
@given(jacobians())
def test_gramian_is_the_table_of_inner_products(jacobian: Tensor) -> None:
    gramian = surgery.gramian(split(jacobian))
    assert torch.equal(gramian, gramian.T)
    norms = jacobian.norm(dim=1)
    assert ((gramian - jacobian @ jacobian.T).abs() <= 1e-13 * norms[:, None] * norms[None, :]).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1.0, 1e18, 1e25])
def test_float32_gradients_of_any_scale(scale: float) -> None:
    a = torch.randn(1000, generator=seeded(0))
    b = torch.randn(1000, generator=seeded(1)) - 0.5 * a
    exact = torch.stack([a, b * scale]).double()
    gramian = surgery.gramian([[a], [b * scale]])
    torch.testing.assert_close(gramian, exact @ exact.T, rtol=1e-5, atol=0)
    update = surgery.combine([[a], [b * scale]], surgery.PCGrad())[0]
    assert update is not None
    expected = pcgrad_loop(exact, [[1], [0]])
    assert (update - expected).norm() <= 1e-5 * exact.norm(dim=1).max()


def test_bfloat16_gradients_are_not_multiplied_in_bfloat16() -> None:
    a, b = torch.randn(2, 10_000, generator=seeded(0)).bfloat16()
    exact = torch.stack([a, b]).double()
    torch.testing.assert_close(surgery.gramian([[a], [b]]), exact @ exact.T, rtol=1e-5, atol=1e-2)


def test_none_stays_none_and_counts_as_zero() -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    update = surgery.combine([[a, None, None, b], [b, a, None, None]], surgery.PCGrad())
    zeros = [torch.zeros(2) for _ in range(4)]
    expected = surgery.combine([[a, zeros[0], zeros[1], b], [b, a, zeros[2], zeros[3]]], surgery.PCGrad())
    assert update[2] is None
    for index in (0, 1, 3):
        torch.testing.assert_close(update[index], expected[index])


def test_a_weight_without_gradient_does_not_decay() -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    update = surgery.combine([[torch.ones(2), None], [torch.ones(2), None]], surgery.PCGrad())
    used.grad, unused.grad = update
    torch.optim.AdamW([used, unused], lr=0.1, weight_decay=0.5).step()
    assert unused.tolist() == [1, 1]
    assert used.tolist() != [1, 1]


def test_inplace_uses_the_memory_of_the_gradients_and_the_default_leaves_them() -> None:
    jacobian = torch.randn(3, SIZE, generator=seeded(0))
    gradients, untouched = split(jacobian.clone()), split(jacobian)
    kept = surgery.combine(gradients, surgery.PCGrad(seeded(0)))
    for row, same in zip(gradients, untouched, strict=True):
        assert torch.equal(join(row), join(same))
    update = surgery.combine(gradients, surgery.PCGrad(seeded(0)), inplace=True)
    assert [g.data_ptr() for g in update if g is not None] == [g.data_ptr() for g in gradients[0]]
    assert torch.equal(join(update), join(kept))


def test_layer_by_layer_is_surgery_on_each_layer_alone() -> None:
    gradients = split(torch.randn(2, SIZE, generator=seeded(3)))
    groups = [[3, 0], [1, 2]]
    update = surgery.combine(gradients, surgery.PCGrad(), groups)
    for group in groups:
        alone = surgery.combine([[row[index] for index in group] for row in gradients], surgery.PCGrad())
        assert all(update[index] is not None for index in group)
        for index, expected in zip(group, alone, strict=True):
            torch.testing.assert_close(update[index], expected)
    whole = surgery.combine(gradients, surgery.PCGrad())
    assert not torch.allclose(join(update), join(whole))


@pytest.mark.parametrize("groups", [[[0, 1], [2]], [[0, 1], [1, 2, 3]], [[0, 1, 2, 3, 4]]])
def test_groups_that_are_no_partition_are_refused(groups: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="each of the 4 parameters exactly once"):
        surgery.combine(split(torch.ones(2, SIZE)), surgery.PCGrad(), groups)


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[2, 1\]"):
        surgery.combine([[torch.ones(1), None], [torch.ones(1)]], surgery.PCGrad())
    with pytest.raises(ValueError, match="2 groups need as many weightings, not 1"):
        surgery.combine([list(torch.ones(2, 1)) for _ in range(2)], [surgery.PCGrad()], [[0], [1]])


# ------------------------------------------------------------------------------------------ further rules


def test_sum_adds_with_its_weights() -> None:
    jacobian = torch.randn(3, SIZE, generator=seeded(0))
    assert torch.allclose(join(surgery.combine(split(jacobian), surgery.Sum())), jacobian.sum(0), atol=1e-6)
    weighted = join(surgery.combine(split(jacobian), surgery.Sum([1.0, 0.5, 2.0])))
    assert torch.allclose(weighted, torch.tensor([1.0, 0.5, 2.0]) @ jacobian, atol=1e-6)


@pytest.mark.slow
@settings(PATIENT)
@given(jacobians(), st.data())
def test_asymmetric_projection_keeps_the_main_gradient(jacobian: Tensor, data: st.DataObject) -> None:
    main = data.draw(st.integers(0, len(jacobian) - 1))
    g, others = jacobian[main], [row for task, row in enumerate(jacobian) if task != main]
    a = torch.stack(others).sum(0)
    if a @ g < 0:
        a = a - a @ g / (g @ g) * g
    update = join(surgery.combine(split(jacobian), surgery.AsymmetricProjection(main)))
    assert_close(update, g + a, jacobian)


def test_asymmetric_projection_wants_a_task_that_exists() -> None:
    with pytest.raises(ValueError, match="there are 2 tasks"):
        surgery.AsymmetricProjection(2)(torch.eye(2))


class GradVacLoop:
    """Algorithm 1 of the paper, on the long vectors; without rounding in the way of a zero gradient."""

    def __init__(self, tasks: int, beta: float) -> None:
        self.beta, self.targets = beta, torch.zeros(tasks, tasks, dtype=torch.float64)

    def __call__(self, jacobian: Tensor, orders: list[list[int]]) -> Tensor:
        modified = jacobian.clone()
        for i, order in enumerate(orders):
            for j in order:
                n_i, n_j = modified[i].norm(), jacobian[j].norm()
                if n_i == 0 or n_j == 0:
                    continue
                phi, target = (modified[i] / n_i) @ (jacobian[j] / n_j), self.targets[i, j].clone()
                if phi < target:
                    pull = target * (1 - phi**2).sqrt() - phi * (1 - target**2).sqrt()
                    modified[i] += n_i * pull / (n_j * (1 - target**2).sqrt()) * jacobian[j]
                self.targets[i, j] = (1 - self.beta) * target + self.beta * phi
        return modified.sum(0)


@pytest.mark.slow
@settings(PATIENT, max_examples=50)
@given(st.integers(2, 6), st.floats(0.01, 0.5), st.integers(0, 2**32 - 1), st.floats(-10, 10))
def test_gradvac_is_algorithm_1_over_many_steps(tasks: int, beta: float, seed: int, scale: float) -> None:
    loop, rule = GradVacLoop(tasks, beta), surgery.GradVac(beta, seeded(seed))
    data, order = seeded(seed + 1), seeded(seed)
    common = torch.randn(SIZE, dtype=torch.float64, generator=data)
    scales = 10 ** (scale * torch.rand(tasks, 1, dtype=torch.float64, generator=data))
    for step in range(8):
        jacobian = scales * (torch.randn(tasks, SIZE, dtype=torch.float64, generator=data) + common)
        if step == 4:
            jacobian[0] = 0
        expected = loop(jacobian, orders(tasks, order))
        assert_close(join(surgery.combine(split(jacobian), rule)), expected, jacobian)
    assert rule.targets is not None
    torch.testing.assert_close(rule.targets, loop.targets)
    assert loop.targets.abs().max() > 0


@pytest.mark.parametrize("seed", range(20))
def test_gradvac_takes_no_cosine_of_what_rounding_leaves_of_opposite_gradients(seed: int) -> None:
    g, h = torch.randn(2, SIZE, dtype=torch.float64, generator=seeded(seed))
    jacobian, rule = torch.stack([g, -3 * g, h]), surgery.GradVac(generator=seeded(seed))
    update = join(surgery.combine(split(jacobian), rule))
    assert update.norm() <= 4 * h.norm()
    assert rule.targets is not None
    cosine = torch.cosine_similarity(g, h, dim=0).item()
    for task, sign in ((0, 1), (1, -1)):  # h is met after the opposite gradient, or before it
        assert rule.targets[task, 2].item() in (0, pytest.approx(0.01 * sign * cosine))


def test_gradvac_agrees_with_torchjd_on_two_tasks() -> None:
    ours, theirs = surgery.GradVac(beta=0.3), torchjd.aggregation.GradVacWeighting(beta=0.3, eps=0.0)
    for seed in range(10):
        jacobian = torch.randn(2, 3, dtype=torch.float64, generator=seeded(seed))
        torch.testing.assert_close(ours(jacobian @ jacobian.T), theirs(jacobian @ jacobian.T))


def test_gradvac_pulls_a_pair_to_its_target() -> None:
    jacobian = torch.tensor([[1.0, 0.0], [-0.3, 2.0]], dtype=torch.float64)
    rule = surgery.GradVac(targets=torch.tensor([[0.0, 0.6], [-1.0, 0.0]], dtype=torch.float64))
    first = rule(jacobian @ jacobian.T) @ jacobian - jacobian[1]  # task 1's target is below its cosine: unchanged
    assert torch.cosine_similarity(first, jacobian[1], dim=0).item() == pytest.approx(0.6, abs=1e-12)


def test_gradvac_survives_tasks_that_are_always_parallel() -> None:
    rule = surgery.GradVac(beta=0.5)
    for _ in range(100):
        weights = rule(torch.ones(2, 2, dtype=torch.float64))
    assert weights.tolist() == [1, 1]
    assert rule(torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)).isfinite().all()


def test_gradvac_goes_on_from_a_checkpoint() -> None:
    gramians = [(j := torch.randn(3, 5, generator=seeded(seed))) @ j.T for seed in range(6)]
    rule, generator = surgery.GradVac(0.3, seeded(0)), seeded(0)
    for gramian in gramians[:3]:
        rule(gramian)
    assert rule.generator is not None
    generator.set_state(rule.generator.get_state())
    resumed = surgery.GradVac(0.3, generator)
    resumed.load_state_dict(rule.state_dict())
    for gramian in gramians[3:]:
        assert torch.equal(resumed(gramian), rule(gramian))


def test_gradvac_has_a_state_for_each_layer() -> None:
    gradients = split(torch.randn(2, SIZE, generator=seeded(0)))
    groups = [[0], [1, 2, 3]]
    with pytest.raises(ValueError, match="a list of 2"):
        surgery.combine(gradients, surgery.GradVac(), groups)
    rules = [surgery.GradVac(), surgery.GradVac()]
    surgery.combine(gradients, rules, groups)
    for rule, group in zip(rules, groups, strict=True):
        cosine = surgery.cosines(surgery.gramian([[row[index] for index in group] for row in gradients]))[0, 1]
        assert rule.targets is not None
        assert rule.targets[0, 1].item() == pytest.approx(0.01 * cosine.item())


def test_gradvac_refuses_another_number_of_tasks() -> None:
    rule = surgery.GradVac()
    rule(torch.eye(2))
    with pytest.raises(ValueError, match="targets for 2 tasks, but there are 3"):
        rule(torch.eye(3))


# ------------------------------------------------------------------------------------------ rules by name


SOLVERS = {"cagrad": ("cvxpy",), "nash-mtl": ("cvxpy", "ecos")}  # packages that an installation may lack


def offered(name: str) -> surgery.Weighting:
    """The rule of a name; the test is skipped if its solver is not installed."""
    for package in SOLVERS.get(name, ()):
        pytest.importorskip(package)
    return surgery.weighting(name, main=0)


AGGREGATORS: dict[str, Callable[[], Any]] = {
    "aligned-mtl": torchjd.aggregation.AlignedMTL,
    "cagrad": lambda: torchjd.aggregation.CAGrad(c=0.4),
    "config": torchjd.aggregation.ConFIG,
    "dualproj": torchjd.aggregation.DualProj,
    "fairgrad": lambda: torchjd.aggregation.FairGrad(alpha=1.0),
    "imtl-g": torchjd.aggregation.IMTLG,
    "krum": lambda: torchjd.aggregation.Krum(n_byzantine=0),
    "mean": torchjd.aggregation.Mean,
    "mgda": torchjd.aggregation.MGDA,
    "nash-mtl": lambda: torchjd.aggregation.NashMTL(n_tasks=3),
    "upgrad": torchjd.aggregation.UPGrad,
}


@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem")  # of torchjd's own Nash-MTL
@pytest.mark.parametrize("name", AGGREGATORS)
def test_a_torchjd_rule_gives_what_its_aggregator_gives(name: str) -> None:
    weighting = offered(name)
    jacobian = torch.randn(3, SIZE, dtype=torch.float64, generator=seeded(0))
    update = join(surgery.combine(split(jacobian), weighting))
    torch.testing.assert_close(update, AGGREGATORS[name]()(jacobian), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in AGGREGATORS if name not in ("fairgrad", "nash-mtl", "config")])
def test_a_torchjd_rule_works_on_small_gradients_too(name: str) -> None:
    weighting = offered(name)
    jacobian = torch.randn(3, 8, dtype=torch.float64, generator=seeded(2))
    gramian = jacobian @ jacobian.T
    torch.testing.assert_close(weighting(1e-12 * gramian), weighting(gramian), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in AGGREGATORS if name not in ("fairgrad", "nash-mtl")])
def test_a_task_without_a_gradient_does_not_stop_the_others(name: str) -> None:
    jacobian = torch.randn(4, 8, dtype=torch.float64, generator=seeded(3))
    jacobian[1] = 0
    weighting = offered(name)
    weights = weighting(jacobian @ jacobian.T)
    assert (weights @ jacobian).norm() > 0.1
    if name in ("cagrad", "mgda"):  # as without the task
        others = jacobian[[0, 2, 3]]
        torch.testing.assert_close(weights[[0, 2, 3]], weighting(others @ others.T))
        assert weights[1] == 0


@pytest.mark.parametrize("name", surgery.methods())
def test_every_method_takes_zero_gradients_and_passes_on_broken_ones(name: str) -> None:
    weighting = offered(name)
    assert weighting(torch.zeros(3, 3, dtype=torch.float64)).isfinite().all()
    broken = [[torch.tensor([1.0, torch.nan])], [torch.ones(2)], [-torch.ones(2)]]
    update = surgery.combine(broken, weighting)[0]
    assert update is not None
    if name != "krum":  # it exists to leave out such a gradient
        assert update.isnan().any()


def test_every_rule_of_torchjd_is_offered_or_refused_with_a_reason() -> None:
    own = {"PCGrad", "GradVac", "Sum", "Constant"}
    for exported in torchjd.aggregation.__all__:
        rule = exported.removesuffix("Weighting")
        if not rule or rule in own or rule in ("Aggregator", "GramianWeightedAggregator", "WeightedAggregator"):
            continue
        squeezed = {name.replace("-", ""): name for name in surgery.methods()}
        if rule.lower() not in squeezed:
            names = [rule.lower(), *(f"{rule[:k]}-{rule[k:]}".lower() for k in range(1, len(rule)))]
            assert any("is not offered" in refusal(name) for name in names), rule


def refusal(name: str) -> str:
    with pytest.raises(ValueError, match="surgery method") as caught:
        surgery.weighting(name)
    return str(caught.value)


def test_refusals_say_why_and_what_to_do() -> None:
    assert "looks at every coordinate of the gradients" in refusal("graddrop")
    assert "only smooths the weights of another rule" in refusal("cr-mogm")
    assert refusal("pcgrd").endswith("did you mean pcgrad?")
    assert refusal("imtlg").endswith("did you mean imtl-g?")
    assert "unknown surgery method '42'; choose one of none, pcgrad" in refusal("42")
    assert "main" in refusal("asymmetric")
    with pytest.raises(ValueError, match=r"surgery method upgrad: .*unexpected keyword argument 'c'"):
        surgery.weighting("upgrad", c=1)


def test_a_missing_solver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchjd._mixins, "find_spec", lambda _: None)
    for name, package in [("upgrad", "quadprog"), ("cagrad", "cvxpy"), ("nash-mtl", "ecos")]:
        message = refusal(name)
        assert package in message
        assert "pip install" in message
    assert refusal("nash-mtl").endswith("pip install 'bertram[nash-mtl]'")


def test_a_missing_torchjd_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    assert refusal("upgrad") == "surgery method upgrad needs torchjd: pip install 'bertram[surgery]'"


# ------------------------------------------------------------------------------------------ ConFIG and Nash-MTL


@PATIENT
@given(seed=st.integers(0, 2**32 - 1), tasks=st.integers(1, 6))
def test_config_is_that_of_torchjd_without_the_jacobian(seed: int, tasks: int) -> None:
    jacobian = torch.randn(tasks, SIZE, dtype=torch.float64, generator=seeded(seed))
    update = join(surgery.combine(split(jacobian), surgery.ConFIG()))
    expected = torchjd.aggregation.ConFIG()(jacobian)
    torch.testing.assert_close(update, expected, rtol=1e-9, atol=1e-9)
    cosines = torch.cosine_similarity(update[None], jacobian)
    torch.testing.assert_close(cosines, cosines[:1].expand(tasks), rtol=1e-9, atol=1e-9)  # as its paper wants them


def test_config_of_parallel_opposite_and_absent_gradients() -> None:
    g = torch.randn(SIZE, dtype=torch.float64, generator=seeded(0))
    rule = surgery.ConFIG()

    def update(*factors: float) -> Tensor:
        return join(surgery.combine(split(torch.stack([factor * g for factor in factors])), rule))

    torch.testing.assert_close(update(1.0, 1.0), 2 * g)
    torch.testing.assert_close(update(1.0, 3.0), 4 * g)
    torch.testing.assert_close(update(1.0, 0.0), g)
    assert update(1.0, -1.0).norm() < 1e-6 * g.norm()
    assert rule(torch.zeros(2, 2, dtype=torch.float64)).tolist() == [0.0, 0.0]


@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem")  # of torchjd's own Nash-MTL
def test_nash_mtl_is_that_of_torchjd_over_many_steps_and_goes_on_from_a_checkpoint() -> None:
    rule, reference = offered("nash-mtl"), torchjd.aggregation.NashMTL(n_tasks=3)
    assert isinstance(rule, surgery.NashMTL)
    resumed = surgery.NashMTL()
    for step in range(6):
        jacobian = torch.randn(3, SIZE, dtype=torch.float64, generator=seeded(step))
        if step == 3:
            resumed.load_state_dict(rule.state_dict())
        update = join(surgery.combine(split(jacobian), rule))
        torch.testing.assert_close(update, reference(jacobian), rtol=1e-4, atol=1e-6)
        if step >= 3:
            assert torch.equal(join(surgery.combine(split(jacobian), resumed)), update)


# ------------------------------------------------------------------------------------------ other people's gradients


def test_gradients_of_two_tasks_that_share_memory_are_refused() -> None:
    weight = nn.Parameter(torch.ones(3))
    kept = []
    for scale in (1.0, 2.0):
        if weight.grad is not None:
            weight.grad.zero_()  # as zero_grad(set_to_none=False) and bucket views do
        (scale * weight.sum()).backward()
        kept.append([weight.grad])
    with pytest.raises(ValueError, match=r"gradients of tasks 0 and 1 share memory.*gradient_as_bucket_view"):
        surgery.combine(kept, surgery.Sum())
    matrix = torch.ones(2, 3)
    assert surgery.combine([[matrix[0]], [matrix[1]]], surgery.Sum())[0] is not None


def test_a_gradient_that_two_parameters_share_is_scaled_once() -> None:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

    def gradients(factor: float) -> list[Tensor | None]:
        return list(torch.autograd.grad((factor * (a + b) ** 2).sum(), [a, b]))

    first, second = gradients(1.0), gradients(2.0)
    assert first[0] is not None
    assert first[1] is not None
    assert first[0].data_ptr() == first[1].data_ptr()
    combined = surgery.combine([first, second], surgery.Sum([0.5, 3.0]), inplace=True)
    for gradient in combined:
        assert gradient is not None
        torch.testing.assert_close(gradient, torch.full((3,), 0.5 * 4 + 3.0 * 8))


def test_an_expanded_gradient_can_be_written_in_place() -> None:
    weight = nn.Parameter(torch.ones(2, 3))
    tasks = [list(torch.autograd.grad(weight.sum() * scale, [weight])) for scale in (1.0, 2.0)]
    (combined,) = surgery.combine(tasks, surgery.Sum(), inplace=True)
    assert combined is not None
    assert torch.equal(combined, torch.full((2, 3), 3.0))


@pytest.mark.parametrize("rule", [surgery.PCGrad, surgery.GradVac])
def test_a_rule_without_a_generator_leaves_the_global_one_alone_and_is_the_same_in_every_process(
    rule: Callable[[], surgery.Weighting],
) -> None:
    jacobian = torch.randn(5, SIZE, dtype=torch.float64, generator=seeded(0))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = rule(), rule()
    updates = [join(surgery.combine(split(jacobian), first)) for _ in range(3)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    for update in updates:
        assert torch.equal(join(surgery.combine(split(jacobian), second)), update)


@pytest.mark.parametrize("beta", [7.0, -0.1, float("nan")])
def test_gradvac_refuses_a_beta_that_is_no_share(beta: float) -> None:
    with pytest.raises(ValueError, match=r"beta = .*: must be a number from 0 to 1"):
        surgery.GradVac(beta=beta)


def test_an_aggregator_of_torchjd_is_refused_with_the_way_to_do_it() -> None:
    gradients: list[list[Tensor | None]] = [[torch.ones(2)], [-torch.ones(2)]]
    with pytest.raises(ValueError, match=r"UPGrad is an aggregator .* surgery.weighting\('upgrad'\)"):
        surgery.combine(gradients, torchjd.aggregation.UPGrad())
    assert surgery.combine(gradients, torchjd.aggregation.UPGradWeighting())[0] is not None


def test_weights_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the weighting gave \[2, 2\] for the weights of 2 tasks"):
        surgery.combine([[torch.ones(2)], [-torch.ones(2)]], lambda gramian: gramian)


@pytest.mark.parametrize(
    ("gradient", "kind"),
    [(torch.ones(2, 2).to_sparse(), "sparse"), (torch.ones(2, dtype=torch.complex64), "complex")],
)
def test_sparse_and_complex_gradients_are_refused(gradient: Tensor, kind: str) -> None:
    with pytest.raises(ValueError, match=f"surgery needs dense, real gradients; one of task 1 is {kind}"):
        surgery.combine([[torch.ones(2)], [gradient]], surgery.Sum())


def test_a_weight_beyond_float16_does_not_overflow() -> None:
    small = torch.full((3,), 1e-3, dtype=torch.float16)
    for inplace in (False, True):
        (combined,) = surgery.combine([[small.clone()], [small.clone()]], surgery.Sum([1e5, 1e5]), inplace=inplace)
        assert combined is not None
        assert combined.dtype == torch.float16
        torch.testing.assert_close(combined.float(), torch.full((3,), 200.0), rtol=2e-3, atol=0.0)


# ------------------------------------------------------------------------------------------ diagnostics


def test_diagnostics_by_hand() -> None:
    gramian = surgery.gramian([[torch.tensor([3.0, 4.0])], [torch.tensor([-3.0, 0.0])], [torch.tensor([0.0, 1.0])]])
    assert surgery.norms(gramian).tolist() == [5, 3, 1]
    assert surgery.magnitude_ratio(gramian) == 5
    expected = torch.tensor([[1, -0.6, 0.8], [-0.6, 1, 0], [0.8, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(surgery.cosines(gramian), expected)
    assert surgery.conflict_rate(gramian) == pytest.approx(1 / 3)


def test_diagnostics_of_zero_gradients_and_of_one_task() -> None:
    gramian = surgery.gramian([[torch.ones(2)], [torch.zeros(2)]])
    assert surgery.cosines(gramian).isnan().tolist() == [[False, True], [True, True]]
    assert surgery.conflict_rate(gramian) == 0
    assert surgery.conflict_rate(torch.eye(1)) == 0


@pytest.mark.slow
@settings(PATIENT)
@given(jacobians())
def test_layers_add_up_to_the_encoder_and_cosines_are_cosines(jacobian: Tensor) -> None:
    gradients = split(jacobian)
    gramian = surgery.gramian(gradients)
    layers = sum(surgery.gramian([[row[index]] for row in gradients]) for index in range(len(SHAPES)))
    norm = jacobian.norm(dim=1)
    assert ((layers - gramian).abs() <= 1e-13 * norm[:, None] * norm[None, :]).all()
    cosines = surgery.cosines(gramian)
    finite = cosines[~cosines.isnan()]
    assert ((finite >= -1) & (finite <= 1)).all()


def test_a_wrapped_weighting_sees_the_gramian_for_the_log() -> None:
    seen: list[Tensor] = []

    def watched(gramian: Tensor) -> Tensor:
        seen.append(gramian)
        return surgery.pcgrad_weights(gramian)

    gradients = split(torch.randn(2, SIZE, generator=seeded(0)))
    surgery.combine(gradients, watched, [[0], [1, 2, 3]])
    torch.testing.assert_close(seen[0] + seen[1], surgery.gramian(gradients))


# ------------------------------------------------------------------------------------------ a loop of one's own


def test_heads_keep_their_gradient_and_one_graph_is_alive_at_a_time() -> None:
    torch.manual_seed(0)
    encoder, heads = nn.Linear(6, 4), [nn.Linear(4, 1) for _ in range(3)]
    batches = [(torch.randn(8, 6), torch.randn(8, 1)) for _ in heads]
    shared = list(encoder.parameters())
    alone = [
        torch.autograd.grad(nn.functional.mse_loss(head(encoder(x)), y), [*shared, *head.parameters()])
        for head, (x, y) in zip(heads, batches, strict=True)
    ]
    jacobian = torch.stack([torch.cat([g.flatten() for g in row[:2]]) for row in alone])
    task_gradients = []
    for head, (x, y) in zip(heads, batches, strict=True):
        nn.functional.mse_loss(head(encoder(x)), y).backward()
        task_gradients.append([p.grad for p in shared])
        encoder.zero_grad()
    update = surgery.combine(task_gradients, surgery.PCGrad(seeded(5)), inplace=True)
    torch.testing.assert_close(join(update), pcgrad_loop(jacobian, orders(3, seeded(5))))
    for head, row in zip(heads, alone, strict=True):
        assert [p.grad.tolist() for p in head.parameters() if p.grad is not None] == [g.tolist() for g in row[2:]]


def test_the_documented_loop_runs() -> None:
    assert doctest.testmod(surgery).failed == 0
