"""SMART at its borders: float16, no gradients, excluded classes, padding, functions that are not what SMART needs."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.smart.test_smart import SETTINGS, Packed, seeded
from torch import Tensor, nn

from bertram import smart
from bertram.smart import adversarial

INF = math.inf


# ------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"variant": "smart_pytorch"}, "variant = 'smart_pytorch': choose one of paper, smart-pytorch"),
        ({"unit": "rms"}, "unit = 'rms': choose one of embedding-rms, absolute"),
        ({"radius": INF}, "radius = inf: must be above 0"),
        ({"steps": 1.5}, r"steps = 1\.5: must be a whole number"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(smart.SettingsError, match=fault):
        smart.Settings(**values)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"mode": "ema"}, "choose momentum or vanilla"),
        ({"mu": -1.0}, r"mu = -1\.0: must be 0 or more"),
        ({"betas": (1.5, 2.0)}, "betas = .*: must be two numbers from 0 to 1"),
    ],
)
def test_a_proximal_point_that_cannot_work_is_refused(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        smart.BregmanProximal(nn.Linear(2, 2), **values)


# ------------------------------------------------------------------------------------------ excluded classes, padding


def test_a_class_that_both_exclude_counts_as_0() -> None:
    p = torch.tensor([[1.0, 2.0, -INF]], requires_grad=True)
    q = torch.tensor([[1.5, 2.0, -INF]], requires_grad=True)
    divergence = smart.symmetric_kl(p, q)
    assert divergence.item() == pytest.approx(0.0543, abs=1e-4)
    assert divergence.item() == pytest.approx(smart.symmetric_kl(p[:, :2], q[:, :2]).item(), rel=1e-6)
    for gradient in torch.autograd.grad(divergence, [p, q]):
        assert bool(gradient.isfinite().all())
        assert gradient[0, 2] == 0
    assert smart.bernoulli_symmetric_kl(torch.tensor([INF, -INF, 0.0]), torch.tensor([INF, -INF, 1.0])).isfinite()


def test_a_class_that_one_excludes_is_infinitely_far() -> None:
    assert smart.symmetric_kl(torch.tensor([[1.0, 2.0, -INF]]), torch.tensor([[1.5, 2.0, 0.0]])).item() == INF


@pytest.mark.parametrize("divergence", [smart.symmetric_kl, smart.bernoulli_symmetric_kl, smart.squared_difference])
def test_masked_values_have_no_part_in_the_mean(divergence: Any) -> None:
    shape = (3, 4, 5) if divergence is smart.symmetric_kl else (3, 4)
    p, q = torch.randn(shape, generator=seeded(0)), torch.randn(shape, generator=seeded(1))
    real = torch.arange(4) < torch.tensor([4, 1, 2])[:, None]
    values = divergence(p, q, reduction="none")
    torch.testing.assert_close(divergence(p, q, mask=real), values[real].mean())
    torch.testing.assert_close(divergence(p, q, reduction="none", mask=real), values * real)
    broken = p.clone()
    broken[~real] = math.nan
    assert torch.equal(divergence(broken, q, mask=real), divergence(p, q, mask=real))
    assert divergence(p, q, mask=torch.zeros_like(real)) == 0
    with pytest.raises(ValueError, match="the mask is"):
        divergence(p, q, mask=real[0])


# ------------------------------------------------------------------------------------------ no gradients


def test_under_no_grad_the_penalty_is_the_same_without_a_graph() -> None:
    model, noise = Packed(0), torch.randn(12, 6, generator=seeded(0), dtype=torch.float64)

    def penalty() -> Tensor:
        clean = model.f(torch.zeros_like(model.embeddings))
        value, _ = smart.penalty(model.f, clean, smart.symmetric_kl, model.embeddings, SETTINGS, noise=noise)
        return value

    expected = penalty()
    with torch.no_grad():
        value = penalty()
    assert torch.equal(value, expected)
    assert expected.requires_grad
    assert not value.requires_grad


def test_inference_mode_is_refused_with_the_remedy() -> None:
    model = Packed(0)
    with torch.inference_mode():
        clean = model.f(torch.zeros_like(model.embeddings))
        with pytest.raises(ValueError, match=r"inference mode .* use torch\.no_grad"):
            smart.penalty(model.f, clean, smart.symmetric_kl, model.embeddings, SETTINGS)


# ------------------------------------------------------------------------------------------ float16


@pytest.mark.slow
def test_under_float16_autocast_the_ascent_is_that_of_float32() -> None:
    torch.manual_seed(0)
    from transformers import BertConfig, BertForSequenceClassification

    shape: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_labels": 5}
    bert: Any = BertForSequenceClassification(BertConfig(vocab_size=100, **shape))
    bert.eval()
    embeddings = bert.get_input_embeddings()(torch.randint(100, (32, 16), generator=seeded(0))).detach()
    ball = smart.Settings(radius=1e-5, noise_std=1e-6, step_size=1e-3, unit="absolute")
    noise = 1e-6 * torch.randn(embeddings.shape, generator=seeded(1))

    def f(offset: Tensor) -> Tensor:
        logits: Tensor = bert(inputs_embeds=embeddings + offset).logits
        return logits

    def found(precision: torch.dtype, weaker: float = 1.0) -> smart.Perturbation:
        def divergence(p: Tensor, q: Tensor) -> Tensor:
            return weaker * smart.symmetric_kl(p, q)

        with torch.autocast("cpu", precision, enabled=precision != torch.float32), torch.no_grad():
            perturbed = f(torch.zeros_like(embeddings))
            target = perturbed + 0.01 * torch.randn(perturbed.shape, generator=seeded(2))  # a slope to climb
            return smart.adversarial_offset(
                f, target, divergence, embeddings, radius=1e-5, noise_std=1e-6, step_size=1e-3, noise=noise
            )

    assert ball.radius == 1e-5
    half, single = found(torch.float16), found(torch.float32)
    moved = half.offset.abs().flatten(1).amax(1) > 5e-6  # at the radius, not at the random start
    assert bool(moved.all())
    agreement = torch.cosine_similarity(half.offset.flatten(1), single.offset.flatten(1), dim=1)
    assert agreement.mean() > 0.8
    weak = found(torch.float16, weaker=1e-3)
    assert float((weak.offset.abs().flatten(1).amax(1) > 5e-6).float().mean()) > 0.9


@pytest.mark.parametrize("weaker", [1.0, 1e-3])
def test_float16_inside_the_model_does_not_weaken_the_ascent(weaker: float) -> None:
    """accelerate, Trainer and Fabric autocast within the wrapped forward and return float32 outputs."""
    embeddings, weights = torch.randn(8, 6, 16, generator=seeded(0)), torch.randn(16, 3, generator=seeded(1))

    def f_in(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        return lambda offset: (torch.tanh(embeddings + offset).to(dtype).mean(1) @ weights.to(dtype)).float()

    def found(dtype: torch.dtype) -> Tensor:
        f = f_in(dtype)
        target = f(torch.zeros_like(embeddings)) + 1e-4 * torch.randn(8, 3, generator=seeded(2))  # a slope to climb

        def divergence(p: Tensor, q: Tensor) -> Tensor:
            return weaker * smart.symmetric_kl(p, q)

        return smart.adversarial_offset(
            f, target, divergence, embeddings, radius=1e-2, noise_std=0.0, step_size=1e-2
        ).offset.flatten(1)

    half, single = found(torch.float16), found(torch.float32)
    assert torch.cosine_similarity(half, single, dim=1).min() > 0.95
    torch.testing.assert_close(half.abs().amax(1), torch.full((8,), 1e-2))


def test_a_gradient_that_overflows_is_computed_again_at_a_smaller_scale() -> None:
    offset = torch.zeros(3, requires_grad=True)
    values, gradient = adversarial._finite_gradient(lambda delta: delta.half() * 30.0, offset)
    assert torch.equal(gradient, torch.full((3,), 30.0))
    assert not values.requires_grad
    assert 30.0 * adversarial.GRADIENT_SCALES[0] > torch.finfo(torch.float16).max


def test_the_scale_changes_no_bit_of_a_float32_gradient() -> None:
    model = Packed(0, dtype=torch.float32)
    offset = torch.zeros_like(model.embeddings).requires_grad_()
    target = model.f(torch.zeros_like(offset)).detach() + 0.01
    _, gradient = adversarial._finite_gradient(lambda delta: smart.squared_difference(model.f(delta), target), offset)
    (plain,) = torch.autograd.grad(smart.squared_difference(model.f(offset), target), offset)
    assert torch.equal(gradient, plain)


# ------------------------------------------------------------------------------------------ figures


def test_divergence_before_is_that_of_the_random_start_however_many_steps_follow() -> None:
    model, noise = Packed(0), 0.05 * torch.randn(12, 6, generator=seeded(3), dtype=torch.float64)
    clean = model.f(torch.zeros_like(model.embeddings))
    expected = smart.symmetric_kl(model.f(noise), clean)
    for steps in (1, 2, 4):
        with_steps = smart.Settings(radius=0.2, noise_std=0.02, step_size=0.1, steps=steps, unit="absolute")
        _, perturbation = smart.penalty(
            model.f, clean, smart.symmetric_kl, model.embeddings, with_steps, noise=noise, example=model.example
        )
        assert perturbation is not None
        assert perturbation.divergence_before is not None
        torch.testing.assert_close(perturbation.divergence_before, expected.detach())


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12])
def test_the_cosine_of_tensors_of_any_scale(scale: float) -> None:
    a, b = torch.randn(50, generator=seeded(0)), torch.randn(50, generator=seeded(1))
    expected = torch.cosine_similarity(a, b, dim=0)
    torch.testing.assert_close(adversarial._cosine(scale * a, b / scale), expected)
    torch.testing.assert_close(adversarial._cosine(scale * a, scale * b), expected)


def test_a_given_noise_gets_no_gradient_and_is_left_as_it_is() -> None:
    model = Packed(0)
    noise = (0.05 * torch.randn(12, 6, generator=seeded(3), dtype=torch.float64)).requires_grad_()
    before = noise.detach().clone()
    clean = model.f(torch.zeros_like(model.embeddings))
    value, perturbation = smart.penalty(model.f, clean, smart.symmetric_kl, model.embeddings, SETTINGS, noise=noise)
    assert perturbation is not None
    assert not perturbation.offset.requires_grad
    assert perturbation.offset.grad_fn is None
    (gradient,) = torch.autograd.grad(value, [noise], allow_unused=True)
    assert gradient is None
    assert torch.equal(noise, before)
    _, start = smart.penalty(
        model.f,
        clean,
        smart.symmetric_kl,
        model.embeddings,
        smart.Settings(radius=0.2, noise_std=0.02, step_size=0.1, steps=0, unit="absolute"),
        noise=noise,
    )
    assert start is not None
    assert not start.offset.requires_grad


def test_penalties_of_examples_average_to_the_penalty() -> None:
    model = Packed(0)
    clean = model.f(torch.zeros_like(model.embeddings))
    noise = 0.05 * torch.randn(12, 6, generator=seeded(3), dtype=torch.float64)
    half = smart.Settings(weight=0.5, radius=0.2, noise_std=0.02, step_size=0.1, unit="absolute")
    given: dict[str, Any] = {"noise": noise, **model.where}

    def each(p: Tensor, q: Tensor) -> Tensor:
        return smart.symmetric_kl(p, q, "none")

    penalty, _ = smart.penalty(model.f, clean, smart.symmetric_kl, model.embeddings, half, **given)
    penalties, perturbation = smart.example_penalties(model.f, clean, each, model.embeddings, half, **given)
    assert penalties.shape == (3,)
    torch.testing.assert_close(penalties.mean(), penalty)
    assert perturbation is not None
    assert perturbation.divergence_after is not None
    torch.testing.assert_close(0.5 * perturbation.divergence_after, penalties.detach())


# ------------------------------------------------------------------------------------------ what f must be


def test_a_function_of_embeddings_in_place_of_offsets_is_found_out() -> None:
    model = Packed(0)
    clean = model.f(torch.zeros_like(model.embeddings))
    smart.check_offset_function(model.f, clean, model.embeddings)
    with pytest.raises(ValueError, match=r"f\(0\) differs from the clean outputs .* smart-pytorch"):
        smart.check_offset_function(lambda e: model.f(e - model.embeddings), clean, model.embeddings)
    with pytest.raises(ValueError, match=r"f gives outputs \[3, 4\], the clean outputs are \[3, 5\]"):
        smart.check_offset_function(lambda offset: model.f(offset)[:, 1:], clean, model.embeddings)


@pytest.mark.parametrize("value", [math.nan, INF, -INF])
def test_outputs_at_offset_0_that_are_not_finite_are_found_out(value: float) -> None:
    model = Packed(0)
    clean = model.f(torch.zeros_like(model.embeddings)).detach()
    with pytest.raises(ValueError, match=r"f\(0\) differs from the clean outputs by (nan|inf)"):
        smart.check_offset_function(lambda _: torch.full_like(clean, value), clean, model.embeddings)
    excluded = clean.clone()
    excluded[:, 1] = -INF
    smart.check_offset_function(lambda _: excluded, excluded, model.embeddings)


def test_dropout_that_draws_other_masks_is_found_out() -> None:
    model, dropout = Packed(0), nn.Dropout(0.5)

    def f(offset: Tensor) -> Tensor:
        output: Tensor = dropout(model.f(offset))
        return output

    zero = torch.zeros_like(model.embeddings)
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="dropout that draws other masks"):
        smart.check_offset_function(f, f(zero), model.embeddings)
    same = smart.same_dropout(f)
    smart.check_offset_function(same, same(zero), model.embeddings)


def test_a_frozen_bfloat16_weight_of_a_teacher_is_not_kept_twice() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).bfloat16()
    model[0].requires_grad_(False)
    teacher = smart.BregmanProximal(model)
    kept = {name: average.dtype for name, average in teacher._average.items()}
    assert kept == {
        "0.weight": torch.bfloat16, "0.bias": torch.bfloat16, "1.weight": torch.float32, "1.bias": torch.float32,
    }  # fmt: skip
    teacher.update()
    assert all(map(torch.equal, teacher.teacher.parameters(), model.parameters()))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_frozen_quantized_weights_of_a_teacher_stay(dtype: torch.dtype) -> None:
    model = nn.Linear(4, 4)
    model.base = nn.Parameter(torch.ones(4).to(dtype), requires_grad=False)
    proximal = smart.BregmanProximal(model)
    with torch.no_grad():
        model.weight += 1.0
    proximal.update()
    proximal.load_state_dict(proximal.state_dict())
    assert torch.equal(proximal.teacher.get_parameter("base"), model.base)
    torch.testing.assert_close(proximal.teacher.get_parameter("weight"), model.weight - 0.999)
