"""Predictions that are withheld because the model is not sure enough of them."""

from collections.abc import Sequence

from bertram.errors import BertramError
from bertram.label_spaces import LabelSpace, Schema
from bertram.prediction.answers import Prediction, entry
from bertram.runs.typed_json import JsonObject
from bertram.tasks import Task


def confidence(task: Task, prediction: Prediction) -> float | None:
    """Probability of what is predicted, of several labels that of the least sure one; None for a score."""
    probabilities = prediction.probabilities
    if probabilities is None:
        return None
    if not task.label_space.is_set:
        return probabilities[int(prediction.value)]
    present = set(prediction.value)
    return min(p if index in present else 1 - p for index, p in enumerate(probabilities))


def entries(task: Task, predictions: Sequence[Prediction], abstain_below: float | None = None) -> list[JsonObject]:
    """Predictions as the fields of JSON objects; those that are withheld have null as value and label.

    Args:
        task: task that is predicted.
        predictions: predictions for it.
        abstain_below: confidence below which a prediction is withheld; None: none is. Scores are never withheld.
    """
    plain = [entry(task, prediction) for prediction in predictions]
    if abstain_below is None or not task.class_names:
        return plain
    for fields, prediction in zip(plain, predictions, strict=True):
        sure = confidence(task, prediction)
        fields["abstained"] = sure is not None and sure < abstain_below
        if fields["abstained"]:
            fields["value"] = fields["label"] = None
    return plain


def check(tasks: Sequence[Task], abstain_below: float | None) -> None:
    """Refuse to withhold predictions where none has a probability, or at a confidence that is none.

    Raises:
        BertramError: the confidence is not between 0 and 1, or all tasks give scores.
    """
    if abstain_below is None:
        return
    if not 0 < abstain_below <= 1:
        raise BertramError(f"--abstain-below {abstain_below:g}: a confidence is above 0 and at most 1")
    if not any(task.class_names for task in tasks):
        names = ", ".join(task.name for task in tasks)
        raise BertramError(f"--abstain-below: {names} gives a score, which has no probability to be unsure by")


def schema(space: LabelSpace, abstain_below: float | None) -> Schema:
    """JSON schema of one entry."""
    answer = space.answer_schema()
    if abstain_below is None or not space.names:
        return answer
    properties = dict(answer["properties"])
    for name in ("value", "label"):
        properties[name] = {"anyOf": [properties[name], {"type": "null"}]}
    properties["abstained"] = {"type": "boolean"}
    return {**answer, "properties": properties, "required": list(properties)}
