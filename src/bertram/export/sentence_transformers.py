"""A model for `sentence-transformers`: vectors of texts, or scores of pairs.

The library chains modules: the encoder, a pooling, and dense layers. A run with bi-encoded pairs becomes a
SentenceTransformer that returns the pooled vectors. A task with cross-encoded pairs becomes a CrossEncoder whose
dense layers are the head.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bertram.errors import BertramError
from bertram.export.hf import save_encoder
from bertram.model.heads import COSINE, MLPHead, SimilarityHead
from bertram.model.outputs import DenseForm
from bertram.prediction.model import Model
from bertram.runs.tensors import write_tensors
from bertram.runs.typed_json import JsonObject
from bertram.tasks import Task

TRANSFORMER = "sentence_transformers.models.Transformer"  # the old names, which all versions understand
POOLING = "sentence_transformers.models.Pooling"
DENSE = "sentence_transformers.models.Dense"
NEW_TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"
NEW_POOLING = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
NEW_DENSE = "sentence_transformers.base.modules.dense.Dense"

VECTORS_USAGE = """\
```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(".")
vectors = model.encode(["a lovely film", "a fine movie"])
similarities = model.similarity(vectors, vectors)
```
"""
SCORES_USAGE = """\
```python
from sentence_transformers import CrossEncoder

model = CrossEncoder(".")
scores = model.predict([("a lovely film", "a fine movie")])
```

