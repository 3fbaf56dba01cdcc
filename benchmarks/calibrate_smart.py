"""How large SMART's penalty is on sentiment, for several radii, steps and random starts: where its defaults come from.

Writes results/measurements/smart-calibration.json; about four minutes on one core.
"""

from collections.abc import Sequence
from itertools import product

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
from bertram.training.state import Training

BATCH, BATCHES, STEPS = 16, 2, 60
RADII = (0.01, 0.03, 0.1, 0.3, 1.0)  # in units of the word embeddings' root mean square, as all lengths here
STEP_SIZES = (1, 10)  # in radii
NOISE = 0.1  # in radii
STARTS = ((0.01, "fp32"), (0.1, "fp32"), (1.0, "fp32"), (0.01, "bf16"), (0.1, "bf16"), (1.0, "bf16"))


def main() -> None:
    asked = arguments(__doc__)
    training = prepared(asked.data, {"sst": {}}, BATCH)
    train_heads(training)
    several = [batches(training)[0] for _ in range(BATCHES)]
    early = {(r, k): look(training, several, r, k * r, NOISE * r)["share"] for k, r in product(STEP_SIZES, RADII)}
    train(training, STEPS)
    best = {r: look(training, several, r, 10 * r, NOISE * r, steps=3)["divergence_after"] for r in RADII}
    rows = {}
    for k in STEP_SIZES:
        rows[f"step_of_{k}_radius"] = [
            {**found, "share_of_best": found["divergence_after"] / best[r], "early_share": early[r, k]}
            for r in RADII
            for found in [look(training, several, r, k * r, NOISE * r)]
        ]
    starts = []
    for (noise, precision), (radius, step) in product(STARTS, ((0.03, 0.3),)):
        training.model.network.encoder.set_precision(precision)
        starts.append({"precision": precision, **look(training, several, radius, step, noise * radius)})
    settings = {
        "encoder": "minilm", "task": "sst", "batch_size": BATCH, "batches": BATCHES, "head_steps": HEAD_STEPS,
        "steps": STEPS, "encoder_rate": training.config.optimizer.encoder_rate, "noise_in_radii": NOISE,
        "unit": "embedding-rms", "weight": 1.0,
    }  # fmt: skip
    write(
        asked.out / "smart-calibration.json",
        "benchmarks/calibrate_smart.py",
        settings,
        {"radius": rows, "start": starts},
    )


def look(
    training: Training, several: Sequence[Batch], radius: float, step_size: float, noise_std: float, steps: int = 1
) -> dict[str, float]:
    """The offsets that the ascent finds for some batches, with the training's dropout, the same in every pass."""
    network, dropout = training.model.network, training.learner.objective.ways["sst"].dropout
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
