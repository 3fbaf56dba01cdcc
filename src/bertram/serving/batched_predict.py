"""Tokenized inputs of any tasks of one model, predicted in one pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertram.data.examples import Batch, Examples, make_examples
from bertram.data.targets import Span, window
from bertram.prediction.load import Ensemble
from bertram.prediction.model import Model, Prediction, Predictor, Text, checked, predictions


@runtime_checkable
class MixedPredictor(Protocol):
    """A model that predicts tokenized inputs of several tasks at once: onnxruntime's."""

    def predict_mixed(self, inputs: Mapping[str, Sequence[tuple[list[int], ...]]]) -> dict[str, list[Prediction]]:
        """Predict inputs by task; a text that several tasks read is encoded once."""
        ...


@dataclass(frozen=True)
class Row:
    """One input, ready for the model.

    Attributes:
        task: name of its task.
        pieces: token ids of its text or texts, truncated to what the model can read.
        length: number of tokens before truncation, without special tokens.
        cost: number of tokens that the encoders read for it, over all members of an ensemble.
        targets: token span of each text's target, where the task pools it.
    """

    task: str
    pieces: tuple[list[int], ...]
    length: int
    cost: int
    targets: tuple[Span, ...] | None = None


def prepare(model: Predictor, task: str, texts: Sequence[Text]) -> list[Row]:
    """The texts or pairs of a request as rows, in order.

    Args:
        model: a model or an ensemble.
        task: name of one of its tasks.
        texts: texts or pairs.

    Raises:
        BertramError: a text does not fit the task.
    """
    definition = model.tasks[task]
    encoders = model.members if isinstance(model, Ensemble) else [model]
    longest = max(encoder.max_tokens for encoder in encoders)
    checked_texts = [checked(definition, number, text) for number, text in enumerate(texts)]
    if not checked_texts:
        return []
    ids = [str(number) for number in range(len(texts))]
    examples = make_examples(definition, ids, checked_texts, model.tokenizer, longest)
    rows = []
    costs = np.sum([_costs(encoder, examples) for encoder in encoders], axis=0).tolist()
    for number, (pieces, cost) in enumerate(zip(examples.pieces, costs, strict=True)):
        length = sum(map(len, pieces))
        if examples.targets is None:
            rows.append(Row(task, tuple(piece[:longest] for piece in pieces), length, cost))
        else:
            cut = [window(*pair, longest) for pair in zip(pieces, examples.targets[number], strict=True)]
            kept, targets = tuple(tokens for tokens, _ in cut), tuple(target for _, target in cut)
            rows.append(Row(task, kept, length, cost, targets))
    return rows


def _costs(encoder: Predictor, examples: Examples) -> NDArray[np.int64]:
    """Number of tokens that one encoder reads for each example, special tokens and both orders included, [n]."""
    task = encoder.tasks[examples.task.name]
    own = replace(examples, task=task, max_tokens=encoder.max_tokens)
    lengths = np.array([len(tokens) for tokens, _ in own.batch(range(len(own))).sequences])
    swapped = task.encodings_per_example == 1 and getattr(encoder, "both_orders", False) and task.pair
    costs: NDArray[np.int64] = lengths.reshape(-1, len(own)).sum(0) * (2 if swapped else 1)
    return costs


@torch.inference_mode()
def predict_rows(model: Predictor, rows: Sequence[Row]) -> list[Prediction]:
    """The predictions of rows of any tasks, in order.

    A model encodes all rows in one packed pass, an ensemble those of each task separately. Rows of a single task get
    exactly what `model.predict` gives for their texts as one batch; on onnxruntime all rows do.

    Raises:
        BertramError: an output is not finite.
    """
    places: dict[str, list[int]] = {}
    for place in sorted(range(len(rows)), key=lambda number: rows[number].length):
        places.setdefault(rows[place].task, []).append(place)
    if isinstance(model, MixedPredictor):
        answers = model.predict_mixed({task: [rows[n].pieces for n in chosen] for task, chosen in places.items()})
        by_place = {
            place: prediction
            for task, chosen in places.items()
            for place, prediction in zip(chosen, answers[task], strict=True)
        }
        return [by_place[place] for place in range(len(rows))]
    examples = {task: _examples(model, task, [rows[place] for place in chosen]) for task, chosen in places.items()}
    if isinstance(model, Model):
        outputs = _one_pass(model, examples)
    else:
        outputs = {task: model.outputs(part, len(part)) for task, part in examples.items()}
    results = {
        place: prediction
        for task, chosen in places.items()
        for place, prediction in zip(chosen, predictions(model.tasks[task], outputs[task]), strict=True)
    }
    return [results[place] for place in range(len(rows))]


def _examples(model: Predictor, task: str, rows: Sequence[Row]) -> Examples:
    ids = [str(number) for number in range(len(rows))]
    pieces = [row.pieces for row in rows]
    targets = [row.targets for row in rows if row.targets is not None] or None
    return Examples(model.tasks[task], ids, pieces, None, model.tokenizer, model.max_tokens, targets=targets)


def _one_pass(model: Model, examples: dict[str, Examples]) -> dict[str, Tensor]:
    """The outputs of each task's examples, [n, K] or [n]."""
    batches: dict[str, list[Batch]] = {
        name: [part.batch(range(len(part)), swapped=swapped) for swapped in model.orders(part.task)]
        for name, part in examples.items()
    }
    raw = iter(model.network([batch for task_batches in batches.values() for batch in task_batches]))
    return {
        name: torch.stack([model.network.output(name).meaning(next(raw)) for _ in task_batches]).mean(0).cpu()
        for name, task_batches in batches.items()
    }
