"""SMART against its definition, on toy models with packed and with padded embeddings."""

import doctest
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, kl_divergence

from bertram import smart
from bertram.smart import proximal

PATIENT = settings(deadline=None, max_examples=30)  # no test depends on how fast the machine is
SEEDS = st.integers(0, 2**32 - 1)
HIDDEN, CLASSES = 6, 5


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Packed:
    """A model over packed tokens [tokens, hidden]; the first token of an example is a [CLS] that must not move."""

    def __init__(self, seed: int, lengths: tuple[int, ...] = (4, 1, 7), dtype: torch.dtype = torch.float64) -> None:
        g = seeded(seed)
        self.example = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        self.mask = torch.cat([torch.arange(length) > 0 for length in lengths])
        self.mask[lengths[0]] = True  # the example of one token may move
        self.embeddings = torch.randn(sum(lengths), HIDDEN, generator=g, dtype=dtype).requires_grad_()
        self.encoder = torch.randn(HIDDEN, HIDDEN, generator=g, dtype=dtype).requires_grad_()
        self.head = torch.randn(HIDDEN, CLASSES, generator=g, dtype=dtype).requires_grad_()
        self.where: dict[str, Any] = {"example": self.example, "mask": self.mask}

    def f(self, offset: Tensor) -> Tensor:
        tokens = torch.tanh((self.embeddings + offset) @ self.encoder)
        examples = int(self.example.max()) + 1
        pooled = tokens.new_zeros(examples, HIDDEN).index_add(0, self.example, tokens)
        return pooled / self.example.bincount()[:, None] @ self.head

    def owners(self) -> list[Tensor]:
        return [(self.example == example) for example in range(int(self.example.max()) + 1)]


class Padded(Packed):
    """The same with padded embeddings [batch, length, hidden]."""

    def __init__(self, seed: int, lengths: tuple[int, ...] = (4, 1, 7), dtype: torch.dtype = torch.float64) -> None:
        super().__init__(seed, lengths, dtype)
        real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        embeddings = torch.zeros(len(lengths), max(lengths), HIDDEN, dtype=dtype)
        embeddings[real] = self.embeddings.detach()
        self.embeddings, self.real = embeddings.requires_grad_(), real
        self.mask = torch.zeros_like(real).masked_scatter(real, self.mask)
        self.where = {"mask": self.mask}

    def f(self, offset: Tensor) -> Tensor:
        tokens = torch.tanh((self.embeddings + offset) @ self.encoder) * self.real[..., None]
        return tokens.sum(1) / self.real.sum(1, keepdim=True) @ self.head

    def owners(self) -> list[Tensor]:
        return [torch.arange(len(self.real)) == example for example in range(len(self.real))]


Toy = Packed
TOYS = pytest.mark.parametrize("toy", [Packed, Padded])
SETTINGS = smart.Settings(radius=0.2, noise_std=0.02, step_size=0.1, unit="absolute")


def offset_of(model: Toy, **changes: Any) -> smart.Perturbation:
    arguments = {"radius": 0.2, "noise_std": 0.02, "step_size": 0.1, **model.where, **changes}
    clean = model.f(torch.zeros_like(model.embeddings))
    return smart.adversarial_offset(model.f, clean, smart.symmetric_kl, model.embeddings, **arguments)


def penalty_of(model: Toy, with_settings: smart.Settings = SETTINGS, **changes: Any) -> Tensor:
    clean = model.f(torch.zeros_like(model.embeddings))
    arguments = {**model.where, **changes}
    return smart.penalty(model.f, clean, smart.symmetric_kl, model.embeddings, with_settings, **arguments)[0]


# ------------------------------------------------------------------------------------------ divergences


@settings(PATIENT)
@given(SEEDS, st.floats(1e-3, 30))
def test_symmetric_kl_and_its_gradient_are_those_of_the_definition(seed: int, scale: float) -> None:
    p, q = (scale * torch.randn(2, 4, CLASSES, generator=seeded(seed), dtype=torch.float64)).requires_grad_()
    there, back = Categorical(logits=p), Categorical(logits=q)
    expected = (kl_divergence(there, back) + kl_divergence(back, there)).mean()
    value = smart.symmetric_kl(p, q)
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, (p, q)), torch.autograd.grad(expected, (p, q))
    torch.testing.assert_close(gradients[0], gradients[1])


