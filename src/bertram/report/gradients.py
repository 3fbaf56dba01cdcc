"""Gradients and perturbations from metrics.jsonl, as arrays and curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Curve = Sequence[tuple[int, float | None]]  # step and value; None where it is undefined
Line = Mapping[str, Any]  # a line of metrics.jsonl


@dataclass(frozen=True)
class Conflicts:
    """All measurements of the tasks' gradients in a run.

    Attributes:
        tasks: names of the tasks, in the order of the arrays.
        steps: steps of the measurements, [measurements].
        layers: names of the layers.
        by_layer: cosines by layer, [measurements, layers, tasks, tasks]; nan if a gradient is zero.
        whole: cosines of the gradients of the whole encoder, [measurements, tasks, tasks].
        norms: norms of the gradients of the whole encoder, [measurements, tasks].
    """

    tasks: list[str]
    steps: NDArray[np.int64]
    layers: list[str]
    by_layer: Floats
    whole: Floats
    norms: Floats

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """All pairs of tasks, as positions in `tasks`."""
        return list(combinations(range(len(self.tasks)), 2))

    def name(self, pair: tuple[int, int]) -> str:
        """Names of a pair of tasks."""
        return " · ".join(self.tasks[number] for number in pair)

    def rate(self, pair: tuple[int, int]) -> float:
        """Share of the measurements in which the encoder gradients of two tasks had a negative cosine."""
        cosines = self.whole[:, *pair]
        defined = cosines[~np.isnan(cosines)]
        return float((defined < 0).mean()) if defined.size else 0.0


def conflicts(lines: Iterable[Line], encoder_layers: int | None) -> Conflicts | None:
    """The measurements of gradients; None if there are none.

    Args:
        lines: lines of metrics.jsonl.
        encoder_layers: number of encoder layers, to recognize the pooler; None if unknown.
    """
    looks = [(line["step"], line["conflicts"]) for line in lines if "conflicts" in line]
    if not looks:
        return None
    by_layer = np.array([[layer["cosines"] for layer in look["layers"]] for _, look in looks], dtype=np.float64)
    names = ["embeddings", *(f"layer {number}" for number in range(1, by_layer.shape[1]))]
    if encoder_layers is not None and len(names) == encoder_layers + 2:
        names[-1] = "pooler"
    used = np.atleast_1d(~np.isnan(by_layer).all(axis=(0, 2, 3)))  # a pooler that no task uses has no gradient
    return Conflicts(
        tasks=list(looks[0][1]["tasks"]),
        steps=np.array([step for step, _ in looks], dtype=np.int64),
        layers=[name for name, is_used in zip(names, used, strict=True) if is_used],
        by_layer=by_layer[:, used],
        whole=np.array([look["cosines"] for _, look in looks], dtype=np.float64),
        norms=np.array([look["norms"] for _, look in looks], dtype=np.float64),
    )


def loss_curves(lines: Iterable[Line], figure: str = "loss", *, of_loss: bool = False) -> dict[str, Curve]:
    """A logged figure for each task, such as ``smart/penalty``; empty if no task has it.

    Args:
        lines: lines of metrics.jsonl.
        figure: name of the figure.
        of_loss: divide the figure by the task's loss.
    """
    curves: dict[str, list[tuple[int, float | None]]] = {}
    for line in lines:
        for task, figures in line.get("losses", {}).items():
            if figure in figures:
                value = figures[figure] / max(figures["loss"], 1e-30) if of_loss else figures[figure]
                curves.setdefault(task, []).append((line["step"], value))
    return dict(curves)


def dev_curves(lines: Iterable[Line]) -> dict[str, Curve]:
    """The main dev score of each task at each evaluation, and the overall score."""
    curves: dict[str, list[tuple[int, float | None]]] = {}
    for line in lines:
        if "dev" in line:
            for name, value in {**line["dev"], "overall": line.get("overall")}.items():
                curves.setdefault(name, []).append((line["step"], value))
    return {name: curve for name, curve in curves.items() if name != "overall" or len(curves) > 2}
