"""One task with its head for `transformers`, as the family's class for sequence classification.

The classes of `transformers` read the first token, pass it through a dense layer with an activation, and then through
the classifier. A run that pools by BERT's pooler has just that. A run that pools by the first token itself gets a dense
layer that changes nothing: for tanh a small multiple of the identity, which the classifier undoes; for GELU and ReLU
the identity with a bias that keeps every input in the activation's linear part.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bertram.errors import BertramError
from bertram.export.hf import save_tokenizer
from bertram.model.heads import LinearHead
from bertram.model.outputs import ClassifierForm
from bertram.prediction.model import Model
from bertram.runs.tensors import write_tensors
from bertram.tasks import Task

SMALL = 2.0**-14  # tanh(SMALL · x) is SMALL · x to 1 part in 10^5 for x up to 90
GELU_LINEAR = 6.0  # from where on GELU is the identity in float32

USAGE = """\
```python
from transformers import pipeline

classify = pipeline("text-classification", model=".", top_k=None)
print(classify({example}, truncation=True))
```

{meaning}{style}
"""
STYLES = {
    "plain": "",
    "course": " In training, texts were lower-cased{pair}; do the same first.",
}
PAIR_STYLE = ", and a space was put before . ? , and '"

Identity = Callable[[Tensor], tuple[float, Tensor]]  # largest size of each coordinate [H] to scale and bias [H]


def _for_tanh(largest: Tensor) -> tuple[float, Tensor]:
    return SMALL, torch.zeros_like(largest)


def _for_gelu(largest: Tensor) -> tuple[float, Tensor]:
    return 1.0, largest + GELU_LINEAR


def _for_relu(largest: Tensor) -> tuple[float, Tensor]:
    return 1.0, largest


@dataclass(frozen=True)
class Family:
    """The class of `transformers` for an encoder family.

    Attributes:
        architecture: name of the class.
        dense: name of its dense layer.
        classifier: name of its last layer.
        identity: makes the dense layer an identity under the class's activation.
        tanh: True if the activation is tanh, so that the layer can be BERT's pooler.
    """

    architecture: str
    dense: str
    classifier: str
    identity: Identity
    tanh: bool = True


def _with_head(name: str) -> Family:
    return Family(f"{name}ForSequenceClassification", "classifier.dense", "classifier.out_proj", _for_tanh)


FAMILIES = {  # by the model type in config.json
    "bert": Family("BertForSequenceClassification", "bert.pooler.dense", "classifier", _for_tanh),
    "roberta": _with_head("Roberta"),
    "xlm-roberta": _with_head("XLMRoberta"),
    "camembert": _with_head("Camembert"),
    "mpnet": _with_head("MPNet"),
    "electra": Family(
        "ElectraForSequenceClassification", "classifier.dense", "classifier.out_proj", _for_gelu, tanh=False
    ),
    "distilbert": Family("DistilBertForSequenceClassification", "pre_classifier", "classifier", _for_relu, tanh=False),
}


def chosen_task(model: Model, name: str | None) -> Task:
    """The task that the classifier gets.

    Args:
        model: model that is exported.
        name: name of the chosen task; None if none was chosen.

    Raises:
        BertramError: no task fits, all reasons; or several do.
    """
    tasks = [task for task in model.tasks.values() if name in (None, task.name)]
    faults = {task.name: _fault(model, task) for task in tasks}
    fitting = [task for task in tasks if faults[task.name] is None]
    if not fitting:
        reasons = "\n".join(dict.fromkeys(str(fault) for fault in faults.values()))
        pairs = ", or sentence-transformers" if any(task.pair for task in tasks) else ""
        raise BertramError(f"{reasons}\nuse --format onnx{pairs}")
    if len(fitting) > 1:
        names = " or --task ".join(task.name for task in fitting)
        raise BertramError(f"a sequence classifier has one task; use --task {names}")
    return fitting[0]


def _fault(model: Model, task: Task) -> str | None:
    """The reason why `transformers` has no class for a task; None if it has one."""
    if task.pools_target:
        return f"tasks.{task.name}: it pools a marked target, which no sequence classifier knows"
    if not isinstance(model.network.head(task.name), LinearHead):
        return f"tasks.{task.name}.head: a sequence classifier has one linear layer, this task has head = {task.head}"
    if model.network.output(task.name).classifier_form() is None:
        return f"tasks.{task.name}: a sequence classifier cannot hold the loss {task.trained_by}"
    if model.both_orders and task.pair:
        return "model.both_orders: a sequence classifier reads a pair in one order, but this run averages both"
    return _pooling_fault(model)


def _pooling_fault(model: Model) -> str | None:
    """The reason why the class of the encoder's family does not pool as the run does; None if it does."""
    model_type, pooling = _model_type(model), model.network.pooling
    family = FAMILIES.get(model_type)
    if family is None:
        return f"encoder: the sequence classifier of {model_type} has a norm between pooling and classifier"
    if pooling == "mean":
        return (
            f"model.pooling: the sequence classifier of {model_type} reads the first token, but this run takes the "
            "mean of all; train with --model.pooling cls"
        )
    if pooling == "pooler" and not family.tanh:
        return f"model.pooling: the sequence classifier of {model_type} has no pooler; train with --model.pooling cls"
    return None


