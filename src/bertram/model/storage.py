"""A trained network as a directory: weights and shape, in the Hugging Face layout with our heads added.

`config.json` holds the encoder's shape under the usual keys and the heads under the key ``bertram``; the encoder's
weights have their usual names, so the directory also serves as an `--encoder`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertram.errors import RunError
from bertram.model.encoders import class_of
from bertram.model.linear import Precision
from bertram.model.multitask import Multitask
from bertram.model.pretrained import read_config
from bertram.options import old_names
from bertram.tasks import Strict, Task

FORMAT = 1
WEIGHTS = "model.safetensors"


class _Saved(Strict):
    """What `config.json` says beside the encoder's shape."""

    format: int
    pooling: Literal["cls", "mean", "pooler"]
    max_tokens: int
    both_orders: bool
    tasks: dict[str, Task]


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
    missing = [key for several in keys.values() for key in several if key not in state]
    extra = state.keys() - {key for several in keys.values() for key in several}
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
        both_orders: whether cross-encoded pairs are read in both orders.
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
    ours: dict[str, Any] = {
        "format": FORMAT,
        "pooling": network.pooling,
        "max_tokens": stored.max_tokens,
        "both_orders": stored.both_orders,
        "tasks": {name: task.model_dump(mode="json", exclude_none=True) for name, task in network.tasks.items()},
    }
    config = network.encoder.config_values(network.encoder.config) | {"bertram": ours}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(state or state_of(network), str(directory / WEIGHTS), metadata={"format": "pt"})


def load_network(directory: Path, precision: Precision = "fp32") -> StoredNetwork:
    """A network from its directory.

    Raises:
        RunError: not a model of ours, of an unknown format version, or damaged.
    """
    ours = _read_ours(directory)
    try:
        saved = _Saved.model_validate(old_names.renamed(ours))
    except ValidationError as error:
        raise RunError(f"{directory / 'config.json'}: damaged, its tasks cannot be read: {error}") from None
    try:
        state = load_file(str(directory / WEIGHTS))
    except FileNotFoundError:
        raise RunError(f"{directory / WEIGHTS}: missing") from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"{directory / WEIGHTS}: damaged, it cannot be read: {error}") from None
    config = read_config(directory)
    family = class_of(config)
    encoder = family.new(config, pooler=family.has_pooler([family.plain_key(key) for key in state]))
    network = Multitask(encoder, saved.tasks, saved.pooling)
    load_state(network, state)
    network.encoder.set_precision(precision)
    return StoredNetwork(network.eval(), saved.max_tokens, saved.both_orders)


def _read_ours(directory: Path) -> dict[str, Any]:
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{directory}: not a trained model: it has no config.json") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: damaged: {error}") from None
    ours = config.get("bertram") if isinstance(config, dict) else None
    if not isinstance(ours, dict):
        raise RunError(f"{path}: an encoder without heads, not a trained model")
    if ours.get("format") != FORMAT:
        raise RunError(f"{path}: format version {ours.get('format')!r} is unknown; this BERTram reads {FORMAT}")
    return ours
