"""Offsets of the word embeddings for one batch, and figures of them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bertram import smart
from bertram.data.examples import Batch
from bertram.model.dropout import NO_DROPOUT, Dropout
from bertram.model.multitask import Inputs, Multitask

Divergence = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Perturbable:
    """The outputs of a batch as a function of an offset on its word embeddings.

    Attributes:
        outputs: function from an offset [N, H] to raw outputs; every call draws the same dropout masks.
        inputs: packed batch of N tokens.
        zeros: offset [N, H] of zeros.
    """

    outputs: Callable[[Tensor], Tensor]
    inputs: Inputs
    zeros: Tensor

    def clean(self) -> Tensor:
        """Raw outputs without an offset, detached."""
        return self.outputs(self.zeros).detach()

    def divergence_at(self, offset: Tensor, clean: Tensor) -> float:
        """Symmetric KL divergence between the outputs at an offset and the clean ones, as training computes it."""
        return float(smart.symmetric_kl(self.outputs(offset).detach(), clean))

    def gradient_at(self, offset: Tensor, clean: Tensor, divergence: Divergence = smart.symmetric_kl) -> Tensor:
        """Gradient [N, H] of a divergence with respect to the offset."""
        offset = offset.detach().requires_grad_()
        return torch.autograd.grad(divergence(self.outputs(offset), clean), offset)[0]

    def noise(self, noise_std: float, seed: int = 0) -> Tensor:
        """Gaussian noise [N, H]."""
        return noise_std * torch.randn(self.zeros.shape, generator=torch.Generator().manual_seed(seed))

    def start(self, noise: Tensor, radius: float) -> Tensor:
        """The random start of the ascent: noise on movable tokens, clamped to the radius."""
        return (noise * self.inputs.movable[:, None]).clamp(-radius, radius)

    def ascent(self, settings: smart.Settings, noise: Tensor, divergence: Divergence = smart.symmetric_kl) -> "Ascent":
        """The paper's ascent from a random start; the settings are in absolute units."""
        perturbation = smart.adversarial_offset(
            self.outputs, self.clean(), divergence, self.zeros, radius=settings.radius, noise_std=settings.noise_std,
            step_size=settings.step_size, steps=settings.steps, noise=noise, example=self.inputs.example,
            mask=self.inputs.movable,
        )  # fmt: skip
        before, alignment = perturbation.divergence_before, perturbation.gradient_cosine
        assert before is not None
        assert alignment is not None
        return Ascent(perturbation.offset, float(perturbation.radius), float(before), float(alignment))


@dataclass(frozen=True)
class Ascent:
    """The result of SMART's ascent.

    Attributes:
        offset: offset [N, H] of the word embeddings.
        largest_coordinate: largest absolute value of its coordinates.
        divergence_before: divergence at the random start.
        gradient_cosine: cosine of the offset with the gradient of the last step.
    """

    offset: Tensor
    largest_coordinate: float
    divergence_before: float
    gradient_cosine: float


def perturbable(network: Multitask, batch: Batch, dropout: Dropout = NO_DROPOUT) -> Perturbable:
    """The outputs of a batch as a function of an offset on its word embeddings."""
    inputs = network.inputs([batch])
    table, state = network.encoder.word_embeddings, dropout.state()

    def outputs(offset: Tensor) -> Tensor:
        with dropout.replayed(state):
            raw: Tensor = network([batch], inputs, dropout, offset=offset.to(table.dtype))[0]
        return raw

    return Perturbable(outputs, inputs, table.new_zeros(len(inputs.example), table.shape[1]))


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of two tensors of any scale."""
    a, b = a.double().flatten(), b.double().flatten()
    return float(a @ b / a.norm() / b.norm())


def changed_classes(p: Tensor, q: Tensor) -> float:
    """Fraction of the examples with another likeliest class."""
    return float((p.argmax(1) != q.argmax(1)).float().mean())