@settings(PATIENT)
@given(SEEDS, st.floats(1e-3, 5))  # beyond, the probabilities of the reference are rounded to 1
def test_bernoulli_and_ordinal_divergence_are_those_of_the_definition(seed: int, scale: float) -> None:
    p, q = (scale * torch.randn(2, 4, 3, generator=seeded(seed), dtype=torch.float64)).requires_grad_()
    there, back = Bernoulli(logits=p), Bernoulli(logits=q)
    each = kl_divergence(there, back) + kl_divergence(back, there)
    torch.testing.assert_close(smart.coral_symmetric_kl(p, q), each.sum(1).mean())
    value, expected = smart.bernoulli_symmetric_kl(p[:, 0], q[:, 0]), each[:, 0].mean()
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, (p, q)), torch.autograd.grad(expected, (p, q))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_two_classes_are_a_yes_and_a_no() -> None:
    p, q = torch.randn(2, 6, generator=seeded(0), dtype=torch.float64)
    two = smart.symmetric_kl(torch.stack([p, 0 * p], 1), torch.stack([q, 0 * q], 1))
    torch.testing.assert_close(smart.bernoulli_symmetric_kl(p, q), two)


def test_squared_difference_is_in_units_of_the_label_range() -> None:
    assert smart.squared_difference(torch.tensor([5.0, 1.0]), torch.tensor([0.0, 1.0]), scale=5).item() == 0.5


DIVERGENCES = [smart.symmetric_kl, smart.bernoulli_symmetric_kl, smart.coral_symmetric_kl, smart.squared_difference]


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_divergences_are_symmetric_and_differentiated_on_both_sides(divergence: Callable[..., Tensor]) -> None:
    p, q = torch.randn(2, 4, 3, generator=seeded(0), dtype=torch.float64).requires_grad_()
    assert torch.equal(divergence(p, q), divergence(q, p))
    assert divergence(p, p).item() == 0
    assert torch.autograd.gradcheck(divergence, (p, q))
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(divergence(p, q), (p, q)))


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_divergences_are_means_in_float32_at_least(divergence: Callable[..., Tensor]) -> None:
    p, q = torch.randn(2, 4, 3, generator=seeded(0)).bfloat16()
    assert divergence(p, q).dtype == torch.float32
    torch.testing.assert_close(divergence(p, q), divergence(p.float(), q.float()))
    assert divergence(p.double(), q.double()).dtype == torch.float64
    torch.testing.assert_close(divergence(p.repeat(3, 1), q.repeat(3, 1)), divergence(p, q))


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_outputs_of_two_shapes_are_refused_not_broadcast(divergence: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"\[4, 3\] and \[4, 1\]"):
        divergence(torch.zeros(4, 3), torch.zeros(4, 1))
    if divergence is not smart.coral_symmetric_kl:
        with pytest.raises(ValueError, match=r"\[4\] and \[4, 1\]"):
            divergence(torch.zeros(4), torch.zeros(4, 1))


def test_divergences_that_would_be_zero_in_silence_are_refused() -> None:
    with pytest.raises(ValueError, match="bernoulli_symmetric_kl"):
        smart.symmetric_kl(torch.zeros(4, 1), torch.ones(4, 1))
    with pytest.raises(ValueError, match="thresholds"):
        smart.coral_symmetric_kl(torch.zeros(4), torch.ones(4))


# ------------------------------------------------------------------------------------------ the offset


