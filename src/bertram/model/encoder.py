"""The import path of the encoder before there were families: `bertram.model.encoders` has them all."""

from bertram.model.encoders.bert import BertEncoder as Encoder
from bertram.model.encoders.bert import BertLayer as Layer
from bertram.model.encoders.config import EncoderConfig
from bertram.model.encoders.word_rows import WordRows

__all__ = ["Encoder", "EncoderConfig", "Layer", "WordRows"]
