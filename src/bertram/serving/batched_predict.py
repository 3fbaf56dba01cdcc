"""Requests for different tasks of one model, in one packed pass."""

from collections.abc import Sequence
from itertools import islice

import torch

from bertram.data.examples import Batch, Examples, tokenize
from bertram.prediction.model import Model, Prediction, Predictor, Text, checked, predict, predictions

PredictRequest = tuple[str, Sequence[Text]]  # name of a task, and texts or pairs


def predict_together(model: Predictor, requests: Sequence[PredictRequest], limit: int) -> list[list[Prediction]]:
    """The predictions of each request.

    Args:
        model: a model or an ensemble; an ensemble computes each task separately.
        requests: requests for any tasks of the model.
        limit: maximum number of texts in one pass.

    Raises:
        BertramError: a text does not fit its task.
    """
    texts: dict[str, list[Text]] = {}
    for task, task_texts in requests:
        texts.setdefault(task, []).extend(task_texts)
    if isinstance(model, Model) and sum(map(len, texts.values())) <= limit:
        results = _one_pass(model, texts)
    else:
        results = {
            task: predict(model, task, task_texts, batch_size=max(limit, 16)) for task, task_texts in texts.items()
        }
    remaining = {task: iter(predictions) for task, predictions in results.items()}
    return [list(islice(remaining[task], len(task_texts))) for task, task_texts in requests]


@torch.inference_mode()
def _one_pass(model: Model, texts: dict[str, list[Text]]) -> dict[str, list[Prediction]]:
    batches: dict[str, list[Batch]] = {}
    for name, task_texts in texts.items():
        task = model.tasks[name]
        rows = [checked(task, number, text) for number, text in enumerate(task_texts)]
        ids = [str(number) for number in range(len(rows))]
        pieces = tokenize(rows, model.tokenizer)
        examples = Examples(task, ids, pieces, None, model.tokenizer, model.max_tokens)
        batches[name] = [examples.batch(range(len(rows)), swapped=swapped) for swapped in model.orders(task)]
    raw = iter(model.network([batch for task_batches in batches.values() for batch in task_batches]))
    results = {}
    for name, task_batches in batches.items():
        output = model.network.output(name)
        meaning = torch.stack([output.meaning(next(raw)) for _ in task_batches]).mean(0).cpu()
        results[name] = predictions(model.tasks[name], meaning)
    return results
