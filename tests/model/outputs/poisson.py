"""A kind of output in one file: a count, by the logarithm of its Poisson rate."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from bertram import smart
from bertram.errors import Fault
from bertram.label_spaces import LabelSpace, Metric, Schema, object_schema
from bertram.model.outputs import Output, register
from bertram.smart.divergences import Reduction


@dataclass(frozen=True)
class Counts(LabelSpace):
    """A whole number from 0 on."""

    metrics: ClassVar[Mapping[str, str]] = {"spearman": "spearman", "mae": "mae"}
    main_metrics: ClassVar[tuple[Metric, ...]] = ("spearman",)
    baselines: ClassVar[tuple[str, ...]] = ("mean",)
    numeric: ClassVar[bool] = True

    @property
    def description(self) -> str:
        """The numbers."""
        return "a count"

    def reader(self) -> Callable[[object], float]:
        """A whole number."""
        return self._read

    def _read(self, label: object) -> float:
        text = str(label)
        if not text.isdecimal():
            raise Fault(f"{text!r} is no count")
        return int(text)

    def fault(self, value: float) -> str | None:
        """A rate may be any number from 0 on."""
        return None if value >= 0 else f"{value:g} is negative"

    def written(self, value: float) -> str:
        """A number."""
        return json.dumps(float(value))

    def answer_schema(self) -> Schema:
        """A number."""
        return object_schema({"value": {"type": "number", "minimum": 0}})

    def counts(self, values: Iterable[float]) -> dict[str, int] | None:  # noqa: ARG002
        """None: there are no labels."""
        return None

    def constant(self, *, yes: bool) -> int | None:  # noqa: ARG002
        """None."""
        return None


@dataclass(frozen=True)
class Poisson(Output):
    """The logarithm of the expected count."""

    space: Counts
    flat: ClassVar[bool] = True
    regression: ClassVar[bool] = True
    meaning_name: ClassVar[str] = "rate"

    @property
    def width(self) -> int:
        """One."""
        return 1

    def losses(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Minus the log-likelihood, without the term that has no gradient."""
        return F.poisson_nll_loss(raw.float(), labels.float(), reduction="none")

    def soft_losses(self, raw: Tensor, targets: Tensor) -> Tensor:
        """The same for an expected count."""
        return self.losses(raw, targets)

    def meaning(self, raw: Tensor) -> Tensor:
        """The expected count."""
        return raw.float().exp()

    def probabilities(self, meaning: Tensor) -> Tensor | None:  # noqa: ARG002
        """None."""
        return None

    def decide(self, meaning: Tensor) -> Tensor:
        """The expected count."""
        return meaning

    def divergence(self, p: Tensor, q: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Squared difference of the logarithms."""
        return smart.squared_difference(p, q, reduction=reduction)

    def formula(self, raw: str) -> str:
        """The rate."""
        return f"rate = exp({raw})"


def register_poisson() -> None:
    """Make tasks with kind "count" known."""
    register("count", "poisson", lambda space, _: Poisson(space), label_space=lambda _: Counts())
