"""How large SMART's penalty is on sentiment, for several radii, steps and random starts: where its defaults come from.

Writes results/measurements/smart-calibration.json; about three minutes on one core.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch.nn.functional import cross_entropy

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
from bertram.training import setup
from bertram.training.state import Training

BATCH, BATCHES, STEPS = 16, 2, 40
FEW = 8  # examples of each batch that bf16 products see, which are slow where the processor has no such instructions
RADII = (0.01, 0.03, 0.1, 0.3, 1.0)  # in units of the word embeddings' root mean square, as all lengths here
STEP_SIZES = (1, 3, 10)  # in radii
NOISE = 0.1  # in radii
CHOSEN = smart.Settings()
STARTS = (0.01, 0.1, 1.0)  # in radii


def main() -> None:
    asked = arguments(__doc__)
    training, several = after_heads(asked.data)
    early = {r: look(training, several, r, 10 * r, NOISE * r)["share"] for r in RADII}
    train(training, STEPS)
    results: dict[str, Any] = {
        "radius": [{"radius": r, "share_early": early[r], **steps_within(training, several, r)} for r in RADII],
        "start": starts(training, [batch.part(range(FEW)) for batch in several]),
        "trained_without": look(training, several, CHOSEN.radius, CHOSEN.step_size, CHOSEN.noise_std),
    }
    training, several = after_heads(asked.data, {"tasks": ["sst"]})
    train(training, STEPS)
    results["trained_with"] = look(training, several, CHOSEN.radius, CHOSEN.step_size, CHOSEN.noise_std)
    settings = {
        "encoder": "minilm", "task": "sst", "batch_size": BATCH, "batches": BATCHES, "few": FEW,
        "head_steps": HEAD_STEPS, "steps": STEPS, "encoder_rate": training.config.optimizer.lr,
        "unit_of_lengths": "root mean square of the word-embedding table", "noise_in_radii": NOISE,
        "chosen": vars(CHOSEN),
    }  # fmt: skip
    write(asked.out / "smart-calibration.json", "benchmarks.smart.calibration", settings, results)


def after_heads(data: str, technique: Mapping[str, Any] | None = None) -> tuple[Training, list[Batch]]:
    """A model whose head alone was trained, and batches to look at."""
    training = prepared(data, {"sst": {}}, BATCH, smart=technique or {})
    train_heads(training)
    return training, [batches(training)[0] for _ in range(BATCHES)]


def steps_within(training: Training, several: Sequence[Batch], radius: float) -> dict[str, float]:
    """One step of several sizes in a ball, against the most that three long steps find there."""
    most = look(training, several, radius, 10 * radius, NOISE * radius, steps=3)["divergence_after"]
    found = {k: look(training, several, radius, k * radius, NOISE * radius) for k in STEP_SIZES}
    shares = {f"share_step_{k}": one["share"] for k, one in found.items()}
    return shares | {f"of_most_step_{k}": one["divergence_after"] / most for k, one in found.items()}


def starts(training: Training, several: Sequence[Batch]) -> list[Mapping[str, Any]]:
    """Random starts of several sizes, in both precisions."""
    found = []
    for precision, noise in product(("fp32", "bf16"), STARTS):
        training.model.network.encoder.set_precision(precision)
        figures = look(training, several, CHOSEN.radius, CHOSEN.step_size, noise * CHOSEN.radius)
        found.append({"precision": precision, **figures})
    training.model.network.encoder.set_precision("fp32")
    return found


def look(
    training: Training, several: Sequence[Batch], radius: float, step_size: float, noise_std: float, steps: int = 1
) -> dict[str, float]:
    """The offsets that the ascent finds for some batches, with the training's dropout, the same in every pass."""
    network = training.model.network
    dropout = setup.training_dropout(training.config, network.encoder, torch.Generator())
    rms = smart.embedding_rms(network.encoder.words)
    figures = []
    for seed, batch in enumerate(several):
        dropout.generator.manual_seed(seed)
        f, inputs, zeros = perturbable(network, batch, dropout)
        clean = f(zeros).detach()
        noise = noise_std * rms * torch.randn(zeros.shape, generator=torch.Generator().manual_seed(seed))
        found = smart.adversarial_offset(
            f, clean, smart.symmetric_kl, zeros, radius=radius * rms, noise_std=noise_std * rms,
            step_size=step_size * rms, steps=steps, noise=noise, example=inputs.example, mask=inputs.movable,
        )  # fmt: skip
        after = float(smart.symmetric_kl(f(found.offset).detach(), clean))
        start = (noise * inputs.movable[:, None]).clamp(-radius * rms, radius * rms)
        figures.append({
            "radius": radius,
            "step_size": step_size,
            "noise_std": noise_std,
            "largest_coordinate": float(found.radius) / rms,
            "size": float(found.offset[inputs.movable].square().mean().sqrt()) / rms,
            "divergence_before": float(found.divergence_before),
            "divergence_after": after,
            "cosine_with_gradient": float(found.gradient_cosine),
            "cosine_with_start": cosine(found.offset, start),
            "share": after / float(cross_entropy(clean, batch.labels)),
        })  # fmt: skip
    return mean(figures)


if __name__ == "__main__":
    main()
