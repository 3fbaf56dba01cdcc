"""Requests for different tasks of one model, encoded in one packed pass."""

from collections.abc import Sequence
from itertools import islice

import torch

from bertram.data.examples import Batch, Examples, tokenize
from bertram.prediction.model import Model, Prediction, Predictor, Text, checked, predict, predictions

Asked = tuple[str, Sequence[Text]]  # a task and its texts or pairs


def predict_together(model: Predictor, asked: Sequence[Asked], most: int) -> list[list[Prediction]]:
    """The predictions of each request.

    Args:
        model: of an ensemble, each task is computed by itself.
        asked: requests for any of the model's tasks.
        most: texts that are encoded in one pass.

    Raises:
        BertramError: a text that cannot be predicted.
    """
    texts: dict[str, list[Text]] = {}
    for task, some in asked:
        texts.setdefault(task, []).extend(some)
    if isinstance(model, Model) and sum(map(len, texts.values())) <= most:
        found = _one_pass(model, texts)
    else:
        found = {task: predict(model, task, some, batch_size=max(most, 16)) for task, some in texts.items()}
    left = {task: iter(several) for task, several in found.items()}
    return [list(islice(left[task], len(some))) for task, some in asked]


@torch.inference_mode()
def _one_pass(model: Model, texts: dict[str, list[Text]]) -> dict[str, list[Prediction]]:
    batches: dict[str, list[Batch]] = {}
    for name, some in texts.items():
        task = model.tasks[name]
        rows = [checked(task, number, text) for number, text in enumerate(some)]
        ids = [str(number) for number in range(len(rows))]
        pieces = tokenize(rows, model.tokenizer)
        examples = Examples(task, ids, pieces, None, model.tokenizer, model.max_tokens)
        batches[name] = [examples.batch(range(len(rows)), swapped=swapped) for swapped in model.orders(task)]
    raw = iter(model.network([batch for several in batches.values() for batch in several]))
    found = {}
    for name, several in batches.items():
        output = model.network.output(name)
        meaning = torch.stack([output.meaning(next(raw)) for _ in several]).mean(0).cpu()
        found[name] = predictions(model.tasks[name], meaning)
    return found
