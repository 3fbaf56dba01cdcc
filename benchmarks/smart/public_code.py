"""What public SMART code computes, measured on MiniLM after a short training on sentiment.

Writes results/measurements/smart.json; about two minutes of one core.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from smart_pytorch import SMARTLoss, kl_loss, sym_kl_loss
from torch import Tensor

from benchmarks.common.short_training import (
    Measurement,
    Plan,
    mean,
    means,
    measure_and_write,
    next_batches,
    take_steps,
)
from benchmarks.smart.offsets import changed_classes, cosine, perturbable
from bertram import smart
from bertram.data.examples import Batch
from bertram.model.dropout import NO_DROPOUT
from bertram.model.encoders.layout import PackedLayout
from bertram.model.multitask import Multitask
from bertram.training import setup
from bertram.training.state import Training

PLAN = Plan(batch_size=16, steps=60)
BATCHES = 2
FEW = 8  # examples of each batch in bf16 products, which are slow where the processor has no such instructions
DEFAULTS = smart.Settings()
LITERAL = smart.Settings(radius=1e-5, noise_std=1e-5, step_size=1e-3, unit="absolute")  # the paper's values


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the record."""
    measure_and_write(measure, PLAN, __spec__.name, __doc__, "smart.json", arguments)


def measure(plan: Plan) -> Measurement:
    """Figures of public code on a few batches after a short training."""
    training = plan.prepared({"sst": {}})
    plan.train_heads(training)
    take_steps(training, plan.steps)
    network, batches = training.model.network, [next_batches(training)[0] for _ in range(BATCHES)]
    settings = DEFAULTS.absolute(network.encoder.word_embeddings)

    def over_batches(figures: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
        return means([figures(network, batch, *arguments) for batch in batches])

    results = {
        "loss": mean([task_loss(network, batch) for batch in batches]),
        "embedding_rms": smart.embedding_rms(network.encoder.word_embeddings),
        "offset": {
            "smart_pytorch": means([public_offset(network, batch, seed) for seed, batch in enumerate(batches)]),
            "ours": means([paper_offset(network, batch, settings, seed) for seed, batch in enumerate(batches)]),
        },
        "literal_radius": literal_radius(network, [batch.part(range(min(FEW, len(batch)))) for batch in batches]),
        "bf16_embeddings": over_batches(rounded_embeddings),
        "embedding_block_twice": over_batches(block_twice),
        "dropout": means([dropout_floor(training, batch, settings) for batch in batches]),
        "detached_targets": over_batches(detached_targets, settings),
        "vanilla_every_step": over_batches(vanilla_every_step),
        "broadcast": broadcast(plan),
    }
    described = {
        **plan.described(training), "task": "sst", "batches": BATCHES, "few": FEW, "ours": vars(DEFAULTS),
        "literal": vars(LITERAL),
    }  # fmt: skip
    return Measurement(described, results)


def task_loss(network: Multitask, batch: Batch) -> float:
    """Mean loss of a batch of sentiment, without dropout."""
    assert batch.labels is not None
    with torch.no_grad():
        return float(network.output("sst").losses(network([batch])[0], batch.labels).mean())


def public_offset(network: Multitask, batch: Batch, seed: int) -> dict[str, float]:
    """Figures of the offset that smart-pytorch adds to the word embeddings with its own defaults."""
    model = perturbable(network, batch)
    offsets: list[Tensor] = []

    def recorded_outputs(offset: Tensor) -> Tensor:
        offsets.append(offset.detach())
        return model.outputs(offset)

    torch.manual_seed(seed)
    clean = model.clean()
    SMARTLoss(recorded_outputs, kl_loss, sym_kl_loss)(model.zeros, clean)
    start, offset = offsets
    start_alone = start / start.abs().amax(-1, keepdim=True)  # the random start at the offset's size
    rms = smart.embedding_rms(network.encoder.word_embeddings)
    by_token = torch.cosine_similarity(offset.double(), start.double(), dim=-1)
    return {
        "cosine_with_start": float(by_token.mean()),
        "least_cosine_with_start": float(by_token.min()),
        "cosine_with_gradient": cosine(offset, model.gradient_at(start, clean, kl_loss)),
        "largest_coordinate": float(offset.abs().max()),
        "size_in_rms": float(offset.square().mean().sqrt()) / rms,
        "divergence": model.divergence_at(offset, clean),
        "divergence_without_gradient": model.divergence_at(start_alone, clean),
        "changed_classes": changed_classes(model.outputs(offset), clean),
    }


def paper_offset(network: Multitask, batch: Batch, settings: smart.Settings, seed: int) -> dict[str, float]:
    """The same figures for the paper's ascent with the defaults of the configuration."""
    model = perturbable(network, batch)
    noise, clean = model.noise(settings.noise_std, seed), model.clean()
    ascent = model.ascent(settings, noise)
    offset, start = ascent.offset, model.start(noise, settings.radius)
    start_alone = start * (offset.norm(dim=-1, keepdim=True) / start.norm(dim=-1, keepdim=True).clamp_min(1e-30))
    rms = smart.embedding_rms(network.encoder.word_embeddings)
    by_token = torch.cosine_similarity(offset.double(), start.double(), dim=-1)[model.inputs.movable]
    return {
        "cosine_with_start": float(by_token.mean()),
        "cosine_with_gradient": ascent.gradient_cosine,
        "largest_coordinate": float(offset.abs().max()),
        "size_in_rms": float(offset.square().mean().sqrt()) / rms,
        "divergence": model.divergence_at(offset, clean),
        "divergence_without_gradient": model.divergence_at(start_alone, clean),
        "changed_classes": changed_classes(model.outputs(offset), clean),
    }


def literal_radius(network: Multitask, batches: Sequence[Batch]) -> list[Mapping[str, object]]:
    """The divergence at the paper's literal epsilon, sigma and eta in each precision."""
    fp64, bf16 = copy.deepcopy(network).double(), copy.deepcopy(network).bfloat16()
    mixed = copy.deepcopy(network)
    mixed.encoder.set_precision("bf16")
    rows: list[Mapping[str, object]] = []
    for name, model in (("fp64", fp64), ("fp32", network), ("bf16 products", mixed), ("bf16 throughout", bf16)):
        figures = means([literal_figures(model, fp64, batch, seed) for seed, batch in enumerate(batches)])
        loss = mean([task_loss(network, batch) for batch in batches])
        rows.append({"precision": name, **figures, "share": figures["divergence"] / loss})
    return rows


def literal_figures(network: Multitask, fp64: Multitask, batch: Batch, seed: int) -> dict[str, float]:
    """The paper's ascent at its literal values in one precision, against the same model in fp64."""
    model, reference = perturbable(network, batch), perturbable(fp64, batch)
    noise = LITERAL.noise_std * torch.randn(model.zeros.shape, generator=torch.Generator().manual_seed(seed))
    clean, clean64 = model.clean(), reference.clean()
    ascent, start = model.ascent(LITERAL, noise), model.start(noise, LITERAL.radius)
    return {
        "start": ascent.divergence_before,
        "divergence": model.divergence_at(ascent.offset, clean),
        "true_divergence": reference.divergence_at(ascent.offset, clean64),
        "gradient_cosine_with_fp64": cosine(
            model.gradient_at(start, clean), reference.gradient_at(start.double(), clean64)
        ),
    }


def rounded_embeddings(network: Multitask, batch: Batch) -> dict[str, float]:
    """Fraction of the coordinates that an offset of 1e-5 moves once it is added to word embeddings in bf16."""
    words = network.encoder.word_embeddings.detach()[network.inputs([batch]).packed.token_ids].bfloat16()
    signs = torch.randn(words.shape, generator=torch.Generator().manual_seed(0)).sign()
    moved = (words + (1e-5 * signs).bfloat16()).float() - words.float()
    return {"coordinates_that_move": float((moved != 0).float().mean())}


def block_twice(network: Multitask, batch: Batch) -> dict[str, float]:
    """The output of the embedding block fed back as word embeddings: two LayerNorms, positions added twice."""
    model = perturbable(network, batch)
    encoder, packed = network.encoder, model.inputs.packed
    block = encoder.embed(PackedLayout(packed, NO_DROPOUT), None, None).detach()
    clean, twice = model.clean(), network([batch], model.inputs, words=lambda *_: block)[0].detach()
    return {"divergence": float(smart.symmetric_kl(twice, clean)), "changed_classes": changed_classes(twice, clean)}


def dropout_floor(training: Training, batch: Batch, settings: smart.Settings) -> dict[str, float]:
    """The divergence of two passes without any offset, and the penalty's own size with the same masks."""
    network = training.model.network
    dropout, other_dropout = (
        setup.training_dropout(training.config, network.encoder, generator)
        for generator in (torch.Generator(), torch.Generator().manual_seed(1))
    )
    model = perturbable(network, batch, dropout)
    clean, again = model.clean(), model.clean()
    other_masks = perturbable(network, batch, other_dropout).clean()
    ascent = model.ascent(settings, model.noise(settings.noise_std))
    return {
        "same_masks": float(smart.symmetric_kl(again, clean)),
        "independent_masks": float(smart.symmetric_kl(other_masks, clean)),
        "penalty_with_same_masks": model.divergence_at(ascent.offset, clean),
    }


def detached_targets(network: Multitask, batch: Batch, settings: smart.Settings) -> dict[str, float]:
    """The gradient of smart-pytorch's symmetric KL against that of the symmetric KL itself."""
    model = perturbable(network, batch)
    perturbed = model.outputs(model.ascent(settings, model.noise(settings.noise_std)).offset)
    clean = model.outputs(model.zeros)
    parameters = list(network.encoder.layers.parameters())
    public, true = (
        torch.cat([g.flatten() for g in torch.autograd.grad(divergence, parameters, retain_graph=True)])
        for divergence in (sym_kl_loss(perturbed, clean) / len(batch), smart.symmetric_kl(perturbed, clean))
    )
    return {"cosine": cosine(public, true), "length": float(public.norm() / true.norm())}


def vanilla_every_step(network: Multitask, batch: Batch) -> dict[str, float]:
    """The gradient of the vanilla Bregman term with the anchor renewed each step, against that of the loss."""
    assert batch.labels is not None
    parameters = list(network.encoder.layers.parameters())
    raw = network([batch])[0]
    anchor = copy.deepcopy(network)([batch])[0].detach()
    loss = network.output("sst").losses(raw, batch.labels).mean()
    term_norm, loss_norm = (
        torch.stack([g.norm() for g in torch.autograd.grad(value, parameters, retain_graph=True)]).norm()
        for value in (smart.symmetric_kl(raw, anchor), loss)
    )
    return {"gradient_norm_over_that_of_the_loss": float(term_norm / loss_norm)}


def broadcast(plan: Plan) -> dict[str, float]:
    """Squared differences of [B] against [B, 1], on similarity scores from the encoder's own cosine."""
    training = plan.prepared({"sts": {"encoding": "bi", "head": "cosine", "loss": "cosine-mse"}})
    network, batch = training.model.network, next_batches(training)[0]
    settings = DEFAULTS.absolute(network.encoder.word_embeddings)
    model = perturbable(network, batch)
    ascent = model.ascent(settings, model.noise(settings.noise_std), network.output("sts").divergence)
    p, q = (model.outputs(ascent.offset).detach() + 1) / 2, (model.clean() + 1) / 2
    elementwise, broadcasted = float((p - q).square().mean()), float((p - q[:, None]).square().mean())
    return {"right": elementwise, "broadcast": broadcasted, "ratio": broadcasted / elementwise}


if __name__ == "__main__":
    main()