@TOYS
@settings(PATIENT)
@given(
    seed=SEEDS,
    radius=st.floats(1e-6, 10),
    noise_std=st.floats(0, 10),
    step_size=st.floats(1e-6, 10),
    steps=st.integers(0, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_offset_stays_in_the_ball_at_every_pass(
    toy: type[Toy], seed: int, radius: float, noise_std: float, step_size: float, steps: int, dtype: torch.dtype
) -> None:
    model = toy(seed, dtype=dtype)
    passes, f = [], model.f

    def recorded(offset: Tensor) -> Tensor:
        passes.append(offset.detach())
        return f(offset)

    model.f = recorded  # type: ignore[method-assign]
    found = offset_of(
        model, radius=radius, noise_std=noise_std, step_size=step_size, steps=steps, generator=seeded(seed)
    )
    assert len(passes) == steps + 1  # no pass that was not asked for
    for offset in [*passes, found.offset]:
        assert offset.abs().max().item() <= radius
        assert offset[~model.mask].abs().max().item() == 0
    assert found.radius.item() == found.offset.abs().max().item()
    assert (found.gradient_cosine is None) == (found.divergence_before is None) == (steps == 0)


@TOYS
def test_one_step_is_that_of_algorithm_1(toy: type[Toy]) -> None:
    model = toy(0)
    noise = 0.3 * torch.randn(model.embeddings.shape, generator=seeded(1), dtype=torch.float64)
    found = offset_of(model, noise=noise, radius=0.25, step_size=0.05)
    start = (noise * model.mask[..., None]).clamp(-0.25, 0.25).requires_grad_()
    loss = smart.symmetric_kl(model.f(start), model.f(torch.zeros_like(start)).detach())
    g = torch.autograd.grad(loss, start)[0] * model.mask[..., None]
    expected = start.detach().clone()
    for own in model.owners():  # the infinity norm over all tokens of an example that may move
        expected[own] += 0.05 * g[own] / g[own].abs().max()
    torch.testing.assert_close(found.offset, expected.clamp(-0.25, 0.25))
    assert found.divergence_before is not None
    assert found.gradient_cosine is not None
    torch.testing.assert_close(found.divergence_before, loss.detach())
    cosine = torch.cosine_similarity(found.offset.flatten(), g.flatten(), dim=0)
    torch.testing.assert_close(found.gradient_cosine, cosine)


def test_both_texts_of_a_pair_share_one_norm() -> None:
    model = Packed(0, lengths=(3, 4, 5, 2))
    model.mask[:] = True
    pair = torch.tensor([0, 0, 1, 1])[model.example]  # four texts, two pairs: their tokens need not be neighbours
    order = torch.randperm(len(pair), generator=seeded(4))
    model.example, model.embeddings = model.example[order], model.embeddings.detach()[order].requires_grad_()
    noise = 1e-3 * torch.randn(model.embeddings.shape, generator=seeded(1), dtype=torch.float64)
    found = offset_of(model, noise=noise, example=pair[order], mask=None, radius=1.0, step_size=0.1)
    moved = (found.offset - noise).abs()
    texts = [moved[model.example == text].max().item() for text in range(4)]
    assert max(texts[:2]) == pytest.approx(0.1)
    assert max(texts[2:]) == pytest.approx(0.1)
    assert min(texts) < 0.099


@TOYS
@settings(PATIENT)
@given(seed=SEEDS)
def test_a_small_step_does_not_lower_the_divergence(toy: type[Toy], seed: int) -> None:
    model = toy(seed)
    clean = model.f(torch.zeros_like(model.embeddings)).detach()
    noise = 0.1 * torch.randn(model.embeddings.shape, generator=seeded(seed), dtype=torch.float64)
    found = offset_of(model, noise=noise, radius=10.0, step_size=1e-5)
    assert found.divergence_before is not None
    assert smart.symmetric_kl(model.f(found.offset), clean) >= found.divergence_before


@TOYS
def test_steps_climb_far_above_the_random_start(toy: type[Toy]) -> None:
    for seed in range(10):
        model = toy(seed)
        clean = model.f(torch.zeros_like(model.embeddings)).detach()
        found = offset_of(model, steps=3, generator=seeded(seed))
        largest = 0.2 * torch.randn(model.embeddings.shape, generator=seeded(seed), dtype=torch.float64).sign()
        at_random = smart.symmetric_kl(model.f(largest * model.mask[..., None]), clean)
        assert smart.symmetric_kl(model.f(found.offset), clean) > at_random


@TOYS
def test_an_example_without_gradient_stays_where_it_is(toy: type[Toy]) -> None:
    model = toy(0)
    first = model.owners()[0]
    model.embeddings.data[first] = 1e3  # tanh is flat there
    found = offset_of(model, generator=seeded(0))
    start = offset_of(model, steps=0, generator=seeded(0))
    assert found.offset.isfinite().all()
    assert torch.equal(found.offset[first], start.offset[first])
    assert not torch.equal(found.offset, start.offset)


@TOYS
def test_only_the_offset_is_differentiated(toy: type[Toy]) -> None:
    model = toy(0)
    clean = model.f(torch.zeros_like(model.embeddings))

    def divergence(p: Tensor, q: Tensor) -> Tensor:
        assert not q.requires_grad
        return smart.symmetric_kl(p, q)

    found = smart.adversarial_offset(
        model.f, clean, divergence, model.embeddings, radius=0.2, noise_std=0.02, step_size=0.1, **model.where
    )
    assert not found.offset.requires_grad
    assert all(weight.grad is None for weight in (model.embeddings, model.encoder, model.head))
    clean.sum().backward()  # the clean graph is untouched
    assert model.encoder.grad is not None


def test_the_generator_decides_the_offset_and_the_global_one_is_left_alone() -> None:
    model = Packed(0)
    before = torch.get_rng_state()
    first = offset_of(model, generator=seeded(1)).offset
    assert torch.equal(first, offset_of(model, generator=seeded(1)).offset)
    assert not torch.equal(first, offset_of(model, generator=seeded(2)).offset)
    assert torch.equal(torch.get_rng_state(), before)
    spread = offset_of(Packed(0, (4000, 1)), steps=0, noise_std=0.01, radius=1.0, generator=seeded(1)).offset.std()
    assert spread.item() == pytest.approx(0.01, rel=0.03)


def test_the_offset_of_a_bfloat16_model_is_float32() -> None:
    model = Packed(0, dtype=torch.bfloat16)
    clean = model.f(torch.zeros_like(model.embeddings))

    def f(offset: Tensor) -> Tensor:
        tokens = (model.embeddings.float() + offset).bfloat16() @ model.encoder
        return torch.zeros(3, HIDDEN, dtype=torch.bfloat16).index_add(0, model.example, tokens) @ model.head

    found = smart.adversarial_offset(
        f, clean, smart.symmetric_kl, model.embeddings, radius=0.2, noise_std=0.02, step_size=0.1, **model.where
    )
    assert found.offset.dtype == torch.float32
    assert 0.05 < found.radius.item() <= 0.2


def test_outputs_of_several_tasks_are_perturbed_together() -> None:
    model = Packed(0)

    def f(offset: Tensor) -> tuple[Tensor, ...]:
        logits = model.f(offset)
        return logits[:, :3], logits[:, 3]

    def divergence(p: tuple[Tensor, ...], q: tuple[Tensor, ...]) -> Tensor:
        return smart.symmetric_kl(p[0], q[0]) + smart.bernoulli_symmetric_kl(p[1], q[1])

    clean = f(torch.zeros_like(model.embeddings))
    penalty, found = smart.penalty(f, clean, divergence, model.embeddings, SETTINGS, **model.where)
    assert found is not None
    torch.testing.assert_close(penalty, divergence(f(found.offset), clean))
    assert found.divergence_after is not None
    assert found.divergence_before is not None
    assert found.divergence_after > found.divergence_before


def test_a_function_that_loses_the_offset_is_told_so() -> None:
    model = Packed(0)
    clean = model.f(torch.zeros_like(model.embeddings))
    for f in (lambda offset: model.f(0 * offset.detach()), lambda offset: model.f(offset).detach()):
        with pytest.raises(ValueError, match="do not depend on the offset"):
            smart.penalty(f, clean, smart.symmetric_kl, model.embeddings, SETTINGS)


# ------------------------------------------------------------------------------------------ the penalty


def gradients(model: Toy, penalty: Callable[[], Tensor]) -> list[Tensor]:
    loss = nn.functional.cross_entropy(model.f(torch.zeros_like(model.embeddings)), torch.arange(3))
    return list(torch.autograd.grad(loss + penalty(), [model.embeddings, model.encoder, model.head]))


@TOYS
def test_weight_0_is_off_to_the_bit_and_any_other_moves_the_encoder(toy: type[Toy]) -> None:
    model = toy(0)

    def smart_gradients(weight: float) -> list[Tensor]:
        torch.manual_seed(0)
        return gradients(model, lambda: penalty_of(model, smart.Settings(weight, unit="absolute")))

    off = gradients(model, lambda: torch.zeros(()))
    assert all(torch.equal(a, b) for a, b in zip(smart_gradients(0.0), off, strict=True))
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(0).get_state())
    for a, b, c in zip(off, smart_gradients(1.0), smart_gradients(3.0), strict=True):
        assert not torch.equal(a, b)
        torch.testing.assert_close(c - a, 3 * (b - a))


@TOYS
def test_the_penalty_moves_both_sides_and_not_the_offset(toy: type[Toy]) -> None:
    model = toy(0)
    clean = model.f(torch.zeros_like(model.embeddings))
    penalty, found = smart.penalty(
        model.f, clean, smart.symmetric_kl, model.embeddings, SETTINGS, generator=seeded(0), **model.where
    )
    assert found is not None
    expected = smart.symmetric_kl(model.f(found.offset), model.f(torch.zeros_like(model.embeddings)))
    weights = [model.embeddings, model.encoder, model.head]
    torch.testing.assert_close(penalty, expected)
    torch.testing.assert_close(torch.autograd.grad(penalty, weights), torch.autograd.grad(expected, weights))
    torch.testing.assert_close(found.divergence_after, expected.detach())


@TOYS
@settings(PATIENT)
@given(seed=SEEDS)
def test_the_penalty_is_positive_and_vanishes_with_the_radius(toy: type[Toy], seed: int) -> None:
    model = toy(seed)
    small = [
        penalty_of(model, smart.Settings(1, radius, radius, radius, unit="absolute"), generator=seeded(seed)).item()
        for radius in (1e-1, 1e-3, 1e-5)
    ]
    assert all(value >= 0 for value in small)
    assert small[0] > 0
    assert small[1] < 1e-2 * small[0]
    assert small[2] < 1e-2 * small[1]


def repeated(model: Toy) -> Toy:
    twice = type(model)(0)
    twice.encoder, twice.head = model.encoder, model.head
    twice.embeddings = torch.cat([model.embeddings.detach()] * 2).requires_grad_()
    twice.mask = torch.cat([model.mask] * 2)
    if isinstance(model, Padded) and isinstance(twice, Padded):
        twice.real, twice.where = torch.cat([model.real] * 2), {"mask": twice.mask}
    else:
        twice.example = torch.cat([model.example, model.example + 3])
        twice.where = {"example": twice.example, "mask": twice.mask}
    return twice


@TOYS
@settings(PATIENT)
@given(seed=SEEDS)
def test_repeating_every_example_leaves_the_penalty_the_same(toy: type[Toy], seed: int) -> None:
    model = toy(seed)
    noise = 0.05 * torch.randn(model.embeddings.shape, generator=seeded(seed), dtype=torch.float64)
    once = penalty_of(model, noise=noise)
    torch.testing.assert_close(penalty_of(repeated(model), noise=torch.cat([noise, noise])), once)


def test_packed_and_padded_embeddings_have_the_same_penalty() -> None:
    packed, padded = Packed(3), Padded(3)
    noise = 0.05 * torch.randn(packed.embeddings.shape, generator=seeded(0), dtype=torch.float64)
    spread = torch.zeros_like(padded.embeddings)
    spread[padded.real] = noise
    torch.testing.assert_close(penalty_of(packed, noise=noise), penalty_of(padded, noise=spread))


def test_units_are_those_of_the_embeddings() -> None:
    table = 0.04 * torch.randn(1000, 32, generator=seeded(0))
    rms = smart.embedding_rms(table)
    assert rms == pytest.approx(math.sqrt((table.double() ** 2).mean().item()), rel=1e-6)
    assert smart.embedding_rms(table.bfloat16()) == pytest.approx(rms, rel=1e-3)
    resolved = smart.Settings(radius=0.5, noise_std=0.25, step_size=2.0).absolute(table)
    assert (resolved.radius, resolved.noise_std, resolved.step_size) == (0.5 * rms, 0.25 * rms, 2.0 * rms)
    assert resolved.absolute(table) == resolved
    with pytest.raises(ValueError, match="absolute"):
        penalty_of(Packed(0), smart.Settings())


def test_settings_that_cannot_work_are_refused_together() -> None:
    with pytest.raises(smart.SettingsError) as caught:
        smart.Settings(weight=-1, radius=0, noise_std=float("nan"), step_size=0, steps=-1)
    assert [problem.split(" = ")[0] for problem in caught.value.problems] == [
        "radius",
        "step_size",
        "weight",
        "noise_std",
        "steps",
    ]


# ------------------------------------------------------------------------------------------ dropout


class WithDropout(Packed):
    def f(self, offset: Tensor) -> Tensor:
        return super().f(nn.functional.dropout(self.embeddings + offset, 0.4) - self.embeddings)


def dropout_penalty(wrap: Callable[[Any], Any], radius: float) -> float:
    model = WithDropout(0)
    torch.manual_seed(7)
    f = wrap(model.f)
    clean = f(torch.zeros_like(model.embeddings))
    tiny = smart.Settings(1, radius, radius, radius, unit="absolute")
    return smart.penalty(f, clean, smart.symmetric_kl, model.embeddings, tiny, **model.where)[0].item()


def test_the_same_masks_in_both_passes_leave_no_floor() -> None:
    assert 0 < dropout_penalty(smart.same_dropout, 1e-6) < 1e-8
    assert dropout_penalty(lambda f: f, 1e-6) > 1e-3  # what independent masks leave


def test_same_dropout_draws_as_the_clean_pass_alone_does() -> None:
    model = WithDropout(0)
    still = torch.zeros_like(model.embeddings)
    torch.manual_seed(0)
    expected, noise, after = model.f(still), torch.randn(3), torch.get_rng_state()
    torch.manual_seed(0)
    f = smart.same_dropout(model.f)
    assert torch.equal(f(still), expected)
    assert torch.equal(torch.randn(3), noise)
    assert torch.equal(f(still), expected)
    assert torch.equal(torch.get_rng_state(), after)
    assert not torch.equal(smart.same_dropout(model.f)(still), expected)


def test_same_dropout_works_with_generators_of_ones_own() -> None:
    generator = seeded(0)

    def f(offset: Tensor) -> Tensor:
        return offset * torch.rand(offset.shape, generator=generator)

    fixed = smart.same_dropout(f, [generator])
    first, state = fixed(torch.ones(5)), generator.get_state()
    assert torch.equal(fixed(torch.ones(5)), first)
    assert torch.equal(generator.get_state(), state)


# ------------------------------------------------------------------------------------------ smart-pytorch


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@TOYS
def test_the_variant_is_the_package(toy: type[Toy], dtype: torch.dtype, steps: int) -> None:
    model = toy(0, dtype=dtype)
    weights = [model.embeddings, model.encoder, model.head]
    smart_pytorch = pytest.importorskip("smart_pytorch")
    package = smart_pytorch.SMARTLoss(
        eval_fn=lambda embeddings: model.f(embeddings - model.embeddings),
        loss_fn=smart_pytorch.kl_loss,
        loss_last_fn=smart_pytorch.sym_kl_loss,
        num_steps=steps,
        step_size=0.3,
        noise_var=0.02,
    )
    torch.manual_seed(5)
    clean = model.f(torch.zeros_like(model.embeddings))
    theirs = 2 * package(model.embeddings, clean)
    variant = smart.Settings(2.0, 1e-5, 0.02, 0.3, steps, "absolute", "smart-pytorch")
    ours = penalty_of(model, variant, generator=seeded(5))
    rtol, atol = (1e-5, 1e-6) if dtype == torch.float32 else (None, None)  # None: the defaults of the type
    gradients = torch.autograd.grad(ours, weights), torch.autograd.grad(theirs, weights)
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)
    torch.testing.assert_close(*gradients, rtol=rtol, atol=atol)


