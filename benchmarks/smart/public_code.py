"""What public SMART code computes, measured on MiniLM after a short training on sentiment.

Writes results/measurements/smart.json; about two minutes of one core.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from smart_pytorch import SMARTLoss, kl_loss, sym_kl_loss
from torch import Tensor

from benchmarks.common.short_training import (
    HEAD_STEPS,
    arguments,
    batches,
    cosine,
    mean,
    perturbable,
    prepared,
    train,
    train_heads,
    write,
)
from bertram import smart
from bertram.data.examples import Batch
from bertram.model import losses
from bertram.model.multitask import Multitask
from bertram.training import setup
from bertram.training.state import Training

BATCH, BATCHES, STEPS = 16, 2, 60
FEW = 8  # examples of each batch that bf16 products see, which are slow where the processor has no such instructions
OURS = smart.Settings()
LITERAL = smart.Settings(radius=1e-5, noise_std=1e-5, step_size=1e-3, unit="absolute")  # the paper's values

Function = Callable[[Tensor], Tensor]


def main() -> None:
    asked = arguments(__doc__)
    training = prepared(asked.data, {"sst": {}}, BATCH)
    train_heads(training)
    train(training, STEPS)
    network, several = training.model.network, [batches(training)[0] for _ in range(BATCHES)]
    ours = OURS.absolute(network.encoder.words)
    results = {
        "loss": mean([{"loss": task_loss(network, batch)} for batch in several])["loss"],
        "embedding_rms": smart.embedding_rms(network.encoder.words),
        "offset": {
            "smart_pytorch": mean([public_offset(network, batch, seed) for seed, batch in enumerate(several)]),
            "ours": mean([our_offset(network, batch, ours, seed) for seed, batch in enumerate(several)]),
        },
        "literal_radius": literal_radius(network, [batch.part(range(FEW)) for batch in several]),
        "bf16_embeddings": mean([rounded_embeddings(network, batch) for batch in several]),
        "embedding_block_twice": mean([block_twice(network, batch) for batch in several]),
        "dropout": mean([dropout_floor(training, batch, ours) for batch in several]),
        "detached_targets": mean([detached_targets(network, batch, ours) for batch in several]),
        "vanilla_every_step": mean([vanilla_every_step(network, batch) for batch in several]),
        "broadcast": broadcast(asked.data),
    }
    settings = {
        "encoder": "minilm", "task": "sst", "batch_size": BATCH, "batches": BATCHES, "few": FEW,
        "head_steps": HEAD_STEPS, "steps": STEPS, "encoder_rate": training.config.optimizer.lr,
        "ours": vars(OURS), "literal": vars(LITERAL),
    }  # fmt: skip
    write(asked.out / "smart.json", "benchmarks.smart.public_code", settings, results)


def task_loss(network: Multitask, batch: Batch) -> float:
    with torch.no_grad():
        return float(losses.example_losses(network.tasks["sst"], network([batch])[0], batch.labels).mean())


def public_offset(network: Multitask, batch: Batch, seed: int) -> dict[str, float]:
    """What smart-pytorch adds to the word embeddings, with its own defaults."""
    f, _, zeros = perturbable(network, batch)
    seen: list[Tensor] = []

    def watched(offset: Tensor) -> Tensor:
        seen.append(offset.detach())
        return f(offset)

    torch.manual_seed(seed)
    clean = f(zeros).detach()
    SMARTLoss(watched, kl_loss, sym_kl_loss)(zeros, clean)
    start, offset = seen
    gradient = gradient_at(f, start, clean, kl_loss)
    unmoved = start / start.abs().amax(-1, keepdim=True)  # the random start alone, at the offset's size
    rms = smart.embedding_rms(network.encoder.words)
    each = torch.cosine_similarity(offset.double(), start.double(), dim=-1)
    return {
        "cosine_with_start": float(each.mean()),
        "least_cosine_with_start": float(each.min()),
        "cosine_with_gradient": cosine(offset, gradient),
        "largest_coordinate": float(offset.abs().max()),
        "size_in_rms": float(offset.square().mean().sqrt()) / rms,
        "divergence": apart(f, offset, clean),
        "divergence_without_gradient": apart(f, unmoved, clean),
        "changed_classes": changed(f(offset), clean),
    }


def our_offset(network: Multitask, batch: Batch, settings: smart.Settings, seed: int) -> dict[str, float]:
    """The same figures for the paper's ascent, with the defaults of the configuration."""
    f, inputs, zeros = perturbable(network, batch)
    noise = settings.noise_std * torch.randn(zeros.shape, generator=torch.Generator().manual_seed(seed))
    clean = f(zeros).detach()
    found = offset_of(f, clean, zeros, settings, noise, example=inputs.example, mask=inputs.movable)
    offset, start = found.offset, (noise * inputs.movable[:, None]).clamp(-settings.radius, settings.radius)
    alike = start * (offset.norm(dim=-1, keepdim=True) / start.norm(dim=-1, keepdim=True).clamp_min(1e-30))
    rms = smart.embedding_rms(network.encoder.words)
    each = torch.cosine_similarity(offset.double(), start.double(), dim=-1)[inputs.movable]
    return {
        "cosine_with_start": float(each.mean()),
        "cosine_with_gradient": float(found.gradient_cosine),
        "largest_coordinate": float(offset.abs().max()),
        "size_in_rms": float(offset.square().mean().sqrt()) / rms,
        "divergence": apart(f, offset, clean),
        "divergence_without_gradient": apart(f, alike, clean),
        "changed_classes": changed(f(offset), clean),
    }


