"""Pretrained weights in: an installed package, a directory in the Hugging Face layout, or the Hub.

`config.json` says the family (`bertram.model.encoders`). Every tensor is copied under an exact check of its key and
shape.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bertram.data.sources import HubUnreachableError, from_hub
from bertram.data.tokenizer import Tokenizer, load_tokenizer
from bertram.errors import DataError, WeightsError
from bertram.model import installed
from bertram.model.encoders import Encoder, EncoderConfig, family_of
from bertram.runs.typed_json import JsonObject

TASK_HEADS = ("classifier.", "pre_classifier.", "qa_outputs.")  # begins of keys of models fine-tuned for one task
INSTALLED = {"minilm": installed.minilm, "mpnet": installed.mpnet}


def load_encoder(source: str) -> Encoder:
    """A pretrained encoder.

    Args:
        source: ``minilm``, ``mpnet``, a directory in the Hugging Face layout, or a Hub id such as
            ``google-bert/bert-base-uncased``.

    Raises:
        WeightsError: not found, damaged, of a family that is not read, or keys or shapes that do not fit, all listed.
    """
    return read_encoder(find(source))


def find(source: str) -> Path:
    """The directory of an encoder; one from the Hub is downloaded first."""
    if source in INSTALLED:
        return INSTALLED[source]()
    directory = Path(source).expanduser()
    if directory.is_dir():
        return directory
    if directory.exists() or source.count("/") > 1 or source.startswith(("/", ".", "~")):
        raise WeightsError(f"encoder {source}: there is no such directory")
    return _download(source)


def read_encoder(directory: Path) -> Encoder:
    """The encoder in a directory in the Hugging Face layout."""
    values = _read_values(directory)
    family = _family(directory, values)
    path = directory / "model.safetensors"
    if not path.is_file():
        raise WeightsError(f"{path}: missing; weights are read from model.safetensors only")
    try:
        with safe_open(str(path), "pt") as file:
            plain = {family.plain_key(key): key for key in file.keys()}  # noqa: SIM118
            hf_state = family.unfused({
                name: file.get_tensor(key)
                for name, key in plain.items()
                if not name.startswith((*family.ignored_keys, *TASK_HEADS))
            })  # fmt: skip
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged, it cannot be read ({error}); fetch it again") from None
    with torch.device("meta"):
        encoder = family.new(family.read_config(values), pooler=family.has_pooler(hf_state))
    own_shapes = {name: list(parameter.shape) for name, parameter in encoder.named_parameters()}
    key_groups = encoder.hugging_face_keys()
    _check(path, own_shapes, key_groups, hf_state)
    state = {name: torch.cat([hf_state[key].float() for key in keys]) for name, keys in key_groups.items()}
    encoder.load_state_dict(state, assign=True)
    return encoder.requires_grad_()


def read_with_tokenizer(directory: Path) -> tuple[Encoder, Tokenizer]:
    """The encoder in a directory in the Hugging Face layout, and its tokenizer.

    Raises:
        WeightsError: one of them cannot be read, or they do not belong together.
    """
    return read_encoder(directory), read_tokenizer(directory)


def read_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of the encoder in a directory in the Hugging Face layout, whose weights are not read.

    Raises:
        WeightsError: it cannot be read, or has more tokens than the encoder has embeddings.
    """
    tokenizer, embeddings = load_tokenizer(directory), read_config(directory).vocabulary
    if tokenizer.vocab_size > embeddings:
        raise WeightsError(
            f"{directory}: its tokenizer has {tokenizer.vocab_size:,} tokens, its encoder embeddings for "
            f"{embeddings:,}; fetch the files of one encoder"
        )
    return tokenizer


def read_config(directory: Path) -> EncoderConfig:
    """The shape of the encoder in a directory in the Hugging Face layout."""
    values = _read_values(directory)
    return _family(directory, values).read_config(values)


def _read_values(directory: Path) -> JsonObject:
    path = directory / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{path}: missing; an encoder needs config.json and model.safetensors") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: not the configuration of an encoder: it holds no table")
    return values


def _family(directory: Path, values: Mapping[str, Any]) -> type[Encoder]:
    """The class of the encoder that a config.json without faults describes."""
    path = directory / "config.json"
    try:
        family = family_of(values)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    faults = list(family.faults(values))
    if faults:
        raise WeightsError(f"{path}: this encoder cannot be read: " + "; ".join(faults))
    return family


def _download(source: str) -> Path:
    try:
        directory = from_hub(source, "config.json", "model").parent
        from_hub(source, "model.safetensors", "model")
        _download_tokenizer(source)
    except DataError as error:
        raise WeightsError(f"encoder {source}: not minilm or mpnet, and no directory here; {error}") from None
    return directory


def _download_tokenizer(source: str) -> None:
    """``tokenizer.json``, or the files that come before it in the history of the layout."""
    with suppress(DataError):
        from_hub(source, "tokenizer.json", "model")
        return
    from_hub(source, "vocab.txt", "model")
    try:
        from_hub(source, "tokenizer_config.json", "model")
    except HubUnreachableError:
        raise  # it may say that case counts
    except DataError:
        return


def _check(
    path: Path, own_shapes: dict[str, list[int]], key_groups: dict[str, list[str]], hf_state: dict[str, Tensor]
) -> None:
    faults = []
    for name, keys in key_groups.items():
        rows, *rest = own_shapes[name]
        shape = [rows // len(keys), *rest]
        for key in keys:
            if key not in hf_state:
                faults.append(f"missing: {key} {shape}")
            elif list(hf_state[key].shape) != shape:
                faults.append(f"{key} is {list(hf_state[key].shape)}, config.json says {shape}")
    expected_keys = {key for keys in key_groups.values() for key in keys}
    faults += [f"unexpected: {key} {list(hf_state[key].shape)}" for key in sorted(hf_state.keys() - expected_keys)]
    if faults:
        excerpt = "\n".join(f"  - {fault}" for fault in faults[:12])
        remainder = f"\n  … and {len(faults) - 12} more" if len(faults) > 12 else ""
        raise WeightsError(
            f"{path}: {len(faults)} weights do not fit the encoder of config.json:\n{excerpt}{remainder}"
        )
