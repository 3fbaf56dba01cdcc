"""ONNX graphs with the encoder once and the heads of all tasks, written by running the modules of the model on symbols.

Two forms: an exported graph reads padded sequences with a mask, and has an answer for each example; the graphs of an
engine read sequences of one length, and pairs of what they make of two sequences.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from bertram.model.dropout import NO_DROPOUT
from bertram.model.encoders.layout import TokenLayout
from bertram.model.heads import ComparingHead, TaskHead
from bertram.model.multitask import Multitask
from bertram.prediction.engines.onnx_graph import RUNTIME_DOMAIN, OnnxGraph
from bertram.prediction.engines.reading import ROWS, SEQUENCES, GraphTask, reads_two_rows
from bertram.prediction.engines.symbols import Symbol, Trace
from bertram.prediction.model import Model
from bertram.tasks import Task

BLOCKED = -1e9  # added to the attention scores of padding; finite, because -inf - -inf is undefined
SIZES = (3, 7)  # sequences and tokens of the shapes that go with a trace; both vary in the graph
EXAMPLES = 5  # the same for examples of two sequences


class SymbolicLayout(TokenLayout):
    """Tokens of a graph, [n, L].

    Args:
        trace: graph that is written.
        segments: True for an input of segment ids; False: all are 0.
        padded: True for an input that tells padding from tokens.
        fused: True to compute attention by onnxruntime's own operator.
    """

    def __init__(self, trace: Trace, *, segments: bool, padded: bool, fused: bool) -> None:
        self.trace, self.dropout, self.fused = trace, NO_DROPOUT, fused

        def read(name: str) -> Tensor:
            return cast(Tensor, trace.symbol(trace.graph.input(name, SEQUENCES), *SIZES, dtype=torch.int64))

        self.token_ids = read("input_ids")
        self.mask = read("attention_mask") if padded else None
        self.segments = read("token_type_ids") if segments else torch.zeros_like(self.token_ids)
        add, number = trace.graph.add, trace.graph.constant
        length = add("Gather", [add("Shape", [_name(self.token_ids)]), number(1, "int64")])
        positions = add("Range", [number(0, "int64"), length, number(1, "int64")])
        self.positions = cast(Tensor, trace.symbol(positions, SIZES[1], dtype=torch.int64))
        self.blocked: Tensor | None = None
        if self.mask is not None:
            self.blocked = (1 - self.mask[:, None, None, :].to(torch.float32)) * BLOCKED
            self.mask32 = str(add("Cast", [_name(self.mask)], to=6)) if fused else ""

    def places(self) -> Tensor:
        """0, 1, … up to the end of the longest sequence, [L]."""
        return self.positions

    def first_tokens(self, x: Tensor) -> Tensor:
        """The rows of the first token of each sequence, [n, 1, H]."""
        return x[:, :1]

    def attend(self, query: Tensor, key_value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        """Attention within each sequence, [n, L, H]; rows of padding mean nothing."""
        if bias is not None and query.shape[1] != key_value.shape[1]:  # for the first tokens only
            bias = bias[:, :1]
        if self.fused:
            return self._attend_fused(query, key_value, heads, bias)
        width = query.shape[2] // heads

        def split(rows: Tensor) -> Tensor:
            return torch.unflatten(rows, 2, (heads, width)).transpose(1, 2)  # [n, heads, L, width]

        q, (key, value) = split(query), map(split, key_value.chunk(2, dim=2))
        scores = q @ key.transpose(2, 3) / math.sqrt(width)
        for added in (bias, self.blocked):
            scores = scores if added is None else scores + added
        return (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)

    def _attend_fused(self, query: Tensor, key_value: Tensor, heads: int, bias: Tensor | None) -> Tensor:
        key, value = key_value.chunk(2, dim=2)
        inputs = [_name(query), _name(key), _name(value), "", self.mask32 if self.mask is not None else ""]
        inputs += [_name(bias[None])] if bias is not None else []
        while not inputs[-1]:
            inputs.pop()
        result = self.trace.graph.add("MultiHeadAttention", inputs, domain=RUNTIME_DOMAIN, num_heads=heads)
        return cast(Tensor, Symbol(self.trace, result, cast(Any, query).meta))

    def mean(self, hidden: Tensor, segment: int | None = None) -> Tensor:
        """Mean over the tokens of each sequence or of one of its texts, [n, L, H] to [n, H]; zeros without a token.

        The sum is a product: onnxruntime's sums over an axis add up in another order if there is only one sequence, so
        that the last digits would depend on the sequences beside it.
        """
        chosen = torch.ones_like(self.token_ids) if self.mask is None else self.mask
        if segment is not None:
            chosen = chosen * (self.segments if segment else 1 - self.segments)
        weight = chosen[:, None, :].to(hidden.dtype)
        return (weight @ hidden)[:, 0] / weight.sum(2).clamp(min=1)


@dataclass(frozen=True)
class States:
    """The result of the encoder that heads read.

    Attributes:
        pooled: pooled vectors, [n, H].
        texts: mean over the tokens of each text, two of [n, H]; None where no head reads them.
    """

    pooled: Tensor
    texts: tuple[Tensor, Tensor] | None

    def at(self, places: Tensor) -> "States":
        """The states of some sequences."""
        texts = None if self.texts is None else (self.texts[0][places], self.texts[1][places])
        return States(self.pooled[places], texts)


def exported_graph(
    model: Model,
    tasks: Sequence[Task],
    *,
    int8: Collection[str] = (),
    levels: int = 127,
    metadata: Mapping[str, str] | None = None,
) -> Any:
    """A graph that answers the examples of some tasks, as an ONNX model.

    Args:
        model: trained model, on the CPU.
        tasks: tasks whose answers the graph gives.
        int8: names of the encoder's weights that are stored and multiplied in int8.
        levels: largest int8 weight.
        metadata: properties that the file has beside the graph.

    Raises:
        BertramError: a task cannot be exported, or the package onnx is not installed.
    """
    trace = _trace(model, int8, levels)
    layout = SymbolicLayout(trace, segments=needs_segments(model, tasks), padded=True, fused=bool(int8))
    described = [graph_task(model, task) for task in tasks]
    examples = []
    if any(part.rows == 2 for part in described):
        examples = [trace.symbol(trace.graph.input(name, ("examples",)), EXAMPLES, dtype=torch.int64) for name in ROWS]
    states = _states(model.network, tasks, layout)
    _output(trace, "pooled", states.pooled, "sequences")
    for task, part in zip(tasks, described, strict=True):
        head = model.network.head(task.name)
        if part.rows == 1:
            meaning = head.output.graph(_raw(head, task, states))
        else:
            meaning = _answer(head, task, *(states.at(cast(Tensor, places)) for places in examples))
        _answer_outputs(trace, head, part, meaning)
    return trace.graph.model(dict(metadata or {}))


def engine_graph(model: Model, tasks: Sequence[Task], *, int8: Collection[str] = (), levels: int = 127) -> Any:
    """A graph from sequences of one length to pooled states, and to an answer for each sequence, as an ONNX model.

    Args:
        model: trained model, on the CPU.
        tasks: tasks of the model.
        int8: names of the encoder's weights that are stored and multiplied in int8.
        levels: largest int8 weight.
    """
    trace = _trace(model, int8, levels)
    layout = SymbolicLayout(trace, segments=needs_segments(model, tasks), padded=False, fused=True)
    states = _states(model.network, tasks, layout)
    _output(trace, "pooled", states.pooled, "sequences")
    for task in tasks:
        if task.encodings_per_example == 1:
            head, part = model.network.head(task.name), engine_task(model, task)
            meaning = head.output.graph(_raw(head, task, states))
            if part.rows == 1:
                _answer_outputs(trace, head, part, meaning)
            else:
                _output(trace, part.reads, meaning, "sequences")
    return trace.graph.model({})


def pairs_graph(model: Model, tasks: Sequence[Task]) -> Any | None:
    """A graph from what `engine_graph` makes of two sequences to the answers of tasks that read two; None without any.

    Args:
        model: trained model, on the CPU.
        tasks: tasks of the model.
    """
    trace = _trace(model, (), 127)
    hidden = model.network.encoder.config.hidden
    for task in tasks:
        head, part = model.network.head(task.name), engine_task(model, task)
        if part.rows == 1:
            continue
        sizes = [hidden] if task.encodings_per_example == 2 else list(_meaning_shape(head))
        states = []
        for number in range(2):
            name = trace.graph.input(f"{task.name}.{number}", (_examples_of(task), *sizes), integer=False)
            states.append(cast(Tensor, trace.symbol(name, EXAMPLES, *sizes)))
        if task.encodings_per_example == 2:
            assert isinstance(head, ComparingHead)
            meaning = head.output.graph(head.compared(*states))
        else:
            meaning = torch.stack(states).mean(0)
        _answer_outputs(trace, head, part, meaning, _examples_of(task))
    return trace.graph.model({}) if trace.graph.nodes else None


def graph_task(model: Model, task: Task) -> GraphTask:
    """The place of a task in an exported graph."""
    meaning = model.network.output(task.name).meaning_name
    rows = 2 if reads_two_rows(task, both_orders=model.both_orders) else 1
    return GraphTask(f"{task.name}.{meaning}", f"{task.name}.value", rows)


def engine_task(model: Model, task: Task) -> GraphTask:
    """The place of a task in the graphs of an engine."""
    part = graph_task(model, task)
    if part.rows == 1:
        return part
    return replace(part, reads="pooled" if task.encodings_per_example == 2 else f"{task.name}.each")


def needs_segments(model: Model, tasks: Sequence[Task]) -> bool:
    """Whether the encoder or a head reads the segments of the tokens."""
    return model.network.encoder.reads_segments or any(task.compares_within for task in tasks)


def int8_parts(model: Model) -> dict[str, list[str]]:
    """Part of the encoder -> names of its weights that can be in int8: the embeddings, three parts of each layer."""
    parts: dict[str, list[str]] = {"embeddings": ["encoder.word_embeddings"]}
    for name, value in model.network.encoder.named_parameters():
        if value.ndim == 2 and name.startswith("layers."):
            _, number, module = name.split(".")[:3]
            kind = f"feed-forward {module}" if module in ("up", "down") else "attention"
            parts.setdefault(f"{kind} {int(number) + 1}", []).append(f"encoder.{name}")
    return parts


def _trace(model: Model, int8: Collection[str], levels: int) -> Trace:
    return Trace(OnnxGraph(int8, levels), {id(value): name for name, value in model.network.named_parameters()})


def _name(value: Tensor) -> str:
    """The name of a symbol that stands for a tensor."""
    return cast(Symbol, value).name


def _states(network: Multitask, tasks: Sequence[Task], layout: SymbolicLayout) -> States:
    within = any(task.compares_within for task in tasks)
    hidden = network.encoder.encode(layout, first_only=network.pooling != "mean" and not within)
    texts = (layout.mean(hidden, 0), layout.mean(hidden, 1)) if within else None
    if network.pooling == "mean":
        return States(layout.mean(hidden), texts)
    pooled = hidden[:, 0]
    if network.pooling == "pooler":
        assert network.encoder.pooler is not None
        pooled = torch.tanh(network.encoder.pooler(pooled))
    return States(pooled, texts)


def _answer(head: TaskHead, task: Task, first: States, second: States) -> Tensor:
    """Probabilities or scores of examples of two sequences."""
    if task.encodings_per_example == 2:
        assert isinstance(head, ComparingHead)
        return head.output.graph(head.compared(first.pooled, second.pooled))
    return torch.stack([head.output.graph(_raw(head, task, states)) for states in (first, second)]).mean(0)


def _raw(head: TaskHead, task: Task, states: States) -> Tensor:
    """Raw output of a head for examples of one sequence each."""
    if task.compares_within:
        assert isinstance(head, ComparingHead)
        assert states.texts is not None
        return head.compared(*states.texts)
    raw: Tensor = head(states.pooled, NO_DROPOUT)
    return raw


def _meaning_shape(head: TaskHead) -> tuple[int, ...]:
    """Sizes of the meaning of one example."""
    output = head.output
    raw = torch.zeros(1) if output.flat else torch.zeros(1, output.width)
    return tuple(output.meaning(raw).shape[1:])


def _examples_of(task: Task) -> str:
    """Name of the axis of a task's examples, of which each task has its own number."""
    return f"examples of {task.name}"


def _answer_outputs(trace: Trace, head: TaskHead, part: GraphTask, meaning: Tensor, examples: str = "examples") -> None:
    axis = "sequences" if part.rows == 1 else examples
    _output(trace, part.output, meaning, axis)
    _output(trace, part.value, head.output.decide(meaning), axis)


def _output(trace: Trace, name: str, value: Tensor, axis: str) -> None:
    integer = not value.dtype.is_floating_point
    trace.graph.output(name, _name(value), (axis, *value.shape[1:]), integer=integer)
