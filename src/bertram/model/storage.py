"""A trained network as a directory: weights and shape, in the Hugging Face layout with our heads added.

`config.json` holds the encoder's shape under the usual keys and the heads under the key ``bertram``; the encoder's
weights have their usual names, so the directory also serves as an `--encoder`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from bertram.errors import RunError
from bertram.model.encoders import EncoderConfig, class_of
from bertram.model.linear import Precision
from bertram.model.multitask import Multitask
from bertram.model.pretrained import read_config
from bertram.model.stored_settings import FORMAT, StoredSettings, read_settings
from bertram.runs.tensors import read_tensors, tensor_shapes, write_tensors
from bertram.runs.typed_json import JsonObject

WEIGHTS = "model.safetensors"


def state_of(network: Multitask) -> dict[str, Tensor]:
    """The weights under the names they have in a file."""
    heads = {f"heads.{name}": value.detach().contiguous() for name, value in network.heads.state_dict().items()}
    encoder = network.encoder
    return {f"{encoder.prefix}{name}": value for name, value in encoder.hugging_face_state().items()} | heads


def load_state(network: Multitask, state: dict[str, Tensor]) -> None:
    """Put weights back under our own names.

    Raises:
        RunError: weights are missing, not known, or of another shape.
    """
    prefix, state = network.encoder.prefix, network.encoder.unfused(state)
    keys = {f"encoder.{n}": [f"{prefix}{k}" for k in ks] for n, ks in network.encoder.hugging_face_keys().items()}
    keys |= {f"heads.{name}": [f"heads.{name}"] for name in network.heads.state_dict()}
    missing = [key for group in keys.values() for key in group if key not in state]
    extra = state.keys() - {key for group in keys.values() for key in group}
    if missing or extra:
        raise RunError(f"weights do not fit config.json: missing {missing[:3] or 'none'}, unknown {sorted(extra)[:3]}")
    try:
        network.load_state_dict({name: torch.cat([state[key] for key in ks]) if len(ks) > 1 else state[ks[0]]
                                 for name, ks in keys.items()})  # fmt: skip
    except RuntimeError as error:
        raise RunError(f"weights do not fit config.json: {error}") from None


@dataclass(frozen=True)
class StoredNetwork:
    """A network from its directory, with what it takes to predict by it.

    Attributes:
        network: encoder and heads, in evaluation mode.
        max_tokens: longest sequence, in tokens; longer inputs are truncated.
        both_orders: True if cross-encoded pairs are read in both orders.
    """

    network: Multitask
    max_tokens: int
    both_orders: bool


def save_network(stored: StoredNetwork, directory: Path, state: dict[str, Tensor] | None = None) -> None:
    """Write weights and config.json; not atomic, see `bertram.runs`.

    Args:
        stored: the network and its settings.
        directory: made if it is missing.
        state: other weights than the network's own, under the names of `state_of`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    network = stored.network
    settings: JsonObject = {
        "format": FORMAT,
        "pooling": network.pooling,
        "max_tokens": stored.max_tokens,
        "both_orders": stored.both_orders,
        "tasks": {name: task.model_dump(mode="json", exclude_none=True) for name, task in network.tasks.items()},
    }
    config = network.encoder.config_values(network.encoder.config) | {"bertram": settings}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_tensors(directory / WEIGHTS, state or state_of(network), metadata={"format": "pt"})


def load_network(directory: Path, precision: Precision = "fp32") -> StoredNetwork:
    """A network from its directory.

    Raises:
        RunError: not a model of ours, of an unknown format version, or damaged.
    """
    path = directory / "config.json"
    saved = read_settings(directory)
    config = read_config(directory)
    if not 3 <= saved.max_tokens <= config.max_tokens:
        raise RunError(f"{path}: damaged: max_tokens is {saved.max_tokens}; the encoder has {config.max_tokens}")
    _check_shapes(directory / WEIGHTS, config, saved)
    state = read_tensors(directory / WEIGHTS)
    network = _new_network(config, saved, state)
    load_state(network, state)
    network.encoder.set_precision(precision)
    return StoredNetwork(network.eval(), saved.max_tokens, saved.both_orders)


def _new_network(config: EncoderConfig, saved: StoredSettings, names: Iterable[str]) -> Multitask:
    """A network of the stored shape, with new weights; a pooler only where the names have one."""
    family = class_of(config)
    encoder = family.new(config, pooler=family.has_pooler([family.plain_key(name) for name in names]))
    return Multitask(encoder, saved.tasks, saved.pooling)


def _check_shapes(path: Path, config: EncoderConfig, saved: StoredSettings) -> None:
    """Raise RunError unless the file has tensors of these shapes; nothing of their size is allocated before."""
    shapes = tensor_shapes(path)
    numbers = sum(prod(shape) for shape in shapes.values())
    for name, size in vars(config).items():
        if isinstance(size, int) and size > (len(shapes) if name == "layers" else max(numbers, 1)):
            raise RunError(f"{path}: weights do not fit config.json: {numbers:,} numbers, but {name} is {size}")
    with torch.device("meta"):
        network = _new_network(config, saved, shapes)
    for name, tensor in state_of(network).items():
        shape = list(tensor.shape)
        if shapes.get(name, shape) != shape:
            raise RunError(f"{path}: weights do not fit config.json: {name} has shape {shapes[name]}, not {shape}")
