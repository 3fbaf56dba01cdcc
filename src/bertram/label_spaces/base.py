"""Base class of the label spaces.

A label space reads labels from files and writes predictions to files. It names the metrics and the trivial baselines
of its tasks, and describes a prediction to readers and to programs. It needs no PyTorch; what a network computes for a
label space is in `bertram.model.outputs`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal

from bertram.label_spaces.spelling import finite

Metric = Literal["accuracy", "f1", "pearson", "spearman", "micro_f1", "macro_f1", "subset_accuracy"]
Schema = dict[str, Any]


class LabelSpace(ABC):
    """The values that a label can take.

    A value is a class index, 0 or 1, a score in label units, or a set of labels as a number (`bertram.label_sets`).

    Attributes:
        dtype: NumPy type of the values.
        metrics: score name in a record -> name of the metric that computes it.
        main_metrics: score names that can be the main score; the first is the default.
        baselines: names of the trivial baselines.
        one_number: True if one raw output can tell the values apart, so that a similarity can be the output.
        numeric: True if values lie on a scale, so that an error has a size; False if they are right or wrong.
        is_set: True if a value is a set of labels, each with a probability of its own.
    """

    dtype: ClassVar[Literal["int64", "float64"]] = "int64"
    metrics: ClassVar[Mapping[str, str]]
    main_metrics: ClassVar[tuple[Metric, ...]]
    baselines: ClassVar[tuple[str, ...]]
    one_number: ClassVar[bool] = True
    numeric: ClassVar[bool] = False
    is_set: ClassVar[bool] = False

    @property
    def names(self) -> tuple[str, ...]:
        """Display names of the labels; empty for scores."""
        return ()

    @property
    def labels_from_data(self) -> bool:
        """True if the labels are those of the training rows, because the task names none."""
        return False

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Lowest and highest score; None for labels."""
        return None

    @property
    def ordered(self) -> bool:
        """True if the labels form a scale."""
        return False

    @property
    def threshold_count(self) -> int:
        """Number of thresholds of a decision: one for yes, one for each of several labels; 0 for others."""
        return 0

    def faults(self) -> Iterator[str]:
        """The reasons why there is no such label space, for the author of a configuration."""
        yield from ()

    def labels_among(self, spellings: Iterable[str]) -> tuple[str, ...] | None:  # noqa: ARG002
        """Labels of the task, in order, where it names none but a file holds these spellings; None if it needs none."""
        return None

    @property
    @abstractmethod
    def description(self) -> str:
        """The possible predictions, in words."""

    @abstractmethod
    def reader(self) -> Callable[[object], float]:
        """A function from a label in a file to its value.

        It raises `Fault` for a label that is unknown, not a finite number or outside the range, and `NoLabel` for one
        that is missing. It remembers the spellings of one file, so each file needs its own.
        """

    @abstractmethod
    def fault(self, value: float) -> str | None:
        """The reason why a value is no prediction of this space; None if it is one."""

    @abstractmethod
    def written(self, value: float) -> str:
        """A value as text in a file of predictions."""

    def display(self, value: float) -> str:
        """A value as it is shown to people: the name of a label, or a score with at most six digits."""
        return self.names[int(value)] if self.names else f"{value:g}"

    def label(self, value: float) -> str | tuple[str, ...]:
        """The name of the label of a value, or the names of a set of labels."""
        return self.display(value)

    def external(self, value: float) -> int | float | tuple[int, ...]:
        """A value as predictions and their files hold it: a number, or the places of a set of labels."""
        return value

    def internal(self, external: object) -> float:
        """The value that `external` has written.

        Raises:
            ValueError: it is none.
        """
        return finite(external)

    @abstractmethod
    def answer_schema(self) -> Schema:
        """JSON schema of one prediction."""

    @abstractmethod
    def counts(self, values: Iterable[float]) -> dict[str, int] | None:
        """Number of values with each label; None for scores."""

    def balanced_weights(self, values: Iterable[float]) -> tuple[float, ...]:
        """Factors of the losses under which all labels count alike: rows / (labels · rows of the label).

        A label without a row has the factor 1; scores have no factors.
        """
        counts = list((self.counts(values) or {}).values())
        return tuple(sum(counts) / (len(counts) * count) if count else 1.0 for count in counts)

    @abstractmethod
    def constant(self, *, yes: bool) -> int | None:
        """The answer of the study's row 1 to every example: neutral, no (or yes); None if it draws scores at random."""


def object_schema(properties: Mapping[str, Any]) -> Schema:
    """JSON schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
