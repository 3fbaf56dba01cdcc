"""Labels with names: classes, and yes or no."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from bertram.errors import Fault, NoLabel
from bertram.label_spaces.base import LabelSpace, Metric, Schema, object_schema
from bertram.label_spaces.spelling import as_number, as_text, in_order, is_missing, quoted

NO = ("0", "no", "false")
YES = ("1", "yes", "true")


@dataclass(frozen=True)
class NamedLabels(LabelSpace):
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


@dataclass(frozen=True)
class _Labels(NamedLabels):
    """Labels of which a row has one."""

    @property
    def description(self) -> str:
        """The names of the labels."""
        return " / ".join(self.names)

    def reader(self) -> Callable[[object], float]:
        """A label matches as it is written, else by its number (1.0 is 1), else by name without regard to case.

        What matches two labels, such as 1.100 the labels 1.1 and 1.10, matches none.
        """
        exact = {label: index for index, labels in enumerate(self._spellings()) for label in labels}
        numbers: dict[float | None, int | None] = {}
        for label, index in exact.items():
            number = as_number(label)
            numbers[number] = index if number is not None and numbers.get(number, index) == index else None
        spellings = [*exact.items(), *((name, index) for index, name in enumerate(self.names))]
        folded: dict[str, int | None] = {}
        for spelling, index in spellings:  # two labels that differ in case alone are told apart by case
            folded[spelling.casefold()] = index if folded.get(spelling.casefold(), index) == index else None
        values = dict(exact)  # grows by the other spellings of a file

        def read(label: object) -> int:
            text = as_text(label)
            value = values.get(text)
            if value is None:
                value = numbers.get(as_number(text))
                value = folded.get(text.casefold()) if value is None else value
                if value is None:
                    if is_missing(text):
                        raise NoLabel("no label")
                    raise Fault(f"the label {quoted(text)} is none of {', '.join(exact)}")
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
        """All spellings, if the task names no labels."""
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
        """All spellings, unless each is a usual word or number for no or yes."""
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
        """One threshold, that of yes."""
        return 1

    def _spellings(self) -> list[tuple[str, ...]]:
        return super()._spellings() or [NO, YES]

    def constant(self, *, yes: bool) -> int | None:
        """No, or yes."""
        return int(yes)