def test_what_the_variant_does_and_the_paper_does_not() -> None:
    model = Packed(0)
    noise = 1e-5 * torch.randn(model.embeddings.shape, generator=seeded(1), dtype=torch.float64)
    found = {}
    for variant in ("paper", "smart-pytorch"):
        literal = smart.Settings(1.0, 1e-5, 1e-5, 1e-3, 1, "absolute", variant)
        clean = model.f(torch.zeros_like(noise))
        _, found[variant] = smart.penalty(model.f, clean, smart.symmetric_kl, model.embeddings, literal, noise=noise)
    paper, package = found["paper"], found["smart-pytorch"]
    assert paper is not None
    assert package is not None
    assert paper.radius.item() <= 1e-5
    assert package.radius.item() == pytest.approx(1, abs=0.1)
    with_start = torch.cosine_similarity(package.offset, noise, dim=1)
    assert with_start.min() > 0.9  # random noise, scaled up
    assert paper.gradient_cosine is not None
    assert package.gradient_cosine is not None
    assert paper.gradient_cosine > package.gradient_cosine


def test_the_variant_refuses_what_the_package_would_take_for_zero() -> None:
    model = Packed(0)
    variant = smart.Settings(1.0, unit="absolute", variant="smart-pytorch")
    for f in (lambda offset: model.f(offset)[:, :1], lambda offset: (model.f(offset),)):
        clean = f(torch.zeros_like(model.embeddings))
        with pytest.raises(ValueError, match="use paper"):
            smart.penalty(f, clean, smart.symmetric_kl, model.embeddings, variant)  # type: ignore[type-var, arg-type]