def literal_radius(network: Multitask, several: list[Batch]) -> list[Mapping[str, object]]:
    """The divergence at the paper's literal epsilon, sigma and eta, as each precision sees it."""
    exact, half = copy.deepcopy(network).double(), copy.deepcopy(network).bfloat16()
    mixed = copy.deepcopy(network)
    mixed.encoder.set_precision("bf16")
    rows = []
    for name, model in (("fp64", exact), ("fp32", network), ("bf16 products", mixed), ("bf16 throughout", half)):
        figures = [literal_figures(model, exact, batch, seed) for seed, batch in enumerate(several)]
        loss = sum(task_loss(network, batch) for batch in several) / len(several)
        one = mean(figures)
        rows.append({"precision": name, **one, "share": one["divergence"] / loss})
    return rows


def literal_figures(model: Multitask, exact: Multitask, batch: Batch, seed: int) -> dict[str, float]:
    f, inputs, zeros = perturbable(model, batch)
    reference, _, zeros64 = perturbable(exact, batch)
    noise = 1e-5 * torch.randn(zeros.shape, generator=torch.Generator().manual_seed(seed))
    clean, clean64 = f(zeros).detach(), reference(zeros64).detach()
    where = {"example": inputs.example, "mask": inputs.movable}
    found = offset_of(f, clean, zeros, LITERAL, noise, **where)
    start = (noise * inputs.movable[:, None]).clamp(-1e-5, 1e-5)
    true = gradient_at(reference, start.double(), clean64, smart.symmetric_kl)
    return {
        "start": float(found.divergence_before),
        "divergence": apart(f, found.offset, clean),
        "true_divergence": apart(reference, found.offset, clean64),
        "gradient_cosine_with_fp64": cosine(gradient_at(f, start, clean, smart.symmetric_kl), true),
    }


def rounded_embeddings(network: Multitask, batch: Batch) -> dict[str, float]:
    """How much of an offset of 1e-5 is left once it is added to word embeddings in bf16."""
    words = network.encoder.words.detach()[network.inputs([batch]).packed.token_ids].bfloat16()
    signs = torch.randn(words.shape, generator=torch.Generator().manual_seed(0)).sign()
    left = (words + (1e-5 * signs).bfloat16()).float() - words.float()
    return {"coordinates_that_move": float((left != 0).float().mean())}


def block_twice(network: Multitask, batch: Batch) -> dict[str, float]:
    """The output of the embedding block fed back as word embeddings: two LayerNorms, positions added twice."""
    f, inputs, zeros = perturbable(network, batch)
    e, p = network.encoder, inputs.packed
    block = e.norm(e.words[p.token_ids] + e.positions[p.positions] + e.segments[p.segments]).detach()
    clean, twice = f(zeros).detach(), network([batch], inputs, words=lambda _: block)[0].detach()
    return {"divergence": float(smart.symmetric_kl(twice, clean)), "changed_classes": changed(twice, clean)}


