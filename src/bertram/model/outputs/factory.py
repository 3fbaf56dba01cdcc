"""From the definition of a task to its kind of output."""

from collections.abc import Callable

from bertram.label_spaces import Classes, ScoreRange, YesNo
from bertram.model.outputs.base import Output
from bertram.model.outputs.bernoulli import Bernoulli
from bertram.model.outputs.bounded_score import BoundedScore, BoundedShare
from bertram.model.outputs.cosine import CosineEmbeddingScore, CosineEmbeddingYesNo, CosineScore
from bertram.model.outputs.ordinal import Ordinal
from bertram.model.outputs.softmax import Softmax
from bertram.tasks import Kind, Loss, Task


def output_of(task: Task) -> Output:
    """The kind of output of a task."""
    return OUTPUTS[task.kind, task.trained_by](task)


OUTPUTS: dict[tuple[Kind, Loss], Callable[[Task], Output]] = {
    ("class", "cross-entropy"): lambda task: Softmax(_classes(task)),
    ("class", "coral"): lambda task: Ordinal(_classes(task)),
    ("binary", "binary-cross-entropy"): lambda task: Bernoulli(_yes_no(task)),
    ("binary", "cosine-embedding"): lambda task: CosineEmbeddingYesNo(_yes_no(task), task.margin),
    ("score", "mse"): lambda task: BoundedScore(_range(task)),
    ("score", "binary-cross-entropy"): lambda task: BoundedShare(_range(task)),
    ("score", "cosine-mse"): lambda task: CosineScore(_range(task)),
    ("score", "cosine-embedding"): lambda task: CosineEmbeddingScore(_range(task), task.margin),
}


def _classes(task: Task) -> Classes:
    return Classes(task.labels, task.label_names)


def _yes_no(task: Task) -> YesNo:
    return YesNo(task.labels, task.label_names)


def _range(task: Task) -> ScoreRange:
    return ScoreRange(*task.range)
