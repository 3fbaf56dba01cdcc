"""The import path of the encoder before there were families: `bertram.model.encoders` has them all."""

from bertram.model.encoders.base import EncoderConfig, WordRows
from bertram.model.encoders.bert import BertEncoder as Encoder
from bertram.model.encoders.bert import BertLayer as Layer

__all__ = ["Encoder", "EncoderConfig", "Layer", "WordRows"]