# ------------------------------------------------------------------------------------------ Bregman proximal point


def small_model(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, CLASSES))


def wiggle(model: nn.Module, seed: int) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=seeded(seed)), alpha=0.1)


def test_the_momentum_teacher_is_the_moving_average_of_the_papers_betas() -> None:
    model = small_model()
    proximal = smart.BregmanProximal(model, total_steps=20)
    expected = [weight.detach().clone() for weight in model.parameters()]
    for step in range(20):
        wiggle(model, step)
        proximal.update()
        beta = 0.99 if step < 2 else 0.999
        now = [weight.detach() for weight in model.parameters()]
        expected = [(1 - beta) * new + beta * old for new, old in zip(now, expected, strict=True)]
        torch.testing.assert_close(list(proximal.teacher.parameters()), expected)
    assert smart.BregmanProximal(model).beta == 0.999


def test_the_vanilla_teacher_is_renewed_every_few_steps() -> None:
    model = small_model()
    proximal = smart.BregmanProximal(model, "vanilla", every=3)
    anchor = [weight.detach().clone() for weight in model.parameters()]
    for step in range(1, 8):
        wiggle(model, step)
        proximal.update()
        if step % 3 == 0:
            anchor = [weight.detach().clone() for weight in model.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(proximal.teacher.parameters(), anchor, strict=True))


