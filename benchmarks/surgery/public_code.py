"""What public PCGrad code does to the encoder's gradient, measured on MiniLM and the study's three tasks.

Writes results/measurements/surgery.json; about a minute of one core.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.common.short_training import HEAD_STEPS, arguments, batches, prepared, train_heads, write
from bertram import surgery
from bertram.optimizer import AdamW, global_norm
from bertram.training.state import Training
from bertram.training.step import group_gradients, update

BATCH, STEPS = 8, 24
ORDERS = 50  # random orders of the projections for each step
TOLERANCE = 1e-9  # of a cosine: below it two gradients are orthogonal
CLIP = 1.0


def main() -> None:
    asked = arguments(__doc__)
    tasks = {"sst": {}, "quora": {}, "sts": {}}
    training = prepared(asked.data, tasks, BATCH, optimizer={"embedding_update": "dense"})
    train_heads(training)
    shared, heads, scales = [], [], Scales(training)
    for _ in range(STEPS):
        gramian, own = one_step(training, scales)
        shared.append(gramian)
        heads.append(own)
    pairs = [pair for gramian, own in zip(shared, heads, strict=True) for pair in conflicts(gramian, own)]
    results = {
        "conflict_rate": sum(map(surgery.conflict_rate, shared)) / STEPS,
        "conflicting_pairs": len(pairs),
        "cosine": {name: spread([float(surgery.cosines(g)[i, j]) for g in shared]) for name, i, j in PAIRS},
        "pcgrad_against_sum": mean([change(gramian) for gramian in shared]),
        "heads_inside": {
            "conflict_remains": mean([float(left > TOLERANCE) for left in pairs]),
            "share_of_conflict_left": mean(pairs),
            "largest_share_left": max(pairs),
        },
        "three_tasks": {
            "shared_only": remaining(shared, shared),
            "heads_inside": remaining(shared, [g + o.diag() for g, o in zip(shared, heads, strict=True)]),
            "itself_not_excluded": remaining(shared, shared, itself=True),
        },
        "mean_instead_of_sum": scales.result(),
    }
    settings = {
        "encoder": "minilm", "tasks": list(tasks), "batch_size": BATCH, "head_steps": HEAD_STEPS, "steps": STEPS,
        "encoder_rate": training.config.optimizer.lr, "orders": ORDERS, "clip_norm": CLIP,
    }  # fmt: skip
    write(asked.out / "surgery.json", "benchmarks.surgery.public_code", settings, results)


PAIRS = (("sst_quora", 0, 1), ("sst_sts", 0, 2), ("quora_sts", 1, 2))


def one_step(training: Training, scales: "Scales") -> tuple[Tensor, Tensor]:
    """The Gramian of the shared gradients [T, T] and the squared norms of the heads' own [T]; then an additive step."""
    several = batches(training)
    found = [group_gradients(training.learner, [batch], None) for batch in several]
    gramian = surgery.gramian([one.shared for one in found])
    own = torch.tensor([global_norm([g for _, g in one.own]) ** 2 for one in found], dtype=torch.float64)
    total = surgery.weighted_sum([one.shared for one in found], torch.ones(len(found)), inplace=True)
    heads = [pair for one in found for pair in one.own]
    scales.watch(total, [g for _, g in heads])
    update(training.learner, several, total, heads, None)
    return gramian, own


def conflicts(gramian: Tensor, own: Tensor) -> list[float]:
    """For each ordered pair of two conflicting tasks: the share of the conflict that is left on the encoder.

    With heads inside, g_i loses (g_i . g_j / (|g_j|^2 + |h_j|^2)) g_j instead of (g_i . g_j / |g_j|^2) g_j.
    """
    tasks = range(len(gramian))
    return [float(own[j] / (gramian[j, j] + own[j])) for i in tasks for j in tasks if i != j and gramian[i, j] < 0]


def change(gramian: Tensor) -> float:
    """How far PCGrad's update is from the sum, as a share of the sum's length; mean over orders."""
    generator, one = torch.Generator().manual_seed(0), torch.ones(len(gramian), dtype=torch.float64)
    moved = [surgery.pcgrad_weights(gramian, generator) - one for _ in range(ORDERS)]
    return mean([float((w @ gramian @ w / (one @ gramian @ one)).sqrt()) for w in moved])


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": mean(values), "lowest": min(values), "highest": max(values)}


def remaining(shared: Sequence[Tensor], used: Sequence[Tensor], *, itself: bool = False) -> dict[str, float]:
    """How often a projected gradient still conflicts, on the encoder, with one it was projected against.

    Args:
        shared: the Gramian of the encoder's gradients at each step.
        used: the Gramian that the projections see.
        itself: let a gradient be projected against itself as well.
    """
    generator = torch.Generator().manual_seed(0)
    left, moved, count = 0, 0, 0
    for true, seen in zip(shared, used, strict=True):
        for _ in range(ORDERS):
            for i in range(len(true)):
                order = torch.randperm(len(true), generator=generator).tolist()
                w = torch.eye(len(true), dtype=torch.float64)[i]
                for j in [j for j in order if itself or j != i]:
                    s = seen[j] @ w
                    if s < 0:
                        w[j] -= s / seen[j, j]
                        moved += j == i
                norm = (w @ true @ w).sqrt()
                each = true @ w / norm / true.diagonal().sqrt()
                left += sum(float(each[j]) < -TOLERANCE for j in range(len(true)) if true[i, j] < 0)
                count += int((true[i] < 0).sum())
    return {"conflict_remains": left / count, "projected_against_itself": moved / len(shared) / ORDERS / len(true)}


class Scales:
    """AdamW and clipping on the encoder's gradient and on a third of it, along the same trajectory."""

    def __init__(self, training: Training) -> None:
        table = training.model.network.encoder.words
        self.places = [i for i, p in enumerate(training.learner.shared) if p is not table]
        start = [training.learner.shared[i].detach() for i in self.places]
        self.copies = [[p.clone() for p in start] for _ in range(2)]
        rate = training.config.optimizer.lr
        self.optimizers = [AdamW(copy, lr=rate) for copy in self.copies]
        self.start, self.factors = [p.clone() for p in start], (1.0, 1.0 / 3.0)
        self.clipped: list[float] = []

    def watch(self, encoder: Sequence[Tensor | None], heads: Sequence[Tensor | None]) -> None:
        norms = []
        for factor, copy, optimizer in zip(self.factors, self.copies, self.optimizers, strict=True):
            scaled = [None if g is None else factor * g for g in encoder]
            norm = global_norm([*scaled, *heads])
            norms.append(factor * global_norm(encoder) * min(1.0, CLIP / norm))
            for parameter, place in zip(copy, self.places, strict=True):
                parameter.grad = scaled[place]
            optimizer.step()
        self.clipped.append(norms[1] / norms[0])

    def result(self) -> dict[str, float]:
        moved = [
            float(torch.cat([(p - q).flatten() for p, q in zip(copy, self.start, strict=True)]).norm())
            for copy in self.copies
        ]
        return {
            "gradient": self.factors[1],
            "gradient_after_clipping": mean(self.clipped),
            "adamw_path": moved[1] / moved[0],
        }


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
