"""A trained model: texts in, predictions out."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bertram.data.examples import Examples, make_examples
from bertram.data.tokenizer import Tokenizer
from bertram.errors import BertramError, RunError
from bertram.model.multitask import Multitask
from bertram.model.outputs import output_of
from bertram.prediction.answers import Prediction, Text, checked, checked_texts, entry
from bertram.prediction.frames import predict_frame
from bertram.tasks import Task

__all__ = ["Model", "Prediction", "Predictor", "Text", "checked", "entry", "predict", "predict_rows", "predictions"]


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
                `bertram.train` takes it. A task that pools its target wants it marked, ``<t>word</t>``, or a table with
                the task's columns of spans.
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
    rows = checked_texts(model.tasks, task, texts)
    return predict_rows(model, task, rows, batch_size) if rows else []


def predict_rows(model: Predictor, task: str, rows: Sequence[tuple[str, ...]], batch_size: int) -> list[Prediction]:
    """Predict normalized texts, or pairs of them.

    Args:
        model: a model or an ensemble.
        task: name of one of its tasks.
        rows: text or texts of each input, as `checked` gives them.
        batch_size: examples per batch.

    Raises:
        BertramError: an output is not finite.
    """
    ids = list(map(str, range(len(rows))))
    examples = make_examples(model.tasks[task], ids, rows, model.tokenizer, model.max_tokens)
    return predictions(model.tasks[task], model.outputs(examples, batch_size))


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


def _by_length(examples: Examples, batch_size: int) -> Iterator[list[int]]:
    """Batches of examples of similar length, so that attention needs little padding."""
    order = np.argsort(examples.lengths(), kind="stable")
    for begin in range(0, len(order), batch_size):
        yield order[begin : begin + batch_size].tolist()
