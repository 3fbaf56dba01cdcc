"""Scores in a range."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from bertram.errors import Fault, NoLabel
from bertram.label_spaces.base import LabelSpace, Metric, Schema, object_schema
from bertram.label_spaces.spelling import as_text, is_missing, quoted, read_number


@dataclass(frozen=True)
class ScoreRange(LabelSpace):
    """A score from `low` to `high`."""

    dtype: ClassVar[Literal["int64", "float64"]] = "float64"
    metrics: ClassVar[Mapping[str, str]] = {name: name for name in ("pearson", "spearman", "mse", "mae")}
    main_metrics: ClassVar[tuple[Metric, ...]] = ("pearson", "spearman")
    baselines: ClassVar[tuple[str, ...]] = ("mean", "random")
    numeric: ClassVar[bool] = True

    low: float = 0.0
    high: float = 1.0

    def faults(self) -> Iterator[str]:
        """An empty range."""
        if not self.low < self.high:
            yield "range must be [lowest, highest]"

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest score."""
        return self.low, self.high

    @property
    def description(self) -> str:
        """The range."""
        return f"a score from {self.low:g} to {self.high:g}"

    def reader(self) -> Callable[[object], float]:
        """A finite number in the range."""
        return self._read

    def _read(self, label: object) -> float:
        text = as_text(label)
        if is_missing(text):
            raise NoLabel("no label")
        try:
            score = read_number(text)
        except ValueError:
            raise Fault(f"the score {quoted(text)} is not a number") from None
        if not math.isfinite(score):
            raise Fault(f"the score {text} is not finite")
        if not self.low <= score <= self.high:
            raise Fault(f"the score {quoted(text)} is outside {self.low:g} to {self.high:g}")
        return score

    def fault(self, value: float) -> str | None:
        """A prediction may lie outside the range."""
        return None if math.isfinite(value) else f"{value} is not a finite number"

    def written(self, value: float) -> str:
        """The digits that give back the same number when read."""
        return repr(float(value))

    def answer_schema(self) -> Schema:
        """A number."""
        return object_schema({"value": {"type": "number", "description": f"from {self.low:g} to {self.high:g}"}})

    def counts(self, values: Iterable[float]) -> dict[str, int] | None:  # noqa: ARG002
        """None: scores have no labels."""
        return None

    def constant(self, *, yes: bool) -> int | None:  # noqa: ARG002
        """None: the study's row 1 draws scores at random."""
        return None
