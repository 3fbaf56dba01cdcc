"""The kinds of output by the names of a task's kind and loss."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bertram.model.outputs.base import Output
from bertram.task_kinds import KINDS, LOSSES, KindOfLabel, LossFacts, SpaceOf
from bertram.tasks import Task

Builder = Callable[[Any, Task], Output]  # label space of a task, and the task, to the output

OUTPUTS: dict[tuple[str, str], Builder] = {}


def output_of(task: Task) -> Output:
    """The kind of output of a task."""
    return OUTPUTS[task.kind, task.trained_by](task.label_space, task)


def register(
    kind: str,
    loss: str,
    build: Builder,
    *,
    label_space: SpaceOf | None = None,
    facts: LossFacts | None = None,
) -> None:
    """Make a kind of output known, so that tasks with this kind and loss can be configured, trained and predicted.

    Args:
        kind: name of the kind of label, as in a task's `kind`.
        loss: name of the loss, as in a task's `loss`; the first loss of a kind is its default.
        build: function from the label space of a task and the task to its output.
        label_space: function from a task to its label space; needed for a new kind of label only.
        facts: facts about a new loss; default: it takes neither a plain cosine nor the logits of a softmax.

    Raises:
        ValueError: the pair of kind and loss is registered already, or a new kind has no label space.
    """
    if (kind, loss) in OUTPUTS:
        raise ValueError(f"the kind {kind!r} with the loss {loss!r} is registered already")
    if kind not in KINDS and label_space is None:
        raise ValueError(f"the kind {kind!r} is new: it needs a label space")
    if label_space is not None:
        KINDS.setdefault(kind, KindOfLabel(label_space, ()))
    label_kind = KINDS[kind]
    if loss not in label_kind.losses:
        KINDS[kind] = replace(label_kind, losses=(*label_kind.losses, loss))
    LOSSES.setdefault(loss, facts or LossFacts())
    OUTPUTS[kind, loss] = build
