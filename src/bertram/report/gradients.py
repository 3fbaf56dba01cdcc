"""What metrics.jsonl says of gradients and perturbations, as arrays and curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Curve = Sequence[tuple[int, float | None]]  # step and value; None where it is undefined
Line = Mapping[str, Any]  # of metrics.jsonl


@dataclass(frozen=True)
class Conflicts:
    """All looks at the tasks' gradients in a run.

    Attributes:
        tasks: in the order of the arrays.
        steps: [looks].
        layers: names of the layers.
        by_layer: [looks, layers, tasks, tasks] cosines; nan where a gradient is zero.
        whole: [looks, tasks, tasks] cosines of the whole encoder's gradients.
        norms: [looks, tasks] of the whole encoder's gradients.
    """

    tasks: list[str]
    steps: NDArray[np.int64]
    layers: list[str]
    by_layer: Floats
    whole: Floats
    norms: Floats

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two tasks."""
        return list(combinations(range(len(self.tasks)), 2))

    def name(self, pair: tuple[int, int]) -> str:
        """Two tasks in words."""
        return " · ".join(self.tasks[number] for number in pair)

    def rate(self, pair: tuple[int, int]) -> float:
        """Share of the looks in which the whole encoder's gradients of two tasks were in conflict."""
        cosines = self.whole[:, *pair]
        known = cosines[~np.isnan(cosines)]
        return float((known < 0).mean()) if known.size else 0.0


def conflicts(lines: Iterable[Line], encoder_layers: int | None) -> Conflicts | None:
    """The looks at gradients; None if there are none.

    Args:
        lines: of metrics.jsonl.
        encoder_layers: how many the encoder has, to tell its pooler from a layer; None if that is not known.
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
        layers=[name for name, one in zip(names, used, strict=True) if one],
        by_layer=by_layer[:, used],
        whole=np.array([look["cosines"] for _, look in looks], dtype=np.float64),
        norms=np.array([look["norms"] for _, look in looks], dtype=np.float64),
    )


def loss_curves(lines: Iterable[Line], figure: str = "loss", *, of_loss: bool = False) -> dict[str, Curve]:
    """A logged figure of each task's steps, such as ``smart/penalty``; empty where no task has it.

    Args:
        lines: of metrics.jsonl.
        figure: its name.
        of_loss: as a share of the task's loss.
    """
    found: dict[str, list[tuple[int, float | None]]] = {}
    for line in lines:
        for task, figures in line.get("losses", {}).items():
            if figure in figures:
                value = figures[figure] / max(figures["loss"], 1e-30) if of_loss else figures[figure]
                found.setdefault(task, []).append((line["step"], value))
    return dict(found)


def dev_curves(lines: Iterable[Line]) -> dict[str, Curve]:
    """The main dev score of each task at each evaluation, and the overall score."""
    found: dict[str, list[tuple[int, float | None]]] = {}
    for line in lines:
        if "dev" in line:
            for name, value in {**line["dev"], "overall": line.get("overall")}.items():
                found.setdefault(name, []).append((line["step"], value))
    return {name: curve for name, curve in found.items() if name != "overall" or len(found) > 2}
