"""Conflicts between the tasks' gradients, and warnings about techniques that have no effect."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bertram import surgery
from bertram.config import Config
from bertram.data.examples import Batch
from bertram.runs.checkpoint import State
from bertram.runs.typed_json import JsonObject
from bertram.training.generators import Generators
from bertram.training.step import StepContext, StepReport, gramians_by_layer, task_gradients, word_rows

IDLE_SHARE = 1e-6  # of the loss: a penalty below it does nothing
IDLE_STEPS = 500  # without a conflict: surgery does nothing
ACT_ON_CONFLICT = ("pcgrad", "asymmetric")  # all other methods change gradients that agree, too


def conflicts(context: StepContext, batches: Sequence[Batch], generators: Generators) -> JsonObject:
    """Cosines and norms of the tasks' gradients, of the whole encoder and of each layer.

    Neither the weights nor the generators change, so that diagnostics do not change the run.

    Args:
        context: step context of the run.
        batches: a batch of each task.
        generators: random generators of the run.
    """
    drawn_from = (generators.dropout, generators.noise)
    states = [generator.get_state() for generator in drawn_from]
    gradients = task_gradients(context, batches, word_rows(context, batches))
    for generator, state in zip(drawn_from, states, strict=True):
        generator.set_state(state)
    return conflict_figures([batch.task for batch in batches], gramians_by_layer(context, gradients))


def conflict_figures(tasks: Sequence[str], layers: Sequence[Tensor]) -> JsonObject:
    """Cosines and norms of the tasks' gradients, of the whole encoder and of each layer.

    Args:
        tasks: names of the tasks.
        layers: Gramian of each layer, [T, T].
    """
    whole = torch.stack(list(layers)).sum(0)
    return {
        "tasks": list(tasks),
        "cosines": _rounded(surgery.cosines(whole)),
        "norms": _rounded(surgery.norms(whole)),
        "conflict_rate": surgery.conflict_rate(whole),
        "layers": [{"cosines": _rounded(surgery.cosines(g)), "norms": _rounded(surgery.norms(g))} for g in layers],
    }


def _rounded(values: Tensor) -> Any:
    """Plain numbers with six digits; undefined ones are null."""
    if values.ndim > 1:
        return [_rounded(row) for row in values]
    return [float(f"{value:.6g}") if value == value else None for value in values.tolist()]  # noqa: PLR0124 (NaN)


class Idle:
    """Notices techniques that are switched on and have no effect.

    Args:
        config: configuration of the run.
    """

    def __init__(self, config: Config) -> None:
        self.smart = bool(config.smart.tasks) and config.smart.weight > 0
        self.surgery = config.surgery.method in ACT_ON_CONFLICT and config.surgery.frequency == "step"
        self.peaceful = 0
        self.warned: list[str] = []

    def watch(self, report: StepReport) -> Iterator[str]:
        """Warnings after a step; each is given once."""
        if self.surgery and report.gramians:
            conflict = any(surgery.conflict_rate(gramian) > 0 for gramian in report.gramians)
            self.peaceful = 0 if conflict else self.peaceful + 1
            if self.peaceful >= IDLE_STEPS:
                yield from self._once(
                    "surgery", f"surgery does nothing: no two gradients were in conflict in {IDLE_STEPS} steps"
                )
        if self.smart:
            shares = [_share(figures) for figures in report.losses.values() if "smart/penalty" in figures]
            if shares and max(shares) < IDLE_SHARE:
                yield from self._once(
                    "smart",
                    f"SMART does nothing: its penalty is {max(shares):.1e} of the loss; use a larger smart.radius",
                )

        apart = [figures["rdrop/divergence"] for figures in report.losses.values() if "rdrop/divergence" in figures]
        if apart and max(apart) == 0:
            yield from self._once(
                "rdrop", "R-Drop does nothing: without dropout both passes are the same; use model.encoder_dropout"
            )

    def _once(self, technique: str, text: str) -> Iterator[str]:
        if technique not in self.warned:
            self.warned.append(technique)
            yield text

    def state_dict(self) -> State:
        """State for a checkpoint."""
        return {"peaceful": self.peaceful, "warned": self.warned}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.peaceful, self.warned = state["peaceful"], list(state["warned"])


def _share(figures: Mapping[str, float]) -> float:
    return figures["smart/penalty"] / max(figures["loss"], 1e-30)