def _model_type(model: Model) -> str:
    encoder = model.network.encoder
    return str(encoder.config_values(encoder.config)["model_type"])


def _form(model: Model, task: Task) -> ClassifierForm:
    form = model.network.output(task.name).classifier_form()
    assert form is not None  # see `chosen_task`
    return form


@torch.no_grad()
def save_classifier(model: Model, task: Task, directory: Path) -> None:
    """Write encoder, head and tokenizer so that ``AutoModelForSequenceClassification`` and ``pipeline`` load them."""
    encoder, form = model.network.encoder, _form(model, task)
    family = FAMILIES[_model_type(model)]
    directory.mkdir(parents=True, exist_ok=True)
    labels = {str(index): label for index, label in enumerate(form.labels)}
    config = encoder.config_values(encoder.config) | {
        "architectures": [family.architecture],
        "dtype": "float32",
        "id2label": labels,
        "label2id": {label: int(index) for index, label in labels.items()},
        "problem_type": form.problem,
        "classifier_dropout": 0.1,
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    state = {
        f"{encoder.prefix}{name}": value
        for name, value in encoder.hugging_face_state().items()
        if not name.startswith("pooler.")
    }
    state |= _head(model, task, family, form)
    write_tensors(
        directory / "model.safetensors",
        {name: value.detach().contiguous() for name, value in state.items()},
        metadata={"format": "pt"},
    )
    save_tokenizer(model, directory)


def _head(model: Model, task: Task, family: Family, form: ClassifierForm) -> dict[str, Tensor]:
    """The dense layer and the classifier, by their names."""
    network = model.network
    layer = network.head(task.name).compare
    assert isinstance(layer, nn.Linear)
    rows = torch.tensor(form.rows) / network.output(task.name).settings.temperature
    weight, bias = rows @ layer.weight, rows @ layer.bias
    if network.pooling == "pooler":
        assert network.encoder.pooler is not None
        dense: tuple[Tensor, Tensor] = network.encoder.pooler.weight, network.encoder.pooler.bias
    else:
        scale, dense_bias = family.identity(_largest(model))
        dense = scale * torch.eye(len(dense_bias)), dense_bias
        bias = bias - (weight.double() @ dense_bias.double()).to(bias.dtype)
        weight = weight / scale
    return {
        f"{family.dense}.weight": dense[0],
        f"{family.dense}.bias": dense[1],
        f"{family.classifier}.weight": weight,
        f"{family.classifier}.bias": bias,
    }


def _largest(model: Model) -> Tensor:
    """The largest size that each coordinate of a hidden state can have after the last LayerNorm, [H]."""
    norm = model.network.encoder.layers[-1].output_norm
    assert isinstance(norm, nn.Module)
    weight, bias = norm.weight, norm.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    return weight.abs() * math.sqrt(len(weight) - 1) + bias.abs()


def usage(model: Model, task: Task) -> str:
    """Instructions for the directory, for its model card."""
    example = '{"text": "a lovely film", "text_pair": "a fine movie"}' if task.pair else '"a lovely film"'
    style = STYLES[task.text_normalization].format(pair=PAIR_STYLE if task.pair else "")
    return USAGE.format(example=example, meaning=_form(model, task).meaning, style=style)
