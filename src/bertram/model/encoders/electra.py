"""ELECTRA (Clark et al., 2020), the discriminator: BERT without pooler, with embeddings of another width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from bertram.model.encoders.bert import BertEncoder
from bertram.model.encoders.config import EncoderConfig
from bertram.model.encoders.layout import TokenLayout
from bertram.model.encoders.word_rows import WordRows
from bertram.model.linear import Linear


@dataclass(frozen=True)
class ElectraConfig(EncoderConfig):
    """The shape of an ELECTRA.

    Attributes:
        embedding: width E of the embeddings.
        model_type: name of the family in config.json.
    """

    embedding: int = 128
    model_type: str = "electra"

    @property
    def embedding_width(self) -> int:
        """Width E of the embeddings."""
        return self.embedding


class ElectraEncoder(BertEncoder):
    """An ELECTRA."""

    model_types = ("electra",)
    config_class = ElectraConfig
    config_keys: ClassVar[Mapping[str, str]] = {**BertEncoder.config_keys, "embedding": "embedding_size"}
    fixed_values: ClassVar[Mapping[str, Any]] = {"hidden_act": "gelu", "pad_token_id": 0}
    prefix = "electra."
    ignored_keys = ("embeddings.position_ids", "discriminator_predictions.", "generator_", "heads.")
    pooler_keys: ClassVar[Mapping[str, Sequence[str]]] = {}

    def __init__(self, config: EncoderConfig, *, pooler: bool = False) -> None:
        super().__init__(config, pooler=pooler)
        width, hidden = config.embedding_width, config.hidden
        self.embedding_proj = None if width == hidden else Linear(width, hidden)

    def embed(self, layout: TokenLayout, words: WordRows | None, offset: Tensor | None) -> Tensor:
        """BERT's embeddings, projected to the width of the layers."""
        x = super().embed(layout, words, offset)
        return x if self.embedding_proj is None else self.embedding_proj(x, layout.tasks)

    def hugging_face_keys(self) -> dict[str, list[str]]:
        """For each of our parameters, the Hugging Face keys that are stacked to make it."""
        keys = super().hugging_face_keys()
        if self.embedding_proj is not None:
            keys |= {f"embedding_proj.{part}": [f"embeddings_project.{part}"] for part in ("weight", "bias")}
        return keys
