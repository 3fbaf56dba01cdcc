"""Predictions, and the inputs that a task takes; without PyTorch."""

from dataclasses import dataclass
from typing import Any

from bertram.data.targets import without_marks
from bertram.data.texts import styled, text_of
from bertram.errors import BertramError, Fault
from bertram.prediction.frames import texts_in
from bertram.runs.typed_json import JsonObject
from bertram.tasks import Task

Text = str | tuple[str, str] | list[str]
Pieces = tuple[list[int], ...]  # token ids of the text or the two texts of an input, without special tokens


@dataclass(frozen=True)
class Prediction:
    """The prediction for one example.

    Attributes:
        value: class index, 0 or 1, score in label units, or the indices of several labels.
        probabilities: probability of each class (of no and yes) or label, in order; None for a score.
        label: display name of the class, or those of several labels; None for a score.
    """

    value: Any  # a number, or a tuple of indices: a type of both would refuse arithmetic on scores
    probabilities: tuple[float, ...] | None = None
    label: str | tuple[str, ...] | None = None


def checked_texts(tasks: dict[str, Task], name: str, inputs: Any) -> list[tuple[str, ...]]:
    """The normalized texts or pairs of some inputs.

    Args:
        tasks: tasks of the model.
        name: name of the task that is predicted.
        inputs: texts, pairs, or a table.

    Raises:
        BertramError: unknown task, or an input does not fit the task.
    """
    texts = texts_in(tasks, name, inputs)
    if name not in tasks:
        raise BertramError(f"unknown task {name!r}; choose one of {', '.join(tasks)}")
    if isinstance(texts, str):
        raise BertramError("texts must be a list; put a single text in a list")
    return [checked(tasks[name], number, text) for number, text in enumerate(texts)]


def checked(task: Task, number: int, text: Text) -> tuple[str, ...]:
    """The normalized text or texts of one input.

    Args:
        task: task that is predicted.
        number: number of the input, for the error message.
        text: a text or a pair.

    Raises:
        BertramError: the input does not fit the task.
    """
    texts = tuple(text) if isinstance(text, tuple | list) else (text,)
    if len(texts) != (2 if task.pair else 1) or not all(isinstance(part, str) for part in texts):
        expected = "a pair of texts" if task.pair else "one text"
        raise BertramError(f"input {number}: task {task.name} takes {expected}")
    try:
        prepared = tuple(styled(text_of(part, "text"), task.text_normalization, task.pair) for part in texts)
        if task.pools_target:
            for part in prepared:
                without_marks(part)
        return prepared
    except Fault as fault:
        raise BertramError(f"input {number}: {fault}") from None


def entry(task: Task, prediction: Prediction) -> JsonObject:
    """A prediction as the fields of a JSON object, probabilities with six digits."""
    if prediction.probabilities is None:
        return {"value": prediction.value}
    names = task.class_names
    return {
        "value": prediction.value,
        "label": prediction.label,
        "probabilities": {name: round(p, 6) for name, p in zip(names, prediction.probabilities, strict=True)},
    }
