"""What public PCGrad code does to the encoder's gradient, measured on MiniLM and the study's three tasks.

Writes results/measurements/surgery.json; about a minute of one core.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.common.short_training import Measurement, Plan, mean, measure_and_write, next_batches
from bertram import surgery
from bertram.optimizer import AdamW, global_norm
from bertram.training.state import Training
from bertram.training.step import packed_gradients, update

PLAN = Plan(batch_size=8, steps=24)
ORDERS = 50  # random orders of the projections in each step
TOLERANCE = 1e-9  # a cosine below it means orthogonal gradients
MAX_NORM = 1.0
TASKS = ("sst", "quora", "sts")
PAIRS = (("sst_quora", 0, 1), ("sst_sts", 0, 2), ("quora_sts", 1, 2))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the record."""
    measure_and_write(measure, PLAN, __spec__.name, __doc__, "surgery.json", arguments)


def measure(plan: Plan) -> Measurement:
    """Figures of the tasks' gradients along some additive steps."""
    training = plan.prepared({task: {} for task in TASKS}, optimizer={"embedding_update": "dense"})
    plan.train_heads(training)
    scaled = ScaledUpdates(training)
    steps = [additive_step(training, scaled) for _ in range(plan.steps)]
    gramians = [gramian for gramian, _ in steps]
    remaining = [share for gramian, head_norms in steps for share in remaining_conflicts(gramian, head_norms)]
    results = {
        "conflict_rate": mean([surgery.conflict_rate(gramian) for gramian in gramians]),
        "conflicting_pairs": len(remaining),
        "cosine": {name: spread([float(surgery.cosines(g)[i, j]) for g in gramians]) for name, i, j in PAIRS},
        "pcgrad_against_sum": mean([relative_change(gramian) for gramian in gramians]),
        "heads_inside": {
            "conflict_remains": mean([float(share > TOLERANCE) for share in remaining]) if remaining else None,
            "share_of_conflict_left": mean(remaining) if remaining else None,
            "largest_share_left": max(remaining, default=None),
        },
        "three_tasks": {
            "shared_only": projections(gramians, gramians),
            "heads_inside": projections(gramians, [gramian + norms.diag() for gramian, norms in steps]),
            "itself_not_excluded": projections(gramians, gramians, against_itself=True),
        },
        "mean_instead_of_sum": scaled.figures(),
    }
    settings = {**plan.described(training), "tasks": list(TASKS), "orders": ORDERS, "clip_norm": MAX_NORM}
    return Measurement(settings, results)


def additive_step(training: Training, scaled: "ScaledUpdates") -> tuple[Tensor, Tensor]:
    """An additive step; gives the Gramian of the shared gradients [T, T] and the squared norms of the heads' [T]."""
    batches = next_batches(training)
    groups = [packed_gradients(training.context, [batch], None) for batch in batches]
    shared = [list(group.shared.values()) for group in groups]
    gramian = surgery.gramian(shared)
    head_norms = [global_norm(group.own.values()) ** 2 for group in groups]
    total = surgery.weighted_sum(shared, torch.ones(len(groups)), inplace=True)
    heads = {name: gradient for group in groups for name, gradient in group.own.items()}
    scaled.step(total, list(heads.values()))
    update(training.context, batches, dict(zip(groups[0].shared, total, strict=True)) | heads, None)
    return gramian, torch.tensor(head_norms, dtype=torch.float64)


def remaining_conflicts(gramian: Tensor, head_norms: Tensor) -> list[float]:
    """The share of the conflict that remains on the encoder, for each ordered pair of conflicting tasks.

    With heads inside, g_i loses (g_i . g_j / (|g_j|^2 + |h_j|^2)) g_j instead of (g_i . g_j / |g_j|^2) g_j.
    """
    tasks = range(len(gramian))
    return [
        float(head_norms[j] / (gramian[j, j] + head_norms[j]))
        for i in tasks
        for j in tasks
        if i != j and gramian[i, j] < 0
    ]