It scores pairs for the task {name}. {meaning} It needs sentence-transformers 5.5 or newer:
older versions give other scores.
"""


def chosen_task(model: Model, name: str | None) -> Task | None:
    """The pair task that becomes a CrossEncoder, or None for a SentenceTransformer.

    Args:
        model: model that is exported.
        name: name of the chosen task; None if none was chosen.

    Raises:
        BertramError: no task fits the library, or several do.
    """
    tasks = [task for task in model.tasks.values() if not task.pools_target]
    cross = [task for task in tasks if task.pair and task.encoding == "cross"]
    if name is not None:
        task = model.tasks[name]
        if not task.pair:
            raise BertramError(f"tasks.{name}: a CrossEncoder scores pairs, and this task reads single texts")
        return _holdable(model, [task]) if task.encoding == "cross" else None
    if any(task.pair and task.encoding == "bi" for task in tasks):
        return None
    if not cross:
        raise BertramError(f"no task of this run compares texts ({', '.join(model.tasks)}); use --format hf")
    return _holdable(model, cross)


def _holdable(model: Model, tasks: Sequence[Task]) -> Task:
    """The only task that a CrossEncoder can hold.

    Raises:
        BertramError: no task fits, or several do.
    """
    faults = {task.name: _fault(model, task) for task in tasks}
    fitting = [task for task in tasks if faults[task.name] is None]
    if not fitting:
        listed = "\n".join(dict.fromkeys(f"{fault}; use --format onnx or hf" for fault in faults.values()))
        raise BertramError(listed)
    if len(fitting) > 1:
        raise BertramError(f"a CrossEncoder has one task; use --task {' or --task '.join(t.name for t in fitting)}")
    return fitting[0]


def _fault(model: Model, task: Task) -> str | None:
    if task.compares:
        return f"tasks.{task.name}: a CrossEncoder has one vector per pair, but this head compares two"
    if model.network.output(task.name).dense_form() is None:
        return f"tasks.{task.name}: a CrossEncoder cannot hold a {task.trained_by.upper()} head"
    if model.both_orders:
        return "model.both_orders: a CrossEncoder reads a pair in one order, but this run averages both"
    return None


def save_vectors(model: Model, directory: Path) -> None:
    """Write a SentenceTransformer with the same vectors as the run."""
    save_encoder(model, directory)
    _write(directory / "sentence_bert_config.json", {"max_seq_length": model.max_tokens, "do_lower_case": False})
    modules = [("", TRANSFORMER), ("1_Pooling", POOLING)]
    hidden = model.network.encoder.config.hidden
    mean = model.network.pooling == "mean"
    pooling = {"word_embedding_dimension": hidden, "pooling_mode_cls_token": not mean, "pooling_mode_mean_tokens": mean}
    _write(directory / "1_Pooling" / "config.json", pooling)
    if model.network.pooling == "pooler":
        _save_dense(directory / "2_Dense", model.network.encoder.pooler, nn.Tanh)
        modules.append(("2_Dense", DENSE))
    _write_modules(directory, modules)
    settings: JsonObject = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": _similarity(model)}
    _write(directory / "config_sentence_transformers.json", settings)


def save_scores(model: Model, task: Task, directory: Path) -> None:
    """Write a CrossEncoder with the same scores as the run."""
    save_encoder(model, directory)
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    _write(
        directory / "sentence_bert_config.json",
        {"transformer_task": "feature-extraction", "modality_config": {"text": text},
         "module_output_name": "token_embeddings"},
    )  # fmt: skip
    hidden = model.network.encoder.config.hidden
    mode = "mean" if model.network.pooling == "mean" else "cls"
    _write(directory / "1_Pooling" / "config.json", {"embedding_dimension": hidden, "pooling_mode": mode})
    modules = [("", NEW_TRANSFORMER), ("1_Pooling", NEW_POOLING)]
    form = _form(model, task)
    for number, (layer, activation, source, target) in enumerate(_layers(model, task, form), start=2):
        name = f"{number}_Dense"
        _save_dense(directory / name, layer, activation, source, target)
        modules.append((name, NEW_DENSE))
    _write_modules(directory, modules)
    settings = {"prompts": {}, "model_type": "CrossEncoder", "activation_fn": _path(form.prediction)}
    _write(directory / "config_sentence_transformers.json", settings)


Activation = type[nn.Module]
Layer = tuple[Any, Activation, str, str]  # weight and bias, activation, name of the input, name of the output


def _form(model: Model, task: Task) -> DenseForm:
    form = model.network.output(task.name).dense_form()
    assert form is not None  # see `chosen_task`
    return form


def _layers(model: Model, task: Task, form: DenseForm) -> Iterator[Layer]:
    """The dense layers between the pooled vector and the score."""
    vector = "sentence_embedding"
    head = model.network.head(task.name)
    if model.network.pooling == "pooler":
        yield model.network.encoder.pooler, nn.Tanh, vector, vector
    if isinstance(head, MLPHead):
        yield head.inner, nn.GELU, vector, vector
    temperature = model.network.output(task.name).settings.temperature
    last = head.compare if temperature == 1 else _Cooled(head.compare, temperature)
    yield last, form.activation, vector, "scores"
    if form.affine is not None:
        yield _Affine(*form.affine), nn.Identity, "scores", "scores"


class _Cooled:
    """A layer whose outputs are divided by a temperature."""

    def __init__(self, layer: Any, temperature: float) -> None:
        self.weight, self.bias = layer.weight / temperature, layer.bias / temperature


class _Affine:
    """The map scale · x + offset as a layer with one input and one output."""

    def __init__(self, scale: float, offset: float) -> None:
        self.weight, self.bias = torch.tensor([[scale]]), torch.tensor([offset])


def _similarity(model: Model) -> str:
    """The most frequent similarity of the heads, for ``SentenceTransformer.similarity``."""
    used = [head.compare.measure.name for _, head in model.network.task_heads() if isinstance(head, SimilarityHead)]
    return max(used, key=used.count) if used else COSINE.name


def _path(activation: Activation) -> str:
    """Import path of an activation."""
    return f"{activation.__module__}.{activation.__name__}"


def _save_dense(
    directory: Path,
    layer: Any,
    activation: Activation,
    source: str = "sentence_embedding",
    target: str = "sentence_embedding",
) -> None:
    weights: Mapping[str, Tensor] = {"linear.weight": layer.weight, "linear.bias": layer.bias}
    outputs, inputs = layer.weight.shape
    settings = {
        "in_features": inputs,
        "out_features": outputs,
        "bias": True,
        "activation_function": _path(activation),
    }
    if target != "sentence_embedding":
        settings |= {"module_input_name": source, "module_output_name": target}
    _write(directory / "config.json", settings)
    write_tensors(
        directory / "model.safetensors", {name: tensor.detach().contiguous() for name, tensor in weights.items()}
    )


def _write_modules(directory: Path, modules: list[tuple[str, str]]) -> None:
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": kind} for number, (path, kind) in enumerate(modules)
    ]
    _write(directory / "modules.json", entries)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def vectors_usage(model: Model) -> str:
    """Instructions for a SentenceTransformer, with the formulas from vectors to predictions, for the model card."""
    heads = model.network.task_heads()
    lines = [f"- {name}: {_formula(head)}\n" for name, head in heads if isinstance(head, SimilarityHead)]
    return (
        VECTORS_USAGE
        + ("\nThe run's predictions from the vectors u and v of a pair:\n\n" if lines else "")
        + "".join(lines)
    )


def _formula(head: SimilarityHead) -> str:
    """Formula of the prediction from the similarity of two vectors."""
    raw = head.compare.measure.formula
    if not head.compare.plain:
        raw = f"{head.compare.scale.item():.4f} · {raw} {head.compare.offset.item():+.4f}"
    return head.output.formula(raw)


def scores_usage(model: Model, task: Task) -> str:
    """Instructions for a CrossEncoder, for the model card."""
    return SCORES_USAGE.format(name=task.name, meaning=_form(model, task).meaning)
