"""A trained model: texts in, predictions out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bertram.data.examples import Examples, make_examples
from bertram.data.rows import styled, text_of
from bertram.data.targets import without_marks
from bertram.data.tokenizer import Tokenizer
from bertram.errors import BertramError, Fault, RunError
from bertram.model.multitask import Multitask
from bertram.model.outputs import output_of
from bertram.prediction.frames import predict_frame, texts_in
from bertram.runs.typed_json import JsonObject
from bertram.tasks import Task

Text = str | tuple[str, str] | list[str]


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


class Predictor(Protocol):
    """The interface of a model and of an ensemble."""

    tasks: dict[str, Task]
    tokenizer: Tokenizer
    max_tokens: int

    def outputs(self, examples: Examples, batch_size: int = 64) -> Tensor:
        """[n, K] probabilities of the classes (of no and yes), or [n] scores in label units."""
        ...


class Model:
    """A trained multitask model with its tokenizer.

    Args:
        network: encoder and heads.
        tokenizer: tokenizer of the encoder.
        max_tokens: maximum sequence length in tokens; longer inputs are truncated.
        both_orders: read cross-encoded pairs in both orders and average the two outputs.
    """

    def __init__(self, network: Multitask, tokenizer: Tokenizer, max_tokens: int, *, both_orders: bool = False) -> None:
        self.network, self.tokenizer = network, tokenizer
        self.max_tokens, self.both_orders = max_tokens, both_orders
        self.tasks = network.tasks

    def predict(self, task: str, texts: Any, batch_size: int = 64) -> list[Prediction]:
        """Predict texts, or pairs of texts.

        Args:
            task: name of one of `self.tasks`.
            texts: strings, or pairs of strings for a pair task; or a table with the task's text columns, as
                `bertram.train` takes it. A task that pools its target wants it marked, ``<t>word</t>``.
            batch_size: examples per batch.

        Raises:
            BertramError: unknown task; a text in place of a pair, or the reverse; a text that is empty or holds a NUL
                byte or a lone surrogate.
        """
        return predict(self, task, texts, batch_size)

    def predict_frame(self, task: str, table: Any, batch_size: int = 64) -> Any:
        """A table with a column of predictions and one for each probability; see `frames.predict_frame`."""
        return predict_frame(self, task, table, batch_size)

    def orders(self, task: Task) -> tuple[bool, ...]:
        """The orders in which pairs are read: False for as they are, True for swapped."""
        return (False, True) if self.both_orders and task.pair and task.encoding == "cross" else (False,)

    @torch.inference_mode()
    def outputs(self, examples: Examples, batch_size: int = 64) -> Tensor:
        """[n, K] probabilities of the classes (of no and yes), or [n] scores in label units.

        Args:
            examples: examples of one task.
            batch_size: examples per batch.

        Raises:
            RunError: an output is not finite.
        """
        output = self.network.output(examples.task.name)
        swaps = self.orders(examples.task)
        outputs: list[Tensor] = []
        places: list[int] = []
        for chosen in _by_length(examples, batch_size):
            raw = [self.network([examples.batch(chosen, swapped=swap)])[0] for swap in swaps]
            outputs.append(torch.stack([output.meaning(logits) for logits in raw]).mean(0).cpu())
            places += chosen
        stacked = torch.cat(outputs)
        if not stacked.isfinite().all():
            raise RunError(
                f"task {examples.task.name}: outputs of the model are not finite; its weights are damaged, or its "
                "training diverged"
            )
        return torch.empty_like(stacked).index_copy_(0, torch.tensor(places), stacked)


def predict(model: Predictor, task: str, texts: Any, batch_size: int = 64) -> list[Prediction]:
    """Predict texts, or pairs of texts; see `Model.predict`."""
    texts = texts_in(model.tasks, task, texts)
    if task not in model.tasks:
        raise BertramError(f"unknown task {task!r}; choose one of {', '.join(model.tasks)}")
    if isinstance(texts, str):
        raise BertramError("texts must be a list; put a single text in a list")
    definition = model.tasks[task]
    rows = [checked(definition, number, text) for number, text in enumerate(texts)]
    if not rows:
        return []
    ids = list(map(str, range(len(rows))))
    examples = make_examples(definition, ids, rows, model.tokenizer, model.max_tokens)
    return predictions(definition, model.outputs(examples, batch_size))


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


def predictions(task: Task, outputs: Tensor) -> list[Prediction]:
    """Predictions from the result of `Predictor.outputs`.

    Raises:
        BertramError: an output is not finite.
    """
    if not torch.isfinite(outputs).all():
        raise BertramError(f"task {task.name}: the model's output is not finite; its weights are damaged")
    output = output_of(task)
    values, shares = output.decide(outputs).tolist(), output.probabilities(outputs)
    if shares is None:
        return [Prediction(value) for value in values]
    space = task.label_space
    return [
        Prediction(space.external(value), tuple(row), space.label(value))
        for value, row in zip(values, shares.tolist(), strict=True)
    ]


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


def _by_length(examples: Examples, batch_size: int) -> Iterator[list[int]]:
    """Batches of examples of similar length, so that attention needs little padding."""
    order = np.argsort(examples.lengths(), kind="stable")
    for begin in range(0, len(order), batch_size):
        yield order[begin : begin + batch_size].tolist()
