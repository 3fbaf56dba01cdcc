"""Graphs for ONNX runtimes: one a task, from token ids to probabilities or scores, for any number and length.

Packing has no fixed shapes to write down, so the encoder is said again here on padded batches with a mask; its
modules and weights are the model's own.
"""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.errors import BertramError
from bertram.export.hf import save_tokenizer
from bertram.model import losses
from bertram.model.dropout import NO_DROPOUT
from bertram.model.encoder import Encoder, Layer
from bertram.model.predict import Model
from bertram.tasks import Task

OPSET = 18
INPUTS = ("input_ids", "attention_mask", "token_type_ids")

USAGE = """\
```python
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_padding()
tokenizer.enable_truncation({max_tokens})
session = onnxruntime.InferenceSession("{name}.onnx")


def inputs(texts, suffix=""):
    encoded = tokenizer.encode_batch(texts)
    return {{
        "input_ids" + suffix: np.array([one.ids for one in encoded]),
        "attention_mask" + suffix: np.array([one.attention_mask for one in encoded]),
        "token_type_ids" + suffix: np.array([one.type_ids for one in encoded]),
    }}


{example}
```
"""


class Padded(nn.Module):
    """The model for one task on padded batches.

    Args:
        model: whose weights are used.
        task: which of its tasks.
    """

    def __init__(self, model: Model, task: Task) -> None:
        super().__init__()
        self.task, self.pooling = task, model.network.pooling
        self.encoder, self.head = model.network.encoder, model.network.head(task.name)
        self.both_orders = sequences(model, task) == 2 and task.encoding == "cross"

    def forward(self, *inputs: Tensor) -> Tensor:
        """Three tensors [n, L] a sequence, in the order of `INPUTS`, to [n, K] probabilities or [n] scores."""
        vectors = [self.pooled(*inputs[start : start + 3]) for start in range(0, len(inputs), 3)]
        if self.both_orders:
            return torch.stack([self.meaning(vector) for vector in vectors]).mean(0)
        return self.meaning(torch.cat(vectors))

    def pooled(self, token_ids: Tensor, mask: Tensor, segments: Tensor) -> Tensor:
        """[n, L] three times to [n, H]."""
        hidden = encode(self.encoder, token_ids, mask, segments)
        if self.pooling == "mean":
            real = mask[:, :, None].to(hidden.dtype)
            return (hidden * real).sum(1) / real.sum(1)
        first = hidden[:, 0]
        return torch.tanh(self.encoder.pooler(first)) if self.pooling == "pooler" else first

    def meaning(self, pooled: Tensor) -> Tensor:
        """Probabilities, or scores in label units."""
        raw = self.head(pooled, NO_DROPOUT)
        return losses.scores(self.task, raw) if self.task.kind == "score" else losses.probabilities(self.task, raw)


def encode(encoder: Encoder, token_ids: Tensor, mask: Tensor, segments: Tensor) -> Tensor:
    """The last hidden states of padded sequences.

    Args:
        encoder: whose weights are used.
        token_ids: [n, L].
        mask: [n, L] 1 for real tokens, 0 for padding.
        segments: [n, L].

    Returns:
        [n, L, H]; rows of padding mean nothing.
    """
    positions = encoder.positions[: token_ids.shape[1]]
    x = F.embedding(token_ids, encoder.words) + positions + F.embedding(segments, encoder.segments)
    x = encoder.norm(x)
    blocked = (1.0 - mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
    for layer in encoder.layers:
        assert isinstance(layer, Layer)
        x = layer.mix_norm(x + layer.mix(_attend(layer, x, blocked)))
        x = layer.norm(x + layer.down(F.gelu(layer.up(x))))
    states: Tensor = x
    return states


def _attend(layer: Layer, x: Tensor, blocked: Tensor) -> Tensor:
    n, length, hidden = x.shape
    width = hidden // layer.heads

    def split(rows: Tensor) -> Tensor:
        return rows.reshape(n, length, layer.heads, width).transpose(1, 2)  # [n, heads, L, width]

    q, (k, v) = split(layer.query(x)), (split(part) for part in layer.key_value(x).chunk(2, dim=-1))
    scores = q @ k.transpose(2, 3) / math.sqrt(width) + blocked
    return (torch.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(n, length, hidden)


def sequences(model: Model, task: Task) -> int:
    """How many sequences a graph reads for an example: two for texts apart, and for a pair in both orders."""
    if not task.pair:
        return 1
    return 2 if task.encoding == "bi" or model.both_orders else 1


def save_graphs(model: Model, tasks: list[Task], directory: Path) -> None:
    """Write a graph for each task, the tokenizer, and `tasks.json`, which says what the graphs read and mean.

    Raises:
        BertramError: the exporter is not installed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        _save_graph(model, task, directory / f"{task.name}.onnx")
    save_tokenizer(model, directory)
    described = {task.name: _described(model, task) for task in tasks}
    text = json.dumps(described, indent=2, ensure_ascii=False)
    (directory / "tasks.json").write_text(text + "\n", encoding="utf-8")


def _save_graph(model: Model, task: Task, path: Path) -> None:
    names = input_names(model, task)
    dynamic = {0: torch.export.Dim("examples"), 1: torch.export.Dim("tokens", min=2, max=model.max_tokens)}
    example = torch.ones(3, 7, dtype=torch.long)
    network = Padded(model, task).eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter to its authors
            torch.onnx.export(
                network,
                tuple(example for _ in names),
                str(path),
                input_names=names,
                output_names=[output_name(task)],
                dynamic_shapes={"inputs": tuple(dynamic for _ in names)},
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except ImportError as error:
        raise BertramError(f"--format onnx needs {error.name}; run: pip install 'bertram[onnx]'") from None


def input_names(model: Model, task: Task) -> list[str]:
    """What a graph reads; the second sequence's inputs end in ``_2``."""
    return [name + suffix for suffix in ("", "_2")[: sequences(model, task)] for name in INPUTS]


def output_name(task: Task) -> str:
    """What a graph gives."""
    return "score" if task.kind == "score" else "probabilities"


def _described(model: Model, task: Task) -> dict[str, Any]:
    order = {1: "the text" if not task.pair else "the pair"}
    if sequences(model, task) == 2:
        order = {1: "the first text", 2: "the second text"} if task.encoding == "bi" else {1: "(a, b)", 2: "(b, a)"}
    return {
        "graph": f"{task.name}.onnx",
        "inputs": input_names(model, task),
        "sequences": list(order.values()),
        "output": output_name(task),
        "labels": list(task.label_names),
        "range": list(task.range) if task.kind == "score" else None,
        "max_tokens": model.max_tokens,
    }


def usage(model: Model, task: Task) -> str:
    """How to use a graph, for the card."""
    a, b = '"How do I learn the piano?"', '"What is a good way to start piano?"'
    if not task.pair:
        feed = 'inputs(["a lovely film"])'
    elif sequences(model, task) == 1:
        feed = f"inputs([({a}, {b})])"
    elif task.encoding == "bi":
        feed = f'inputs([{a}]) | inputs([{b}], "_2")'
    else:
        feed = f'inputs([({a}, {b})]) | inputs([({b}, {a})], "_2")'
    example = f"[{output_name(task)}] = session.run(None, {feed})"
    return USAGE.format(max_tokens=model.max_tokens, name=task.name, example=example)