def relative_change(gramian: Tensor) -> float:
    """Distance of PCGrad's update from the sum, as a share of the sum's length; mean over orders."""
    generator, ones = torch.Generator().manual_seed(0), torch.ones(len(gramian), dtype=torch.float64)
    changes = [surgery.pcgrad_weights(gramian, generator) - ones for _ in range(ORDERS)]
    return mean([float((w @ gramian @ w / (ones @ gramian @ ones)).sqrt()) for w in changes])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, lowest and highest of some values."""
    return {"mean": mean(values), "lowest": min(values), "highest": max(values)}


def projections(
    gramians: Sequence[Tensor], projected: Sequence[Tensor], *, against_itself: bool = False
) -> dict[str, float]:
    """Rate at which a projected gradient still conflicts, on the encoder, with one it was projected against.

    Args:
        gramians: Gramians of the encoder's gradients at each step.
        projected: Gramians that the projections use.
        against_itself: project a gradient against itself as well.
    """
    generator = torch.Generator().manual_seed(0)
    conflicts, self_projections, count = 0, 0, 0
    for true, used in zip(gramians, projected, strict=True):
        for _ in range(ORDERS):
            for i in range(len(true)):
                order = torch.randperm(len(true), generator=generator).tolist()
                w = torch.eye(len(true), dtype=torch.float64)[i]
                for j in [j for j in order if against_itself or j != i]:
                    s = used[j] @ w
                    if s < 0:
                        w[j] -= s / used[j, j]
                        self_projections += j == i
                norm = (w @ true @ w).sqrt()
                cosines = true @ w / norm / true.diagonal().sqrt()
                conflicts += sum(float(cosines[j]) < -TOLERANCE for j in range(len(true)) if true[i, j] < 0)
                count += int((true[i] < 0).sum())
    rate = self_projections / len(gramians) / ORDERS / len(TASKS)
    return {"conflict_remains": conflicts / max(count, 1), "projected_against_itself": rate}


class ScaledUpdates:
    """AdamW and clipping on the encoder's gradient and on a third of it, along the same trajectory."""

    FACTORS = (1.0, 1.0 / 3.0)

    def __init__(self, training: Training) -> None:
        table = training.model.network.encoder.word_embeddings
        shared = list(training.context.shared.values())
        self.places = [i for i, p in enumerate(shared) if p is not table]
        self.start = [shared[i].detach().clone() for i in self.places]
        self.copies = [[p.clone() for p in self.start] for _ in self.FACTORS]
        rate = training.config.optimizer.lr
        self.optimizers = [AdamW(copy, lr=rate) for copy in self.copies]
        self.clipped_ratios: list[float] = []

    def step(self, encoder: Sequence[Tensor | None], heads: Sequence[Tensor | None]) -> None:
        """Update each copy of the encoder with its share of the gradient."""
        norms = []
        for factor, copy, optimizer in zip(self.FACTORS, self.copies, self.optimizers, strict=True):
            scaled = [None if g is None else factor * g for g in encoder]
            norm = global_norm([*scaled, *heads])
            norms.append(factor * global_norm(encoder) * min(1.0, MAX_NORM / norm))
            for parameter, place in zip(copy, self.places, strict=True):
                parameter.grad = scaled[place]
            optimizer.step()
        self.clipped_ratios.append(norms[1] / norms[0])

    def figures(self) -> dict[str, float]:
        """The third of the gradient before clipping, after it, and in the length of AdamW's path."""
        lengths = [
            float(torch.cat([(p - q).flatten() for p, q in zip(copy, self.start, strict=True)]).norm())
            for copy in self.copies
        ]
        return {
            "gradient": self.FACTORS[1],
            "gradient_after_clipping": mean(self.clipped_ratios),
            "adamw_path": lengths[1] / lengths[0],
        }


if __name__ == "__main__":
    main()
