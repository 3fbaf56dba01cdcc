"""The worst small offset of the word embeddings: SMART's inner loop.

Jiang et al., ACL 2020, Algorithm 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from bertram.smart import public_variant
from bertram.smart.divergences import Outputs, detached

GRADIENT_SCALES = (2.0**16, 2.0**8, 1.0)
"""Factors of the divergence that the ascent differentiates; the first that gives a finite gradient is used.

A float16 layer anywhere in the model would let the gradient underflow without them. Being powers of two, they change no
bit of a gradient in float32 or bfloat16.
"""


@dataclass(frozen=True, eq=False)
class Perturbation:
    """An offset and the figures that cost nothing more; they are tensors, so no device is waited for.

    Args:
        offset: offset of the embeddings, in their shape, in float32 at least, without a graph.
        radius: largest absolute value of a coordinate.
        divergence_before: divergence at the random start, without a graph; None if there was no step.
        divergence_after: divergence at the offset, without a graph; None unless `penalty` has computed it.
        gradient_cosine: cosine of the offset with the gradient of the last step; NaN if one of them is zero.
    """

    offset: Tensor
    radius: Tensor
    divergence_before: Tensor | None = None
    divergence_after: Tensor | None = None
    gradient_cosine: Tensor | None = None


def adversarial_offset(
    f: Callable[[Tensor], Outputs],
    clean: Outputs,
    divergence: Callable[[Outputs, Outputs], Tensor],
    like: Tensor,
    *,
    radius: float,
    noise_std: float,
    step_size: float,
    steps: int = 1,
    example: Tensor | None = None,
    mask: Tensor | None = None,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Perturbation:
    """Seek the offset of the word embeddings that changes the outputs most: the inner loop of Algorithm 1.

    Only the offset is differentiated: no gradient reaches the parameters. It is float32 also for bfloat16 embeddings,
    in which a small offset would be rounded away: let f add it before it rounds. The divergence is scaled while it is
    differentiated, so that its gradient does not underflow in float16; should it overflow, f is called again for a
    smaller scale. Under `torch.no_grad` the ascent differentiates all the same.

    Args:
        f: function from an offset, to be added to the word embeddings, to outputs: a tensor, or a tuple of tensors.
        clean: outputs without an offset; used without their graph.
        divergence: divergence of perturbed and clean outputs: their mean over the batch, or one value for each example.
            The ascent climbs the sum of the values.
        like: word embeddings, for shape, type and device: [batch, length, hidden], or packed [tokens, hidden].
        radius: epsilon, in the embeddings' own units, as are the next two.
        noise_std: sigma, standard deviation of the random start, which is clamped to the radius before the first step.
        step_size: eta; the gradient is divided by its infinity norm over the whole example.
        steps: T_x, number of ascent steps.
        example: example that each packed token belongs to, [tokens], both texts of a pair to one; by default each row
            of `like` is an example.
        mask: tokens that may move, in `like`'s shape without hidden: False for [CLS], [SEP] and padding.
        noise: random start of `like`'s shape, instead of a drawn one.
        generator: generator of the random start; PyTorch's global one by default.

    Returns:
        The perturbation; its `divergence_before` is in the form that `divergence` returns.

    Raises:
        ValueError: the outputs do not depend on the offset, or inference mode is on.
    """
    start = _random_start(like, noise_std, noise, generator)
    bound = _not_above(radius, start.dtype)
    free = torch.ones_like(start[..., :1]) if mask is None else mask[..., None].to(start.dtype)

    def step(delta: Tensor, g: Tensor) -> Tensor:
        # An example whose gradient is zero stays where it is: 0 / tiny = 0.
        g_tilde = g / _infinity_norm(g, example).clamp_min(torch.finfo(g.dtype).tiny)
        return (delta + step_size * g_tilde).clamp(-bound, bound)

    inside = (start * free).clamp(-bound, bound)
    return _ascend(lambda delta: f(delta * free), clean, divergence, inside, steps=steps, step=step)


def public_offset(
    f: Callable[[Tensor], Outputs],
    clean: Outputs,
    like: Tensor,
    *,
    noise_std: float,
    step_size: float,
    steps: int = 1,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Perturbation:
    """The offset of the package smart-pytorch, see `bertram.smart.public_variant`; arguments as `adversarial_offset`'s.

    Raises:
        ValueError: the outputs do not depend on the offset, are not logits of two or more classes, or inference mode
            is on.
    """
    start = _random_start(like, noise_std, noise, generator)
    step = partial(public_variant.step, step_size=step_size)
    return _ascend(f, clean, public_variant.inner_divergence, start, steps=steps, step=step)


def _ascend(
    f: Callable[[Tensor], Outputs],
    clean: Outputs,
    divergence: Callable[[Outputs, Outputs], Tensor],
    start: Tensor,
    *,
    steps: int,
    step: Callable[[Tensor, Tensor], Tensor],
) -> Perturbation:
    if torch.is_inference_mode_enabled():
        raise ValueError("SMART needs gradients of the offset, which inference mode cannot give: use torch.no_grad()")
    delta, clean, before, g = start, detached(clean), None, None
    with torch.enable_grad():
        for _ in range(steps):
            divergences, g = _finite_gradient(lambda delta: divergence(f(delta), clean), delta.requires_grad_())
            before = divergences if before is None else before
            delta = step(delta.detach(), g)
    return Perturbation(delta, delta.abs().max(), before, gradient_cosine=None if g is None else _cosine(delta, g))


def _finite_gradient(divergence: Callable[[Tensor], Tensor], offset: Tensor) -> tuple[Tensor, Tensor]:
    """Divergences at an offset, without a graph, and the gradient of their sum: see `GRADIENT_SCALES`."""
    for scale in GRADIENT_SCALES:
        divergences = divergence(offset)
        gradient = _gradient(scale * divergences.sum(), offset) / scale
        if bool(gradient.isfinite().all()):
            break
    return divergences.detach(), gradient


def _gradient(loss: Tensor, offset: Tensor) -> Tensor:
    if loss.requires_grad:
        (gradient,) = torch.autograd.grad(loss, offset, allow_unused=True)
        if gradient is not None:
            return gradient
    raise ValueError("the outputs do not depend on the offset: f must add it to the embeddings and keep the graph")


def _random_start(like: Tensor, noise_std: float, noise: Tensor | None, generator: torch.Generator | None) -> Tensor:
    dtype = torch.promote_types(like.dtype, torch.float32)
    if noise is None:
        device = like.device if generator is None else generator.device
        noise = noise_std * torch.randn(like.shape, generator=generator, device=device, dtype=dtype)
    return noise.detach().to(like.device, dtype)


def _infinity_norm(g: Tensor, example: Tensor | None) -> Tensor:
    """Infinity norm of each row's example, in a shape that divides g."""
    norm = g.abs().flatten(1).amax(1)
    if example is not None:
        norm = torch.zeros_like(norm).scatter_reduce(0, example, norm, "amax")[example]
    return norm.view(-1, *[1] * (g.dim() - 1))


def _not_above(radius: float, dtype: torch.dtype) -> float:
    """The largest number of a type that is not above the radius: float32's nearest to 0.1 is."""
    bound = torch.tensor(radius, dtype=dtype)
    return float(bound if bound.item() <= radius else bound.nextafter(torch.zeros_like(bound)))


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of two tensors of any scale."""
    a, b = a.flatten() / a.abs().max(), b.flatten() / b.abs().max()
    return torch.cosine_similarity(a, b, dim=0)