def test_vanilla_with_one_step_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"its gradient are zero.*or use momentum"):
        smart.BregmanProximal(small_model(), "vanilla", every=1)
    with pytest.raises(ValueError, match="momentum or vanilla"):
        smart.BregmanProximal(small_model(), "vanila")  # type: ignore[arg-type]


def test_the_reason_is_true() -> None:
    model = small_model().eval().double()
    proximal = smart.BregmanProximal(model, "vanilla", every=2)
    inputs = torch.randn(6, 4, generator=seeded(0), dtype=torch.float64)

    def gradient() -> float:
        loss = proximal.loss(smart.symmetric_kl, model(inputs), proximal.teacher(inputs))
        return sum(g.abs().max().item() for g in torch.autograd.grad(loss, list(model.parameters())))

    assert gradient() == 0
    wiggle(model, 0)
    proximal.update()
    assert gradient() > 1e-3


def test_the_teacher_has_no_dropout_and_no_gradient() -> None:
    model = small_model().train()
    proximal = smart.BregmanProximal(model, mu=2.0)
    inputs = torch.randn(6, 4, generator=seeded(0))
    outputs, theirs = model(inputs), proximal.teacher(inputs)
    assert torch.equal(theirs, proximal.teacher(inputs))
    assert not theirs.requires_grad
    loss = proximal.loss(smart.symmetric_kl, outputs, theirs)
    torch.testing.assert_close(loss, 2 * smart.symmetric_kl(outputs, theirs))
    loss.backward()
    assert all(weight.grad is None for weight in proximal.teacher.parameters())
    gradient = model.get_parameter("0.weight").grad
    assert gradient is not None
    assert gradient.abs().max() > 0
    assert model.training
    with_graph = theirs.clone().requires_grad_()
    proximal.loss(smart.symmetric_kl, model(inputs), with_graph).backward()
    assert with_graph.grad is None


