"""The shape of an encoder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder, with what its pretraining fixed.

    Attributes:
        vocabulary: rows of the word-embedding table.
        hidden: width H of the hidden states.
        layers: number of layers.
        heads: attention heads of each layer.
        intermediate: width of the feed-forward part.
        max_tokens: longest sequence, special tokens included.
        segments: rows of the segment-embedding table; 0 if the family has none.
        hidden_dropout: dropout rate on embeddings and on the output of each sub-layer.
        attention_dropout: dropout rate of the attention probabilities.
        norm_eps: epsilon of the norms.
    """

    vocabulary: int = 30522
    hidden: int = 384
    layers: int = 6
    heads: int = 12
    intermediate: int = 1536
    max_tokens: int = 512
    segments: int = 2
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    norm_eps: float = 1e-12

    @property
    def model_type(self) -> str:
        """The family's name in config.json of the Hugging Face layout."""
        return "bert"

    @property
    def first_position(self) -> int:
        """Row of the position table that a sequence begins with."""
        return 0

    @property
    def embedding_width(self) -> int:
        """Width E of the embeddings."""
        return self.hidden


@dataclass(frozen=True)
class PaddedPositionsConfig(EncoderConfig):
    """The shape of an encoder whose positions begin after the id of the padding token.

    Attributes:
        padding_id: id of the padding token.
    """

    padding_id: int = 1

    @property
    def first_position(self) -> int:
        """Row of the position table that a sequence begins with."""
        return self.padding_id + 1
