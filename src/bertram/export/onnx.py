"""ONNX graphs, one per task: token ids in, probabilities or scores out, for any number and length of inputs.

A packed batch has no fixed shapes, so the modules of the encoder compute on padded batches with a mask here.
"""

import json
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from bertram.errors import BertramError
from bertram.export.hf import save_tokenizer
from bertram.model.dropout import NO_DROPOUT
from bertram.model.encoders.base import TokenLayout
from bertram.model.heads import ComparingHead
from bertram.prediction.model import Model
from bertram.runs.typed_json import JsonObject
from bertram.tasks import Task

OPSET = 18
BLOCKED = -1e9  # added to the attention scores of padding; finite, because -inf - -inf is undefined
USAGE = """\
```python
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation({max_tokens})
tokenizer.enable_padding()


def tokens(texts, end=""):
    rows = tokenizer.encode_batch(texts)
    ids, mask, segments = zip(*((row.ids, row.attention_mask, row.type_ids) for row in rows))
    return {{
        "input_ids" + end: np.array(ids),
        "attention_mask" + end: np.array(mask),
        "token_type_ids" + end: np.array(segments),
    }}


def run(graph, inputs):
    session = onnxruntime.InferenceSession(graph)
    return session.run(None, {{entry.name: inputs[entry.name] for entry in session.get_inputs()}})[0]


{examples}```

A graph takes any number of examples of any length up to {max_tokens} tokens. `tasks.json` names each graph's inputs and
output, and the labels in the order of the probabilities.
"""


class Padded(nn.Module):
    """The model for one task, on padded batches.

    Args:
        model: model that is exported.
        task: task of the graph.
    """

    def __init__(self, model: Model, task: Task) -> None:
        super().__init__()
        self.task, self.pooling = task, model.network.pooling
        self.orders = _orders(model, task)
        self.encoder, self.head = model.network.encoder, model.network.head(task.name)
        self.output = self.head.output

    def forward(self, *inputs: Tensor) -> Tensor:
        """[n, K] probabilities or [n] scores in label units, from the [n, L] tensors that `input_names` lists."""
        if self.task.encodings_per_example == 2:
            return self.output.graph(self.compared(self.pooled(*inputs[:2]), self.pooled(*inputs[2:])))
        inputs_per_order = len(inputs) // self.orders
        orders = [
            self.joint(*inputs[start : start + inputs_per_order]) for start in range(0, len(inputs), inputs_per_order)
        ]
        return torch.stack([self.output.graph(raw) for raw in orders]).mean(0)

    def joint(self, token_ids: Tensor, mask: Tensor, segments: Tensor | None = None) -> Tensor:
        """Raw output of the head for inputs of one sequence each."""
        if self.task.compares:
            assert segments is not None
            hidden = self.encoder.encode(PaddedLayout(token_ids, mask, segments))
            return self.compared(_mean(hidden, mask * (1 - segments)), _mean(hidden, mask * segments))
        raw: Tensor = self.head(self.pooled(token_ids, mask, segments), NO_DROPOUT)
        return raw

    def compared(self, u: Tensor, v: Tensor) -> Tensor:
        """Raw output of the head for the vectors of two texts, given separately (a graph cannot halve a batch)."""
        assert isinstance(self.head, ComparingHead)
        return self.head.compared(u, v)

    def pooled(self, token_ids: Tensor, mask: Tensor, segments: Tensor | None = None) -> Tensor:
        """Pooled vectors, [n, H], from tensors [n, L] as in `PaddedLayout`."""
        hidden = self.encoder.encode(PaddedLayout(token_ids, mask, segments))
        if self.pooling == "mean":
            return _mean(hidden, mask)
        first = hidden[:, 0]
        if self.pooling != "pooler":
            return first
        assert self.encoder.pooler is not None
        return torch.tanh(self.encoder.pooler(first))


