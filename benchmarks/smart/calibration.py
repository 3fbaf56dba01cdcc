"""The size of SMART's penalty on sentiment for several radii, steps and random starts: where its defaults come from.

Writes results/measurements/smart-calibration.json; about three minutes on one core.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.common.short_training import (
    Measurement,
    Plan,
    means,
    measure_and_write,
    next_batches,
    take_steps,
)
from benchmarks.smart.offsets import cosine, perturbable
from bertram import smart
from bertram.data.examples import Batch
from bertram.model.linear import Precision
from bertram.training import setup
from bertram.training.state import Training

PLAN = Plan(batch_size=16, steps=40)
BATCHES = 2
FEW = 8  # examples of each batch in bf16 products, which are slow where the processor has no such instructions
RADII = (0.01, 0.03, 0.1, 0.3, 1.0)  # in units of the word embeddings' root mean square, as all lengths here
STEP_SIZES = (1, 3, 10)  # in radii
NOISE = 0.1  # in radii
DEFAULTS = smart.Settings()
STARTS = (0.01, 0.1, 1.0)  # in radii


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the record."""
    measure_and_write(measure, PLAN, __spec__.name, __doc__, "smart-calibration.json", arguments)


def measure(plan: Plan) -> Measurement:
    """Penalties before and after a training without SMART, and after one with it."""
    training, batches = _with_trained_heads(plan)
    early = {radius: _figures(training, batches, _ball(radius))["share"] for radius in RADII}
    take_steps(training, plan.steps)
    results: dict[str, Any] = {
        "radius": [{"radius": r, "share_early": early[r], **_step_sizes(training, batches, r)} for r in RADII],
        "start": _starts(training, [batch.part(range(min(FEW, len(batch)))) for batch in batches]),
        "trained_without": _figures(training, batches, DEFAULTS),
    }
    training, batches = _with_trained_heads(plan, tasks=["sst"])
    take_steps(training, plan.steps)
    results["trained_with"] = _figures(training, batches, DEFAULTS)
    settings = {
        **plan.described(training), "task": "sst", "batches": BATCHES, "few": FEW,
        "unit_of_lengths": "root mean square of the word-embedding table", "noise_in_radii": NOISE,
        "chosen": vars(DEFAULTS),
    }  # fmt: skip
    return Measurement(settings, results)


def _with_trained_heads(plan: Plan, **smart_options: Any) -> tuple[Training, list[Batch]]:
    """A model whose head alone was trained, and batches to measure on."""
    training = plan.prepared({"sst": {}}, smart=smart_options)
    plan.train_heads(training)
    return training, [next_batches(training)[0] for _ in range(BATCHES)]


def _ball(radius: float, step_size: float = 10.0) -> smart.Settings:
    """Settings for a radius, with a step size in radii."""
    return smart.Settings(radius=radius, step_size=step_size * radius, noise_std=NOISE * radius)


def _step_sizes(training: Training, batches: Sequence[Batch], radius: float) -> dict[str, float]:
    """One step of several sizes in a ball, against the largest divergence that three long steps reach there."""
    largest = _figures(training, batches, replace(_ball(radius), steps=3))["divergence_after"]
    figures = {size: _figures(training, batches, _ball(radius, size)) for size in STEP_SIZES}
    shares = {f"share_step_{size}": row["share"] for size, row in figures.items()}
    return shares | {f"of_most_step_{size}": row["divergence_after"] / largest for size, row in figures.items()}


def _starts(training: Training, batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """Random starts of several sizes, in both precisions."""
    encoder = training.model.network.encoder
    rows: list[dict[str, Any]] = []
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    for precision, noise in product(precisions, STARTS):
        encoder.set_precision(precision)
        settings = replace(DEFAULTS, noise_std=noise * DEFAULTS.radius)
        rows.append({"precision": precision, **_figures(training, batches, settings)})
    encoder.set_precision("fp32")
    return rows


def _figures(training: Training, batches: Sequence[Batch], settings: smart.Settings) -> dict[str, float]:
    """Means over some batches of figures of the ascent's offset, with the same dropout masks in every pass."""
    network = training.model.network
    generator = torch.Generator()
    dropout = setup.training_dropout(training.config, network.encoder, generator)
    table = network.encoder.word_embeddings
    rms, absolute = smart.embedding_rms(table), settings.absolute(table)
    rows = []
    for seed, batch in enumerate(batches):
        generator.manual_seed(seed)
        assert batch.labels is not None
        model = perturbable(network, batch, dropout)
        clean, noise = model.clean(), model.noise(absolute.noise_std, seed)
        ascent = model.ascent(absolute, noise)
        divergence = model.divergence_at(ascent.offset, clean)
        rows.append({
            "radius": settings.radius,
            "step_size": settings.step_size,
            "noise_std": settings.noise_std,
            "largest_coordinate": ascent.largest_coordinate / rms,
            "size": float(ascent.offset[model.inputs.movable].square().mean().sqrt()) / rms,
            "divergence_before": ascent.divergence_before,
            "divergence_after": divergence,
            "cosine_with_gradient": ascent.gradient_cosine,
            "cosine_with_start": cosine(ascent.offset, model.start(noise, absolute.radius)),
            "share": divergence / float(cross_entropy(clean, batch.labels)),
        })  # fmt: skip
    return means(rows)


if __name__ == "__main__":
    main()
