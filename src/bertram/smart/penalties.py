"""SMART's penalty: lambda_s times the divergence that the worst small offset causes.

Jiang et al., ACL 2020, equation 1.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from bertram.smart import public_variant
from bertram.smart.adversarial import Perturbation, adversarial_offset, public_offset
from bertram.smart.divergences import Outputs
from bertram.smart.settings import Settings


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

    A divergence with ``reduction="none"`` is averaged over all its values, those outside of its own mask included. Of
    outputs for each token, whose padding must not count, give one with ``reduction="mean"``.

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
        perturbation = public_offset(
            f,
            clean,
            like,
            noise_std=s.noise_std,
            step_size=s.step_size,
            steps=s.steps,
            noise=noise,
            generator=generator,
        )
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