def _mean(hidden: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen tokens, [n, L, H] to [n, H]; zeros if no token is left after truncation."""
    weight = chosen[:, :, None].to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)


class PaddedLayout(TokenLayout):
    """Padded tokens.

    Args:
        token_ids: token ids, [n, L].
        mask: 1 for tokens, 0 for padding, [n, L].
        segments: segment ids, [n, L]; None: all 0.
    """

    def __init__(self, token_ids: Tensor, mask: Tensor, segments: Tensor | None = None) -> None:
        self.token_ids, self.dropout = token_ids, NO_DROPOUT
        self.segments = torch.zeros_like(token_ids) if segments is None else segments
        self.positions = torch.arange(token_ids.shape[1])
        self.blocked = (1 - mask[:, None, None, :].to(torch.float32)) * BLOCKED

    def places(self) -> Tensor:
        """0, 1, … up to the end of the longest sequence, [L]."""
        return self.positions

    def first_tokens(self, x: Tensor) -> Tensor:
        """The rows of the first token of each sequence, [n, H]."""
        return x[:, 0]

    def attend(self, query: Tensor, key_value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        """Attention within each sequence, [n, L, H]; rows of padding mean nothing."""
        width = query.shape[2] // heads

        def split(rows: Tensor) -> Tensor:
            return torch.unflatten(rows, 2, (heads, width)).transpose(1, 2)  # [n, heads, L, width]

        q, (key, value) = split(query), map(split, key_value.chunk(2, dim=2))
        blocked = self.blocked if bias is None else self.blocked + bias
        shares = torch.softmax(q @ key.transpose(2, 3) / math.sqrt(width) + blocked, dim=-1)
        return (shares @ value).transpose(1, 2).flatten(2)


def input_names(model: Model, task: Task) -> list[str]:
    """Names of the inputs of a graph.

    Ids and mask, and segments where encoder or head reads them and pairs are not bi-encoded; with ``_1`` and ``_2`` if
    two sequences are read.
    """
    apart = task.encodings_per_example == 2
    segments = not apart and (model.network.encoder.reads_segments or task.compares)
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if segments else [])
    return [name + end for end in (("_1", "_2") if apart or _orders(model, task) == 2 else ("",)) for name in names]


def _orders(model: Model, task: Task) -> int:
    """Number of orders in which the texts of an example are read in one sequence."""
    return 2 if model.both_orders and task.pair and task.encodings_per_example == 1 else 1


def save_graphs(model: Model, tasks: Sequence[Task], directory: Path) -> None:
    """Write a graph per task, the tokenizer, and `tasks.json` with the inputs and outputs of the graphs.

    Raises:
        BertramError: the exporter is not installed.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise BertramError(f"--format onnx needs {' and '.join(missing)}; run: pip install 'bertram[onnx]'")
    directory.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        _save_graph(model, task, directory / f"{task.name}.onnx")
    save_tokenizer(model, directory, segments=True)
    described = {task.name: _described(model, task) for task in tasks}
    text = json.dumps(described, indent=2, ensure_ascii=False)
    (directory / "tasks.json").write_text(text + "\n", encoding="utf-8")


def _save_graph(model: Model, task: Task, path: Path) -> None:
    names = input_names(model, task)
    examples = torch.export.Dim("examples")
    ends = {end: torch.export.Dim(f"tokens{end}", min=2, max=model.max_tokens) for end in ("", "_1", "_2")}
    sizes = tuple({0: examples, 1: ends[name[-2:] if name[-2:] in ends else ""]} for name in names)
    traced = tuple(torch.ones(3, 9 if name.endswith("_2") else 7, dtype=torch.long) for name in names)
    with _quietly(), torch.no_grad():
        torch.onnx.export(
            Padded(model, task).eval(),
            traced,
            str(path),
            input_names=names,
            output_names=[model.network.output(task.name).meaning_name],
            dynamic_shapes={"inputs": sizes},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress the log messages and warnings of the exporter."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _described(model: Model, task: Task) -> JsonObject:
    bounds = task.label_space.bounds
    return {
        "graph": f"{task.name}.onnx",
        "inputs": input_names(model, task),
        "output": model.network.output(task.name).meaning_name,
        "labels": list(task.class_names),
        "range": bounds and list(bounds),
    }


def usage(model: Model, tasks: Sequence[Task]) -> str:
    """Instructions for the graphs, for the model card."""
    lines = [f'{task.name} = run("{task.name}.onnx", {_example(model, task)})\n' for task in tasks]
    return USAGE.format(max_tokens=model.max_tokens, examples="".join(lines))


def _example(model: Model, task: Task) -> str:
    a, b = '"a lovely film"', '"a fine movie"'
    if not task.pair:
        return f"tokens([{a}])"
    if task.encodings_per_example == 2:
        return f'tokens([{a}], "_1") | tokens([{b}], "_2")'
    if model.both_orders:
        return f'tokens([({a}, {b})], "_1") | tokens([({b}, {a})], "_2")'
    return f"tokens([({a}, {b})])"