def test_the_teacher_follows_buffers() -> None:
    model = small_model().train()
    proximal = smart.BregmanProximal(model)
    model(torch.randn(6, 4, generator=seeded(0)))
    proximal.update()
    assert torch.equal(proximal.teacher.get_buffer("1.running_mean"), model.get_buffer("1.running_mean"))


def test_the_average_of_a_bfloat16_model_moves() -> None:
    model = nn.Linear(3, 2).bfloat16()
    proximal = smart.BregmanProximal(model)
    weight = proximal.teacher.get_parameter("weight")
    before = weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    for _ in range(1000):
        proximal.update()
    moved = (weight - before).float().mean().item()
    assert moved == pytest.approx(1 - 0.999**1000, abs=0.02)


def test_a_teacher_goes_on_from_a_checkpoint() -> None:
    model = small_model()
    proximal = smart.BregmanProximal(model, total_steps=100)
    wiggle(model, 0)
    proximal.update()
    resumed = smart.BregmanProximal(small_model(1), total_steps=100)
    resumed.load_state_dict(proximal.state_dict())
    resumed.model.load_state_dict(model.state_dict())
    for step in range(1, 12):
        wiggle(model, step)
        wiggle(resumed.model, step)
        proximal.update()
        resumed.update()
    assert resumed.beta == proximal.beta == 0.999
    for ours, theirs in zip(resumed.teacher.state_dict().values(), proximal.teacher.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


# ------------------------------------------------------------------------------------------ a loop of one's own


def trained(weight: float) -> tuple[nn.Embedding, nn.Module]:
    """A user's plain loop over padded batches, with and without the penalty; the same batches and masks."""
    torch.manual_seed(0)
    words = nn.Embedding(50, 16)
    body = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Dropout(0.1), nn.Linear(32, 2))
    optimizer = torch.optim.Adam([*words.parameters(), *body.parameters()], lr=0.01)
    regularizer = smart.Settings(weight=weight, radius=0.3, noise_std=0.03, step_size=0.3).absolute(words.weight)
    for step in range(60):
        tokens = torch.randint(1, 50, (16, 8), generator=seeded(step))
        real = torch.arange(8) < torch.randint(2, 9, (16, 1), generator=seeded(step))
        labels = (tokens[:, 0] % 2 == 0).long()
        embeddings = words(tokens)

        def f(offset: Tensor, embeddings: Tensor = embeddings, real: Tensor = real) -> Tensor:
            outputs: Tensor = body(((embeddings + offset) * real[..., None]).sum(1) / real.sum(1, keepdim=True))
            return outputs

        same = smart.same_dropout(f)
        logits = same(torch.zeros_like(embeddings))
        penalty, _ = smart.penalty(
            same, logits, smart.symmetric_kl, embeddings, regularizer, mask=real, generator=seeded(step)
        )
        optimizer.zero_grad()
        (nn.functional.cross_entropy(logits, labels) + penalty).backward()
        optimizer.step()
    return words, body.eval()


def test_a_model_trained_with_the_penalty_is_smoother() -> None:
    divergence = {}
    for weight in (0.0, 3.0):
        words, body = trained(weight)
        embeddings = words(torch.randint(1, 50, (64, 8), generator=seeded(99))).detach()

        def f(offset: Tensor, embeddings: Tensor = embeddings, body: nn.Module = body) -> Tensor:
            logits: Tensor = body((embeddings + offset).mean(1))
            return logits

        ball = smart.Settings(radius=0.3, noise_std=0.03, step_size=0.3, steps=3).absolute(words.weight)
        value, _ = smart.penalty(f, f(torch.zeros_like(embeddings)), smart.symmetric_kl, embeddings, ball)
        divergence[weight] = value.item()
    assert divergence[3.0] < 0.5 * divergence[0.0]


@pytest.mark.parametrize("module", [smart, proximal])
def test_the_documented_loops_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