def dropout_floor(training: Training, batch: Batch, settings: smart.Settings) -> dict[str, float]:
    """The divergence of two passes without any offset, and the penalty's own size with the same masks."""
    network = training.model.network
    dropout = setup.training_dropout(training.config, network.encoder, torch.Generator())
    f, inputs, zeros = perturbable(network, batch, dropout)
    clean, again = f(zeros).detach(), f(zeros).detach()
    drawn_anew = setup.training_dropout(training.config, network.encoder, torch.Generator().manual_seed(1))
    other = perturbable(network, batch, drawn_anew)[0](zeros).detach()
    noise = settings.noise_std * torch.randn(zeros.shape, generator=torch.Generator().manual_seed(0))
    found = offset_of(f, clean, zeros, settings, noise, example=inputs.example, mask=inputs.movable)
    return {
        "same_masks": float(smart.symmetric_kl(again, clean)),
        "independent_masks": float(smart.symmetric_kl(other, clean)),
        "penalty_with_same_masks": apart(f, found.offset, clean),
    }


def detached_targets(network: Multitask, batch: Batch, settings: smart.Settings) -> dict[str, float]:
    """The gradient of smart-pytorch's symmetric KL against the symmetric KL's own."""
    f, inputs, zeros = perturbable(network, batch)
    clean = f(zeros)
    noise = settings.noise_std * torch.randn(zeros.shape, generator=torch.Generator().manual_seed(0))
    offset = offset_of(f, clean.detach(), zeros, settings, noise, example=inputs.example, mask=inputs.movable).offset
    perturbed = f(offset)
    parameters = list(network.encoder.layers.parameters())
    values = (sym_kl_loss(perturbed, clean) / len(batch), smart.symmetric_kl(perturbed, clean))
    found = [torch.autograd.grad(value, parameters, retain_graph=True) for value in values]
    theirs, true = (torch.cat([g.flatten() for g in one]) for one in found)
    return {"cosine": cosine(theirs, true), "length": float(theirs.norm() / true.norm())}


def vanilla_every_step(network: Multitask, batch: Batch) -> dict[str, float]:
    """The gradient of the vanilla Bregman term with the anchor renewed each step, against the loss's own."""
    parameters = list(network.encoder.layers.parameters())
    raw = network([batch])[0]
    taught = copy.deepcopy(network)([batch])[0].detach()
    loss = losses.example_losses(network.tasks["sst"], raw, batch.labels).mean()
    norms = [
        torch.stack([g.norm() for g in torch.autograd.grad(value, parameters, retain_graph=True)]).norm()
        for value in (smart.symmetric_kl(raw, taught), loss)
    ]
    return {"gradient_norm_over_that_of_the_loss": float(norms[0] / norms[1])}


def broadcast(data: str) -> dict[str, float]:
    """Squared differences of [B] against [B, 1], on similarity scores from MiniLM's own cosine."""
    training = prepared(data, {"sts": {"encoding": "bi", "head": "cosine", "loss": "cosine-mse"}}, BATCH)
    network, batch = training.model.network, batches(training)[0]
    settings = OURS.absolute(network.encoder.words)
    f, inputs, zeros = perturbable(network, batch)
    apart_by = losses.divergence(network.tasks["sts"])
    noise = settings.noise_std * torch.randn(zeros.shape, generator=torch.Generator().manual_seed(0))
    clean = f(zeros).detach()
    found = smart.adversarial_offset(
        f, clean, apart_by, zeros, radius=settings.radius, noise_std=settings.noise_std,
        step_size=settings.step_size, noise=noise, example=inputs.example, mask=inputs.movable,
    )  # fmt: skip
    p, q = (f(found.offset).detach() + 1) / 2, (clean + 1) / 2
    right, spread = float((p - q).square().mean()), float((p - q[:, None]).square().mean())
    return {"right": right, "broadcast": spread, "ratio": spread / right}


def offset_of(
    f: Function, clean: Tensor, zeros: Tensor, settings: smart.Settings, noise: Tensor, **where: Any
) -> smart.Perturbation:
    return smart.adversarial_offset(
        f, clean, smart.symmetric_kl, zeros, radius=settings.radius, noise_std=settings.noise_std,
        step_size=settings.step_size, steps=settings.steps, noise=noise, **where,
    )  # fmt: skip


def gradient_at(f: Function, offset: Tensor, clean: Tensor, divergence: Callable[..., Tensor]) -> Tensor:
    offset = offset.detach().requires_grad_()
    return torch.autograd.grad(divergence(f(offset), clean), offset)[0]


def apart(f: Function, offset: Tensor, clean: Tensor) -> float:
    return float(smart.symmetric_kl(f(offset).detach(), clean))  # with the kernels that training uses


def changed(p: Tensor, q: Tensor) -> float:
    """Share of the examples whose likeliest class is another one."""
    return float((p.argmax(1) != q.argmax(1)).float().mean())


if __name__ == "__main__":
    main()
