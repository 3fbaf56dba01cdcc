"""The choices of a task: kinds of label, losses, heads and encodings of a pair.

`bertram.model.outputs.register` adds kinds and losses; their classes are in `bertram.model.outputs`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from bertram.label_sets import LabelSets
from bertram.label_spaces import Classes, LabelSpace, ScoreRange, YesNo
from bertram.task_files import LabelledFile


@dataclass(frozen=True, eq=False)
class OneOf:
    """A text that must be a key of a table, for a field whose choices can grow.

    Attributes:
        table: table whose keys are the choices.
    """

    table: Mapping[str, object]

    @property
    def choices(self) -> tuple[str, ...]:
        """The choices, in the order of the table."""
        return tuple(self.table)

    def check(self, value: object) -> str:
        """The value itself; the error is that of a `Literal`."""
        if isinstance(value, str) and value in self.table:
            return value
        *first, last = map(repr, self.table)
        expected = f"{', '.join(first)} or {last}" if first else last
        raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """Validation by `check`."""
        return core_schema.no_info_plain_validator_function(self.check)


class LabelFields(Protocol):
    """The fields of a task that its label space is made of; `Task` describes them."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Label values in the files."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Display names of the labels."""

    @property
    def label_separator(self) -> str | None:
        """Separator of several labels."""

    @property
    def absent_labels(self) -> tuple[str, ...]:
        """Values that stand for no label."""

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest score."""

    @property
    def files(self) -> LabelledFile:
        """Files with their columns of labels."""


SpaceOf = Callable[[LabelFields], LabelSpace]


@dataclass(frozen=True)
class KindOfLabel:
    """Facts about the tasks of a kind that a configuration is checked with.

    Attributes:
        label_space: function from a task of the kind to its label space.
        losses: names of the losses that fit; the first is the default.
    """

    label_space: SpaceOf
    losses: tuple[str, ...]


@dataclass(frozen=True)
class LossFacts:
    """Facts about a loss that a configuration is checked with.

    Attributes:
        of_cosine: True if the loss takes the cosine of two texts itself, without scale and offset.
        of_softmax: True if the loss takes the logits of a softmax over classes.
        of_logits: True if the loss takes logits of probabilities, which a temperature can divide.
    """

    of_cosine: bool = False
    of_softmax: bool = False
    of_logits: bool = False


KINDS: dict[str, KindOfLabel] = {
    "class": KindOfLabel(lambda task: Classes(task.labels, task.label_names), ("cross-entropy", "coral")),
    "binary": KindOfLabel(
        lambda task: YesNo(task.labels, task.label_names), ("binary-cross-entropy", "cosine-embedding")
    ),
    "score": KindOfLabel(
        lambda task: ScoreRange(*task.range), ("mse", "binary-cross-entropy", "cosine-mse", "cosine-embedding")
    ),
    "multi-label": KindOfLabel(
        lambda task: LabelSets(
            task.labels or task.files.label_columns, task.label_names, task.absent_labels, task.label_separator
        ),
        ("binary-cross-entropy",),
    ),
}
LOSSES: dict[str, LossFacts] = {
    "cross-entropy": LossFacts(of_softmax=True, of_logits=True),
    "coral": LossFacts(of_logits=True),
    "binary-cross-entropy": LossFacts(of_logits=True),
    "mse": LossFacts(),
    "cosine-mse": LossFacts(of_cosine=True),
    "cosine-embedding": LossFacts(of_cosine=True),
}
Kind = Annotated[str, OneOf(KINDS)]
Loss = Annotated[str, OneOf(LOSSES)]
Head = Literal["linear", "mlp", "cosine", "dot", "euclidean", "manhattan", "features"]
Encoding = Literal["cross", "bi"]
SIMILARITIES: tuple[Head, ...] = ("cosine", "dot", "euclidean", "manhattan")
