"""How large SMART's penalty is on sentiment, for several radii, steps and random starts: where its defaults come from.

Writes results/measurements/smart-calibration.json; about three minutes on one core.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from short_training import (
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
from torch.nn.functional import cross_entropy

from bertram import smart
from bertram.text.examples import Batch
from bertram.training import setup
from bertram.training.state import Training

BATCH, BATCHES, STEPS = 16, 2, 40
RADII = (0.01, 0.03, 0.1, 0.3, 1.0)  # in units of the word embeddings' root mean square, as all lengths here
STEP_SIZES = (1, 10)  # in radii
NOISE = 0.1  # in radii
CHOSEN = (0.03, 0.3)  # radius and step
STARTS = (0.01, 0.1, 1.0)  # in radii


def main() -> None:
    asked = arguments(__doc__)
    training, several = after_heads(asked.data)
    early = {r: look(training, several, r, 10 * r, NOISE * r)["share"] for r in RADII}
    train(training, STEPS)
    most = {r: look(training, several, r, 10 * r, NOISE * r, steps=3)["divergence_after"] for r in RADII}
    results = {
        "radius": {f"step_of_{k}": [row(training, several, r, k, most[r]) for r in RADII] for k in STEP_SIZES},
        "early": [{"radius": r, "share": share} for r, share in early.items()],
        "start": starts(training, several),
        "trained_without": look(training, several, *CHOSEN, NOISE * CHOSEN[0]),
    }
    training, several = after_heads(asked.data, smart_on())
    train(training, STEPS)
    results["trained_with"] = look(training, several, *CHOSEN, NOISE * CHOSEN[0])
    settings = {
        "encoder": "minilm", "task": "sst", "batch_size": BATCH, "batches": BATCHES, "head_steps": HEAD_STEPS,
        "steps": STEPS, "encoder_rate": training.config.optimizer.encoder_rate, "noise_in_radii": NOISE,
        "chosen": smart_on(),
    }  # fmt: skip
    write(asked.out / "smart-calibration.json", "benchmarks/calibrate_smart.py", settings, results)


def after_heads(data: str, technique: Mapping[str, Any] | None = None) -> tuple[Training, list[Batch]]:
    """A model whose head alone was trained, and batches to look at."""
    training = prepared(data, {"sst": {}}, BATCH, smart=technique or {})
    train_heads(training)
    return training, [batches(training)[0] for _ in range(BATCHES)]


def smart_on() -> dict[str, Any]:
    radius, step = CHOSEN
    return {"tasks": ["sst"], "weight": 1.0, "radius": radius, "step_size": step, "noise_std": NOISE * radius}


def row(training: Training, several: Sequence[Batch], radius: float, step: float, most: float) -> dict[str, float]:
    """One step in a ball, against the most that three long steps find there."""
    found = look(training, several, radius, step * radius, NOISE * radius)
    return {**found, "share_of_most": found["divergence_after"] / most}


def starts(training: Training, several: Sequence[Batch]) -> list[Mapping[str, Any]]:
    """Random starts of several sizes, in both precisions."""
    found = []
    for precision, noise in product(("fp32", "bf16"), STARTS):
        training.model.network.encoder.set_precision(precision)
        figures = look(training, several, *CHOSEN, noise * CHOSEN[0])
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
