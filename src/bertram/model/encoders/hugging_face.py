"""The Hugging Face layout of a family: its config.json, and the keys of its weights."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from bertram.model.encoders.config import EncoderConfig, PaddedPositionsConfig
from bertram.model.linear import Linear


class HuggingFaceNames(nn.Module):
    """The part of an encoder that knows how the Hugging Face layout names its shape and its weights."""

    model_types: ClassVar[tuple[str, ...]]  # names in config.json
    config_class: ClassVar[type[EncoderConfig]] = EncoderConfig
    config_keys: ClassVar[Mapping[str, str]]  # field of the configuration: key of config.json
    fixed_values: ClassVar[Mapping[str, Any]]  # config.json besides the fields
    activation_key: ClassVar[str] = "hidden_act"
    prefix: ClassVar[str]  # of the weights' keys in a file that holds heads, too
    ignored_keys: ClassVar[tuple[str, ...]]  # begins of keys that are no weights of the encoder
    embedding_keys: ClassVar[Mapping[str, Sequence[str]]]  # our parameter -> Hugging Face keys; several are stacked
    layer_keys: ClassVar[Mapping[str, Sequence[str]]]
    layer_prefix: ClassVar[str] = "encoder.layer"
    pooler_keys: ClassVar[Mapping[str, Sequence[str]]] = {}

    layers: nn.ModuleList
    pooler: Linear | None

    @classmethod
    def faults(cls, values: Mapping[str, Any]) -> Iterator[str]:
        """Reasons why the encoder of a config.json cannot be read."""
        if values.get(cls.activation_key, "gelu") != "gelu":
            yield f"{cls.activation_key} is {values[cls.activation_key]!r}, gelu is supported"
        if values.get("position_embedding_type", "absolute") != "absolute":
            yield f"position_embedding_type is {values['position_embedding_type']!r}, absolute is supported"
        if values.get("is_decoder"):
            yield "is_decoder is true, encoders are supported"
        key_of = cls.config_keys
        required = ("vocabulary", "hidden", "layers", "heads", "intermediate")
        for key in (key_of[field] for field in required):
            if not isinstance(values.get(key), int) or values[key] < 1:
                yield f"{key} is missing or not a positive number"
        for key in (key_of[field] for field in ("max_tokens", "segments") if field in key_of):
            if not isinstance(values.get(key, 1), int) or values.get(key, 1) < 1:
                yield f"{key} is not a positive number"
        padding = values.get(key_of.get("padding_id", ""), 1)
        if not isinstance(padding, int) or padding < 0:
            yield f"{key_of['padding_id']} is not a number from 0 on"
        for key in (key_of[f] for f in ("hidden_dropout", "attention_dropout", "norm_eps") if f in key_of):
            if not isinstance(values.get(key, 0.1), int | float) or not 0 <= values.get(key, 0.1) < 1:
                yield f"{key} is not a number from 0 to 1"
        positions = values.get(key_of["max_tokens"])
        after_padding = issubclass(cls.config_class, PaddedPositionsConfig) and isinstance(padding, int)
        if after_padding and positions in range(1, padding + 2):
            yield f"{key_of['max_tokens']} {positions} leaves no position for a token"
        hidden, heads = values.get(key_of["hidden"]), values.get(key_of["heads"])
        if isinstance(hidden, int) and isinstance(heads, int) and heads > 0 and hidden % heads:
            yield f"{key_of['hidden']} {hidden} cannot be divided by {heads} heads"

    @classmethod
    def read_config(cls, values: Mapping[str, Any]) -> EncoderConfig:
        """The shape that a config.json without faults describes."""
        positions = cls.config_keys["max_tokens"]
        config = cls.config_class(**{field: values[key] for field, key in cls.config_keys.items() if key in values})
        return replace(config, max_tokens=values.get(positions, config.max_tokens) - config.first_position)

    @classmethod
    def config_values(cls, config: EncoderConfig) -> dict[str, Any]:
        """config.json of the Hugging Face layout."""
        values = {cls.config_keys[field.name]: getattr(config, field.name) for field in fields(config)
                  if field.name in cls.config_keys}  # fmt: skip
        values[cls.config_keys["max_tokens"]] = config.max_tokens + config.first_position
        return {"model_type": config.model_type, **cls.fixed_values, **values}

    def hugging_face_keys(self) -> dict[str, list[str]]:
        """For each of our parameters, the Hugging Face keys that are stacked to make it."""
        keys = {name: list(hf_keys) for name, hf_keys in self.embedding_keys.items()}
        if self.pooler is not None:
            keys |= {name: list(hf_keys) for name, hf_keys in self.pooler_keys.items()}
        for number in range(len(self.layers)):
            for own_name, hf_keys in self.layer_keys.items():
                for part in ("weight", "bias"):
                    name = f"layers.{number}.{own_name}.{part}"
                    keys[name] = [f"{self.layer_prefix}.{number}.{key}.{part}" for key in hf_keys]
        return keys

    def hugging_face_state(self) -> dict[str, Tensor]:
        """The weights under the Hugging Face keys, keys and values taken apart again."""
        state = {}
        parameters = dict(self.named_parameters())
        for name, keys in self.hugging_face_keys().items():
            for key, part in zip(keys, parameters[name].detach().chunk(len(keys)), strict=True):
                state[key] = part.contiguous()
        return state

    @classmethod
    def unfused(cls, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a file with those apart that `hugging_face_keys` names apart."""
        return dict(state)

    @classmethod
    def plain_key(cls, key: str) -> str:
        """A key of a file without the family's prefix, and under its present name."""
        key = key.removeprefix(cls.prefix)
        return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")

    @classmethod
    def has_pooler(cls, keys: Iterable[str]) -> bool:
        """Whether the keys of a file, as `plain_key` gives them, hold a pooler."""
        pooler_keys = {key for hf_keys in cls.pooler_keys.values() for key in hf_keys}
        return not pooler_keys.isdisjoint(keys)
