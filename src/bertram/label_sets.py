"""The label space of multi-label tasks: any number of labels at once.

A value is a whole number whose binary digits say which labels are present: digit k, worth 2**k, stands for label k. So
a column of values is a column of numbers, as for all other label spaces. People and files see lists of labels.
"""

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from bertram.errors import Fault, NoLabel
from bertram.label_spaces import Classes, Metric, NamedLabels, Schema, YesNo, in_order, is_missing, object_schema

MOST_LABELS = 52  # a value must be exact as a float64
SEPARATORS = (";", "|", ",")
NO_LABEL = "(none)"


@dataclass(frozen=True)
class LabelSets(NamedLabels):
    """A set of labels, which may be empty.

    Attributes:
        labels: label values in the files, in order.
        display_names: display names; default: the labels.
        absent: values in a list of labels that stand for no label, such as the 0 that fills it up.
        separator: separator of the labels in a text; None: the semicolon, vertical bar or comma that the text has.
    """

    metrics: ClassVar[dict[str, str]] = {
        "micro_f1": "micro_f1",
        "macro_f1": "label_macro_f1",
        "subset_accuracy": "subset_accuracy",
    }
    main_metrics: ClassVar[tuple[Metric, ...]] = ("micro_f1", "macro_f1", "subset_accuracy")
    baselines: ClassVar[tuple[str, ...]] = ("majority", "frequent_labels", "every_label")
    one_number: ClassVar[bool] = False
    is_set: ClassVar[bool] = True

    absent: tuple[str, ...] = ()
    separator: str | None = None

    def labels_among(self, spellings: Iterable[str]) -> tuple[str, ...] | None:
        """All labels in these cells, if the task names none."""
        if self.labels:
            return None
        items: set[str] = set()
        for spelling in spellings:
            with suppress(Fault):  # the row is rejected when it is read with the labels
                items.update(self.items(spelling))
        return in_order(items - set(self.absent))

    @property
    def threshold_count(self) -> int:
        """Number of labels: one threshold for each."""
        return len(self.labels)

    @property
    def description(self) -> str:
        """The names of the labels."""
        return f"any of {' / '.join(self.names)}"

    def faults(self) -> Iterator[str]:
        """Too many labels, and labels that also stand for no label; no labels are those of the training file."""
        if len(self.labels) > MOST_LABELS:
            yield f"a multi-label task has at most {MOST_LABELS} labels; this one has {len(self.labels)}"
        for label in self.labels:
            if label in self.absent:
                yield f"absent_labels: {label!r} is one of the labels"
            if self.separator is not None and self.separator in label:
                yield f"label_separator: {self.separator!r} is part of the label {label!r}"

    def reader(self) -> Callable[[object], float]:
        """A function from a list, a text of labels, or a tuple of yes or no for each label, to a value."""
        index_of, present = Classes(self.labels, self.display_names).reader(), YesNo().reader()

        def read(cell: object) -> int:
            if isinstance(cell, tuple):
                return _of_columns(cell, self.labels, present)
            items = [item for item in self.items(cell) if item not in self.absent]
            return self.value_of_indices(int(index_of(item)) for item in items)

        return read

    def items(self, cell: object) -> list[str]:
        """The labels in a cell, as text.

        Raises:
            NoLabel: the cell is empty; an empty list is a set without labels.
            Fault: the cell is no list of labels.
        """
        if isinstance(cell, list):
            return _texts(cell)
        text = "" if cell is None else str(cell).strip()
        if is_missing(text) and not any(text.casefold() == name.casefold() for name in (*self.labels, *self.names)):
            raise NoLabel("no label")
        if text.startswith("[") and text.endswith("]"):
            return _texts(_parsed(text))
        separator = self.separator or next((mark for mark in SEPARATORS if mark in text), None)
        parts = [text] if separator is None or text in self.labels else text.split(separator)
        return [part.strip() for part in parts if part.strip()]

    def value_of_indices(self, indices: Iterable[int]) -> int:
        """The value of the set with the labels at these places."""
        return sum(1 << index for index in set(indices))

    def indices(self, value: float) -> tuple[int, ...]:
        """The places of the labels that a value has."""
        return tuple(index for index in range(len(self.labels)) if int(value) >> index & 1)

    def external(self, value: float) -> tuple[int, ...]:
        """The places of the labels."""
        return self.indices(value)

    def internal(self, external: object) -> float:
        """The value of a list of places, or of places in a text with a separator."""
        if isinstance(external, str):
            marks = external.strip().removeprefix("[").removesuffix("]")
            for separator in SEPARATORS:
                marks = marks.replace(separator, " ")
            external = marks.split()
        if not isinstance(external, list | tuple):
            raise ValueError(f"{external!r} is not a list of indices")
        places = []
        for place in external:
            if not str(place).isdecimal() or int(place) >= len(self.labels):
                raise ValueError(f"{place!r} is not an index from 0 to {len(self.labels) - 1}")
            places.append(int(place))
        return self.value_of_indices(places)

    def fault(self, value: float) -> str | None:
        """A whole number with no other digits than the labels'."""
        sets = 1 << len(self.labels)
        return (
            None if value == int(value) and 0 <= value < sets else f"{value:g} is no set of {len(self.labels)} labels"
        )

    def written(self, value: float) -> str:
        """The labels as they stand in the files, separated; an empty list where there are none."""
        labels = [self.labels[index] for index in self.indices(value)]
        return (self.separator or SEPARATORS[0]).join(labels) if labels else "[]"

    def label(self, value: float) -> tuple[str, ...]:
        """The names of the labels."""
        return tuple(self.names[index] for index in self.indices(value))

    def display(self, value: float) -> str:
        """The names of the labels, or that there are none."""
        return ", ".join(self.label(value)) or NO_LABEL

    def answer_schema(self) -> Schema:
        """Indices, names and the probability of each label."""
        share = {"type": "number", "minimum": 0, "maximum": 1}
        index = {"type": "integer", "minimum": 0, "maximum": len(self.names) - 1}
        return object_schema(
            {
                "value": {"type": "array", "items": index, "uniqueItems": True},
                "label": {"type": "array", "items": {"type": "string", "enum": list(self.names)}, "uniqueItems": True},
                "probabilities": object_schema(dict.fromkeys(self.names, share)),
            }
        )

    def counts(self, values: Iterable[float]) -> dict[str, int] | None:
        """Number of values with each label; a value counts for each of its labels."""
        counted = [0] * len(self.labels)
        for value in values:
            for index in self.indices(value):
                counted[index] += 1
        return dict(zip(self.names, counted, strict=True))

    def balanced_weights(self, values: Iterable[float]) -> tuple[float, ...]:
        """Factors of the present labels under which presence and absence count alike: rows without / rows with it."""
        rows = list(values)
        counts = self.counts(rows) or {}
        return tuple((len(rows) - count) / count if 0 < count < len(rows) else 1.0 for count in counts.values())

    def constant(self, *, yes: bool) -> int | None:
        """No label, or all."""
        return (1 << len(self.labels)) - 1 if yes else 0


def _of_columns(cells: Sequence[object], labels: Sequence[str], present: Callable[[object], float]) -> int:
    """The value of a row that has a cell for each label."""
    value, empty = 0, []
    for index, (cell, label) in enumerate(zip(cells, labels, strict=True)):
        try:
            value |= int(present(cell)) << index
        except NoLabel:
            empty.append(label)
        except Fault:
            raise Fault(f"the label {label} is {str(cell)[:40]!r}, which is neither yes nor no") from None
    if len(empty) == len(labels):
        raise NoLabel("no label")
    if empty:
        raise Fault(f"neither yes nor no for {', '.join(empty)}, but for the other labels")
    return value


def _parsed(text: str) -> list[Any]:
    """The list in a text, as JSON or Python write it, or with bare words."""
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(parsed, list):
            return parsed
    words = text[1:-1].split(",")
    if any(mark in text for mark in "'\""):
        raise Fault(f"{text[:40]!r} is not a list of labels")
    return [word.strip() for word in words if word.strip()]


def _texts(items: Sequence[object]) -> list[str]:
    if not all(isinstance(item, str | int | float) for item in items):
        raise Fault(f"{str(items)[:40]!r} is not a list of labels")
    return [str(item).strip() for item in items]
