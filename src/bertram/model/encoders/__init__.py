"""Encoders on packed tokens, one file a family; `config.json` says which family a directory holds."""

from collections.abc import Mapping
from typing import Any

from bertram.errors import WeightsError
from bertram.model.encoders.base import Encoder
from bertram.model.encoders.bert import BertEncoder
from bertram.model.encoders.config import EncoderConfig
from bertram.model.encoders.distilbert import DistilBertEncoder
from bertram.model.encoders.electra import ElectraEncoder
from bertram.model.encoders.modernbert import ModernBertEncoder
from bertram.model.encoders.mpnet import MPNetEncoder
from bertram.model.encoders.roberta import RobertaEncoder

__all__ = ["BY_MODEL_TYPE", "FAMILIES", "Encoder", "EncoderConfig", "class_of", "family_of"]

FAMILIES: tuple[type[Encoder], ...] = (
    BertEncoder,
    RobertaEncoder,
    MPNetEncoder,
    DistilBertEncoder,
    ElectraEncoder,
    ModernBertEncoder,
)
BY_MODEL_TYPE = {model_type: family for family in FAMILIES for model_type in family.model_types}


def family_of(values: Mapping[str, Any]) -> type[Encoder]:
    """The class of the encoder that a config.json describes.

    Raises:
        WeightsError: the family is not read.
    """
    model_type = values.get("model_type", "bert")
    family = BY_MODEL_TYPE.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise WeightsError(f"model_type is {model_type!r}; families that are read: {', '.join(BY_MODEL_TYPE)}")
    return family


def class_of(config: EncoderConfig) -> type[Encoder]:
    """The class of the encoders with such a configuration."""
    return BY_MODEL_TYPE[config.model_type]
