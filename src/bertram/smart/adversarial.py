"""SMART's penalty: the worst small offset of the word embeddings, and the divergence it causes.

Jiang et al., ACL 2020, equation 1 and Algorithm 1.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from bertram.smart import public_variant
from bertram.smart.divergences import Outputs, detached

Unit = Literal["embedding-rms", "absolute"]
Variant = Literal["paper", "smart-pytorch"]
HALF_PRECISION_SCALES = (2.0**16, 2.0**8, 1.0)  # of the divergence that the ascent differentiates, the first finite one


class SettingsError(ValueError):
    """One or more settings that cannot work, all reported at once.

    Args:
        problems: one line per setting.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        if len(self.problems) == 1:
            super().__init__(self.problems[0])
        else:
            lines = "\n".join(f"  - {problem}" for problem in self.problems)
            super().__init__(f"{len(self.problems)} problems:\n{lines}")


@dataclass(frozen=True)
class Settings:
    """The parameters of the penalty.

    Args:
        weight: lambda_s. At 0 nothing is computed and no random number drawn.
        radius: epsilon, the largest absolute value of a coordinate of the offset.
        noise_std: sigma, the standard deviation of the random start.
        step_size: eta, the largest change of a coordinate in one ascent step.
        steps: T_x, the number of ascent steps; with 0 the offset is the random start.
        unit: unit of radius, noise_std and step_size: the root mean square of the word embeddings, or absolute. The
            paper's epsilon = sigma = 1e-5 and eta = 1e-3 are absolute.
        variant: ``paper``, or ``smart-pytorch`` for what that package computes (`bertram.smart.public_variant`).

    Raises:
        SettingsError: some values cannot work; all of them are named.
    """

    weight: float = 1.0
    radius: float = 0.03
    noise_std: float = 0.003
    step_size: float = 0.3
    steps: int = 1
    unit: Unit = "embedding-rms"
    variant: Variant = "paper"

    def __post_init__(self) -> None:
        values = vars(self)
        problems = [
            f"{name} = {values[name]}: must be above 0"
            for name in ("radius", "step_size")
            if not 0 < values[name] < math.inf
        ]
        problems += [
            f"{name} = {values[name]}: must be 0 or more"
            for name in ("weight", "noise_std", "steps")
            if not 0 <= values[name] < math.inf
        ]
        if not isinstance(self.steps, int):
            problems.append(f"steps = {self.steps}: must be a whole number")
        problems += [
            f"{name} = {values[name]!r}: choose one of {', '.join(choices)}"
            for name, choices in (("unit", get_args(Unit)), ("variant", get_args(Variant)))
            if values[name] not in choices
        ]
        if problems:
            raise SettingsError(problems)

    def absolute(self, table: Tensor) -> "Settings":
        """Settings in absolute units, for a table of word embeddings [words, hidden]."""
        if self.unit == "absolute":
            return self
        rms = embedding_rms(table)
        return replace(
            self,
            radius=self.radius * rms,
            noise_std=self.noise_std * rms,
            step_size=self.step_size * rms,
            unit="absolute",
        )


def embedding_rms(table: Tensor) -> float:
    """Root mean square over all coordinates of a table of word embeddings [words, hidden]."""
    norm = torch.linalg.vector_norm(table.detach(), dtype=torch.promote_types(table.dtype, torch.float32))
    return float(norm) / math.sqrt(table.numel())


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
    in which a small offset would be rounded away: let f add it before it rounds. In float16, autocast included, the
    divergence is scaled while it is differentiated, so that its gradient does not underflow. Under `torch.no_grad` the
    ascent differentiates all the same.

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


def penalty(
    f: Callable[[Tensor], Outputs],
    clean: Outputs,
    divergence: Callable[[Outputs, Outputs], Tensor],
    like: Tensor,
    settings: Settings,
    *,
    example: Tensor | None = None,
    mask: Tensor | None = None,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Perturbation | None]:
    """Compute lambda_s R_s of a batch (equation 1), to be added to its loss.

    The arguments are those of `adversarial_offset`, except that `clean` comes with its graph, since the penalty moves
    both sides, and `settings` are in absolute units (`Settings.absolute`). The variant ``smart-pytorch`` has
    divergences of its own, for classes, and takes neither `example` nor `mask`.

    f decides on dropout. If it draws other masks than the clean pass did, the penalty has a floor that no training
    removes: see `same_dropout`.

    Where the examples of several tasks are packed into one pass, use `example_penalties` and average task by task.

    Returns:
        The penalty, a scalar, and the perturbation with all its figures; None at weight 0.

    Raises:
        ValueError: the settings are not in absolute units, or the outputs do not depend on the offset.
    """
    values, perturbation = example_penalties(
        f, clean, divergence, like, settings, example=example, mask=mask, noise=noise, generator=generator
    )
    if perturbation is None:
        return values, None
    before, after = (
        None if divergences is None else divergences.mean()
        for divergences in (perturbation.divergence_before, perturbation.divergence_after)
    )
    return values.mean(), replace(perturbation, divergence_before=before, divergence_after=after)


