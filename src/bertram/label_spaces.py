"""Label spaces: classes, yes or no, scores.

A label space reads labels from files and writes predictions to files. It names the metrics and the trivial baselines
of its tasks, and describes a prediction to readers and to programs. It needs no PyTorch; what a network computes for a
label space is in `bertram.model.outputs`.
"""

import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bertram.errors import Fault, NoLabel

Metric = Literal["accuracy", "f1", "pearson", "spearman", "micro_f1", "macro_f1", "subset_accuracy"]
Schema = dict[str, Any]

MISSING = ("", "nan")  # how tables write a label that is not there
NO = ("0", "no", "false")
YES = ("1", "yes", "true")
_ZERO_FRACTION = re.compile(r"\.0+$")


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
        try:
            value = float(str(external))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{external!r} is not a finite number")
        return value

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


@dataclass(frozen=True)
class _Labels(LabelSpace):
    """Labels with names.

    Attributes:
        labels: label values in the files, in order.
        display_names: display names; default: the labels.
    """

    labels: tuple[str, ...] = ()
    display_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Display names of the labels."""
        return self.display_names or self.labels

    @property
    def labels_from_data(self) -> bool:
        """True if no labels are named."""
        return not self.labels

    @property
    def description(self) -> str:
        """The names of the labels."""
        return " / ".join(self.names)

    def reader(self) -> Callable[[object], float]:
        """A label matches as it is written, else by its number (1.0 is 1), else by name without regard to case."""
        exact = {label: index for index, labels in enumerate(self._spellings()) for label in labels}
        numbers = {as_number(label): index for label, index in exact.items() if as_number(label) is not None}
        spellings = [*exact.items(), *((name, index) for index, name in enumerate(self.names))]
        folded: dict[str, int | None] = {}
        for spelling, index in spellings:  # two labels that differ in case alone are told apart by case
            folded[spelling.casefold()] = index if folded.get(spelling.casefold(), index) == index else None
        values = dict(exact)  # grows by the other spellings of a file

        def read(label: object) -> int:
            text = _written(label)
            value = values.get(text)
            if value is None:
                value = numbers.get(as_number(text))
                value = folded.get(text.casefold()) if value is None else value
                if value is None:
                    if text.casefold() in MISSING:
                        raise NoLabel("no label")
                    raise Fault(f"the label {_short(text)} is none of {', '.join(exact)}")
                values[text] = value
            return value

        return read

    def _spellings(self) -> list[tuple[str, ...]]:
        return [(label,) for label in self.labels]

    def fault(self, value: float) -> str | None:
        """3.0 is as good a class as 3."""
        count = len(self.names)
        return None if value in range(count) else f"{value:g} is not a whole number from 0 to {count - 1}"

    def written(self, value: float) -> str:
        """An integer."""
        return f"{value:.0f}"

    def answer_schema(self) -> Schema:
        """Index, name and the probability of each label."""
        share = {"type": "number", "minimum": 0, "maximum": 1}
        return object_schema(
            {
                "value": {"type": "integer", "minimum": 0, "maximum": len(self.names) - 1},
                "label": {"type": "string", "enum": list(self.names)},
                "probabilities": object_schema(dict.fromkeys(self.names, share)),
            }
        )

    def counts(self, values: Iterable[float]) -> dict[str, int] | None:
        """Number of values with each label."""
        counted = Counter(int(value) for value in values)
        return {name: counted[index] for index, name in enumerate(self.names)}


@dataclass(frozen=True)
class Classes(_Labels):
    """One of two or more classes."""

    metrics: ClassVar[Mapping[str, str]] = {"accuracy": "accuracy", "f1": "macro_f1"}
    main_metrics: ClassVar[tuple[Metric, ...]] = ("accuracy", "f1")
    baselines: ClassVar[tuple[str, ...]] = ("majority",)
    one_number: ClassVar[bool] = False

    def faults(self) -> Iterator[str]:
        """A single label; no labels are those of the training file."""
        if len(self.labels) == 1:
            yield 'a class task needs at least two labels, for example labels = ["neg", "pos"]'

    def labels_among(self, spellings: Iterable[str]) -> tuple[str, ...] | None:
        """All of them, if the task names none."""
        return None if self.labels else in_order(spellings)

    @property
    def ordered(self) -> bool:
        """True if the labels are consecutive whole numbers, as those of a scale."""
        if not all(label.isdecimal() for label in self.labels):
            return False
        return [int(label) - int(self.labels[0]) for label in self.labels] == list(range(len(self.labels)))

    def constant(self, *, yes: bool) -> int | None:  # noqa: ARG002
        """The middle class."""
        return len(self.labels) // 2


@dataclass(frozen=True)
class YesNo(_Labels):
    """No (0) or yes (1)."""

    metrics: ClassVar[Mapping[str, str]] = {"accuracy": "accuracy", "f1": "f1"}
    main_metrics: ClassVar[tuple[Metric, ...]] = ("accuracy", "f1")
    baselines: ClassVar[tuple[str, ...]] = ("majority", "always_no", "always_yes")

    def faults(self) -> Iterator[str]:
        """Labels that are not two."""
        if self.labels and len(self.labels) != 2:
            yield "a binary task has two labels, the first means no and the second yes"

    def labels_among(self, spellings: Iterable[str]) -> tuple[str, ...] | None:
        """All of them, unless they are the usual words or numbers for no and yes, in every spelling."""
        read = self.reader()
        unusual = False
        for spelling in (spellings := list(spellings)):
            try:
                read(spelling)
            except Fault:
                unusual = True
        return in_order(spellings) if unusual and not self.labels else None

    @property
    def names(self) -> tuple[str, ...]:
        """Display names of no and yes."""
        return self.display_names or self.labels or ("no", "yes")

    @property
    def threshold_count(self) -> int:
        """One, for yes."""
        return 1

    def _spellings(self) -> list[tuple[str, ...]]:
        return super()._spellings() or [NO, YES]

    def constant(self, *, yes: bool) -> int | None:
        """No, or yes."""
        return int(yes)


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
        text = _written(label)
        if text.casefold() in MISSING:
            raise NoLabel("no label")
        try:
            score = float(text)
        except ValueError:
            raise Fault(f"the score {_short(text)} is not a number") from None
        if not math.isfinite(score):
            raise Fault(f"the score {text} is not finite")
        if not self.low <= score <= self.high:
            raise Fault(f"the score {_short(text)} is outside {self.low:g} to {self.high:g}")
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


def object_schema(properties: Mapping[str, Any]) -> Schema:
    """JSON schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _written(label: object) -> str:
    return "" if label is None else str(label).strip()


def in_order(spellings: Iterable[str]) -> tuple[str, ...]:
    """Different labels, in the order of their numbers if all are numbers (1.0 is 1), else of their characters."""
    texts = sorted(set(spellings), key=lambda text: (-len(text), text))
    try:
        numbers = {float(text): _ZERO_FRACTION.sub("", text) for text in texts}  # the shortest spelling stays
    except ValueError:
        return tuple(sorted(texts))
    return (
        tuple(numbers[number] for number in sorted(numbers))
        if all(map(math.isfinite, numbers))
        else tuple(sorted(texts))
    )


def as_number(text: str) -> float | None:
    """The number a label is; true and false, as some formats write yes and no, are 1 and 0."""
    try:
        number = float({"true": "1", "false": "0"}.get(text.casefold(), text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
