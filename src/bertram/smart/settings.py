"""The parameters of SMART's penalty, and the unit of an offset."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

Unit = Literal["embedding-rms", "absolute"]
Variant = Literal["paper", "smart-pytorch"]


class SettingsError(ValueError):
    """One or more settings that cannot work, all reported at once.

    Args:
        problems: one line per setting.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        if len(self.problems) == 1:
            super().__init__(self.problems[0])
        else:
            lines = "\n".join(f"  - {problem}" for problem in self.problems)
            super().__init__(f"{len(self.problems)} problems:\n{lines}")


@dataclass(frozen=True)
class Settings:
    """The parameters of the penalty.

    Args:
        weight: lambda_s. At 0 nothing is computed and no random number drawn.
        radius: epsilon, the largest absolute value of a coordinate of the offset.
        noise_std: sigma, the standard deviation of the random start.
        step_size: eta, the largest change of a coordinate in one ascent step.
        steps: T_x, the number of ascent steps; with 0 the offset is the random start.
        unit: unit of radius, noise_std and step_size: the root mean square of the word embeddings, or absolute. The
            paper's epsilon = sigma = 1e-5 and eta = 1e-3 are absolute.
        variant: ``paper``, or ``smart-pytorch`` for what that package computes (`bertram.smart.public_variant`).

    Raises:
        SettingsError: some values cannot work; all of them are named.
    """

    weight: float = 1.0
    radius: float = 0.03
    noise_std: float = 0.003
    step_size: float = 0.3
    steps: int = 1
    unit: Unit = "embedding-rms"
    variant: Variant = "paper"

    def __post_init__(self) -> None:
        values = vars(self)
        problems = [
            f"{name} = {values[name]}: must be above 0"
            for name in ("radius", "step_size")
            if not 0 < values[name] < math.inf
        ]
        problems += [
            f"{name} = {values[name]}: must be 0 or more"
            for name in ("weight", "noise_std", "steps")
            if not 0 <= values[name] < math.inf
        ]
        if not isinstance(self.steps, int):
            problems.append(f"steps = {self.steps}: must be a whole number")
        problems += [
            f"{name} = {values[name]!r}: choose one of {', '.join(choices)}"
            for name, choices in (("unit", get_args(Unit)), ("variant", get_args(Variant)))
            if values[name] not in choices
        ]
        if problems:
            raise SettingsError(problems)

    def absolute(self, table: Tensor) -> "Settings":
        """Settings in absolute units, for a table of word embeddings [words, hidden]."""
        if self.unit == "absolute":
            return self
        rms = embedding_rms(table)
        return replace(
            self,
            radius=self.radius * rms,
            noise_std=self.noise_std * rms,
            step_size=self.step_size * rms,
            unit="absolute",
        )


def embedding_rms(table: Tensor) -> float:
    """Root mean square over all coordinates of a table of word embeddings [words, hidden]."""
    norm = torch.linalg.vector_norm(table.detach(), dtype=torch.promote_types(table.dtype, torch.float32))
    return float(norm) / math.sqrt(table.numel())