def example_penalties(
    f: Callable[[Tensor], Outputs],
    clean: Outputs,
    divergence: Callable[[Outputs, Outputs], Tensor],
    like: Tensor,
    settings: Settings,
    *,
    example: Tensor | None = None,
    mask: Tensor | None = None,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Perturbation | None]:
    """Compute lambda_s times the divergence of each example, so that they can be averaged task by task.

    The arguments are those of `penalty`. With a divergence of one value an example (``reduction="none"``) the result is
    [batch], and so are the divergences of the perturbation; with a mean it is a scalar, as in `penalty`.

    Returns:
        The penalties in the form that `divergence` returns, and the perturbation; zero and None at weight 0.

    Raises:
        ValueError: the settings are not in absolute units, or the outputs do not depend on the offset.
    """
    s = settings
    if s.weight == 0:
        return torch.zeros((), device=like.device), None
    if s.unit != "absolute":
        raise ValueError("the settings are relative to the word embeddings: make them absolute(table) first")
    if s.variant == "smart-pytorch":
        start = _random_start(like, s.noise_std, noise, generator)
        step = partial(public_variant.step, step_size=s.step_size)
        perturbation = _ascend(f, clean, public_variant.inner_divergence, start, steps=s.steps, step=step)
        values = public_variant.outer_divergence(f(perturbation.offset), clean)
    else:
        perturbation = adversarial_offset(
            f,
            clean,
            divergence,
            like,
            radius=s.radius,
            noise_std=s.noise_std,
            step_size=s.step_size,
            steps=s.steps,
            example=example,
            mask=mask,
            noise=noise,
            generator=generator,
        )
        values = divergence(f(perturbation.offset), clean)
    return s.weight * values, replace(perturbation, divergence_after=values.detach())


@torch.no_grad()
def check_offset_function(
    f: Callable[[Tensor], Outputs], clean: Outputs, like: Tensor, tolerance: float = 1e-3
) -> None:
    """Check once, before training, that f adds its offset to the embeddings of the clean pass: f(0) gives its outputs.

    It costs one pass of f. Call it in evaluation mode, or with `same_dropout`.

    Args:
        f: function from an offset to outputs.
        clean: outputs without an offset.
        like: word embeddings, for shape, type and device.
        tolerance: largest difference allowed, relative to the largest output.

    Raises:
        ValueError: f(0) differs from the clean outputs, with the usual reasons.
    """
    at_zero = f(torch.zeros_like(like, dtype=torch.promote_types(like.dtype, torch.float32)))
    pairs = [(at_zero, clean)] if isinstance(clean, Tensor) else list(zip(at_zero, clean, strict=True))
    for output, expected in pairs:
        assert isinstance(output, Tensor)
        if output.shape != expected.shape:
            raise ValueError(f"f gives outputs {list(output.shape)}, the clean outputs are {list(expected.shape)}")
        difference = (output.float() - expected.float()).nan_to_num(0.0, 0.0, 0.0).abs().max()
        largest = expected.float().nan_to_num(0.0, 0.0, 0.0).abs().max()
        if difference > tolerance * largest.clamp_min(1.0):
            raise ValueError(
                f"f(0) differs from the clean outputs by {difference:.3g}: f must add the offset to the word "
                "embeddings of the clean pass. Usual reasons: a function of embeddings, as smart-pytorch wants it "
                "(use lambda offset: eval_fn(embeddings + offset)); dropout that draws other masks (use "
                "same_dropout); a model that scales its word embeddings, to which inputs_embeds are added unscaled"
            )


def same_dropout(
    f: Callable[[Tensor], Outputs], generators: Sequence[torch.Generator] | None = None
) -> Callable[[Tensor], Outputs]:
    """Make each later call of f draw the dropout masks of its first one, the clean pass.

    The first call draws as usual; the others leave the states of the generators unchanged.

    Args:
        f: function from an offset to outputs.
        generators: generators that f's dropout draws from; PyTorch's global ones by default.
    """
    drawn_from = generators or [torch.default_generator, *torch.cuda.default_generators]
    first: list[Tensor] = []

    def repeating(offset: Tensor) -> Outputs:
        now = [generator.get_state() for generator in drawn_from]
        if not first:
            first.extend(now)
            return f(offset)
        try:
            for generator, state in zip(drawn_from, first, strict=True):
                generator.set_state(state)
            return f(offset)
        finally:
            for generator, state in zip(drawn_from, now, strict=True):
                generator.set_state(state)

    return repeating


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
    scales = HALF_PRECISION_SCALES if _in_half_precision(clean, start.device) else (1.0,)
    with torch.enable_grad():
        for _ in range(steps):
            delta.requires_grad_()
            divergences = divergence(f(delta), clean)
            g = _gradient(divergences.sum(), delta, scales)
            before = divergences.detach() if before is None else before
            delta = step(delta.detach(), g)
    return Perturbation(delta, delta.abs().max(), before, gradient_cosine=None if g is None else _cosine(delta, g))


def _in_half_precision(clean: Outputs, device: torch.device) -> bool:
    """True if float16 has a part in the outputs."""
    tensors = (clean,) if isinstance(clean, Tensor) else clean
    autocast = torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type) == torch.float16
    return autocast or any(tensor.dtype == torch.float16 for tensor in tensors)


def _gradient(loss: Tensor, offset: Tensor, scales: Sequence[float]) -> Tensor:
    """The gradient of the offset, computed at the first of the scales at which it is finite, or at the last."""
    if loss.requires_grad:
        for scale in scales:
            last = scale == scales[-1]
            (gradient,) = torch.autograd.grad(scale * loss, offset, allow_unused=True, retain_graph=not last)
            if gradient is None:
                break
            if last or bool(gradient.isfinite().all()):
                return gradient / scale
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
