"""DistilBERT (Sanh et al., 2019): BERT without segments and pooler, and without dropout after attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from bertram.model.encoders.bert import UNSEGMENTED_EMBEDDING_KEYS, BertEncoder, BertLayer
from bertram.model.encoders.config import EncoderConfig
from bertram.model.encoders.layout import TokenLayout
from bertram.model.linear import feed_forward


@dataclass(frozen=True)
class DistilBertConfig(EncoderConfig):
    """The shape of a DistilBERT.

    Attributes:
        model_type: name of the family in config.json.
    """

    segments: int = 0
    model_type: str = "distilbert"


class DistilBertLayer(BertLayer):
    """BERT's layer without dropout after attention."""

    def forward(self, x: Tensor, layout: TokenLayout, bias: Tensor | None, *, first_only: bool = False) -> Tensor:
        """[..., H] to [..., H], or to [S, H] where only the first token of each sequence is wanted."""
        dropout, tasks = layout.dropout, layout.tasks
        queried = layout.first_tokens(x) if first_only else x
        attended = layout.attend(self.query(queried, tasks), self.key_value(x, tasks), self.heads, bias)
        x = self.attention_norm(queried + self.out_proj(attended, tasks), tasks)
        return self.output_norm(x + dropout.hidden(feed_forward(self.up, self.down, x, tasks)), tasks)  # type: ignore[no-any-return]


class DistilBertEncoder(BertEncoder):
    """A DistilBERT."""

    model_types = ("distilbert",)
    has_segments = False
    config_class = DistilBertConfig
    config_keys: ClassVar[Mapping[str, str]] = {
        "vocabulary": "vocab_size",
        "hidden": "dim",
        "layers": "n_layers",
        "heads": "n_heads",
        "intermediate": "hidden_dim",
        "max_tokens": "max_position_embeddings",
        "hidden_dropout": "dropout",
        "attention_dropout": "attention_dropout",
    }
    fixed_values: ClassVar[Mapping[str, Any]] = {"activation": "gelu", "pad_token_id": 0}
    activation_key = "activation"
    prefix = "distilbert."
    ignored_keys = ("embeddings.position_ids", "vocab_", "heads.")
    embedding_keys: ClassVar[Mapping[str, Sequence[str]]] = UNSEGMENTED_EMBEDDING_KEYS
    layer_keys: ClassVar[Mapping[str, Sequence[str]]] = {
        "query": ["attention.q_lin"],
        "key_value": ["attention.k_lin", "attention.v_lin"],
        "out_proj": ["attention.out_lin"],
        "attention_norm": ["sa_layer_norm"],
        "up": ["ffn.lin1"],
        "down": ["ffn.lin2"],
        "output_norm": ["output_layer_norm"],
    }
    layer_prefix = "transformer.layer"
    pooler_keys: ClassVar[Mapping[str, Sequence[str]]] = {}

    def __init__(self, config: EncoderConfig, *, pooler: bool = False) -> None:
        super().__init__(config, pooler=pooler)
        self.layers = nn.ModuleList(DistilBertLayer(config) for _ in range(config.layers))
