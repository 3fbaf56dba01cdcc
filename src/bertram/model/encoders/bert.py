"""BERT (Devlin et al., 2019)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from bertram.model.encoders.base import Encoder, EncoderLayer
from bertram.model.encoders.config import EncoderConfig
from bertram.model.encoders.layout import TokenLayout
from bertram.model.encoders.word_rows import WordRows, embedding
from bertram.model.linear import Linear, feed_forward
from bertram.model.norm import LayerNorm


class BertLayer(EncoderLayer):
    """Attention and feed-forward, each added to its input and normalized."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden, self.heads = config.hidden, config.heads
        self.query = Linear(hidden, hidden)
        self.key_value = Linear(hidden, 2 * hidden)  # keys and values in one product
        self.out_proj = Linear(hidden, hidden)
        self.attention_norm = LayerNorm(hidden, eps=config.norm_eps)
        self.up = Linear(hidden, config.intermediate)
        self.down = Linear(config.intermediate, hidden)
        self.output_norm = LayerNorm(hidden, eps=config.norm_eps)

    def forward(self, x: Tensor, layout: TokenLayout, bias: Tensor | None, *, first_only: bool = False) -> Tensor:
        """[..., H] to [..., H], or to [S, H] where only the first token of each sequence is wanted."""
        dropout, tasks = layout.dropout, layout.tasks
        queried = layout.first_tokens(x) if first_only else x
        attended = layout.attend(self.query(queried, tasks), self.key_value(x, tasks), self.heads, bias)
        x = self.attention_norm(queried + dropout.hidden(self.out_proj(attended, tasks)), tasks)
        return self.output_norm(x + dropout.hidden(feed_forward(self.up, self.down, x, tasks)), tasks)  # type: ignore[no-any-return]


class BertEncoder(Encoder):
    """A BERT of any depth and width."""

    model_types: ClassVar[tuple[str, ...]] = ("bert",)
    has_segments = True
    config_keys: ClassVar[Mapping[str, str]] = {
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
    fixed_values: ClassVar[Mapping[str, object]] = {
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "pad_token_id": 0,
    }
    prefix: ClassVar[str] = "bert."
    ignored_keys: ClassVar[tuple[str, ...]] = (
        "embeddings.position_ids",
        "cls.",
        "heads.",
    )  # old versions' buffer; pretraining's heads, and ours
    embedding_keys: ClassVar[Mapping[str, Sequence[str]]] = {
        "word_embeddings": ["embeddings.word_embeddings.weight"],
        "position_embeddings": ["embeddings.position_embeddings.weight"],
        "segment_embeddings": ["embeddings.token_type_embeddings.weight"],
        "embedding_norm.weight": ["embeddings.LayerNorm.weight"],
        "embedding_norm.bias": ["embeddings.LayerNorm.bias"],
    }
    layer_keys: ClassVar[Mapping[str, Sequence[str]]] = {
        "query": ["attention.self.query"],
        "key_value": ["attention.self.key", "attention.self.value"],
        "out_proj": ["attention.output.dense"],
        "attention_norm": ["attention.output.LayerNorm"],
        "up": ["intermediate.dense"],
        "down": ["output.dense"],
        "output_norm": ["output.LayerNorm"],
    }
    pooler_keys: ClassVar[Mapping[str, Sequence[str]]] = {
        "pooler.weight": ["pooler.dense.weight"],
        "pooler.bias": ["pooler.dense.bias"],
    }

    def __init__(self, config: EncoderConfig, *, pooler: bool = True) -> None:
        super().__init__()
        self.config = config
        width = config.embedding_width
        self.word_embeddings = nn.Parameter(torch.empty(config.vocabulary, width))
        self.position_embeddings = nn.Parameter(torch.empty(config.first_position + config.max_tokens, width))
        self.segment_embeddings = nn.Parameter(torch.empty(config.segments, width)) if config.segments else None
        self.embedding_norm = LayerNorm(width, eps=config.norm_eps)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.layers))
        self.pooler = Linear(config.hidden, config.hidden) if pooler else None

    def embed(self, layout: TokenLayout, words: WordRows | None, offset: Tensor | None) -> Tensor:
        """Word, position and segment embeddings, normalized."""
        first, tasks = self.config.first_position, layout.tasks
        positions = layout.positions + first if first else layout.positions
        x = self.words_of(layout, words, offset)
        x = x + embedding(positions, self.position_embeddings, tasks)
        if self.segment_embeddings is not None:
            segments = layout.segments if self.reads_segments else torch.zeros_like(layout.segments)
            x = x + embedding(segments, self.segment_embeddings, tasks)
        return layout.dropout.hidden(self.embedding_norm(x, tasks))


UNSEGMENTED_EMBEDDING_KEYS = {
    name: keys for name, keys in BertEncoder.embedding_keys.items() if name != "segment_embeddings"
}
"""Hugging Face keys of the embeddings of families that are BERT without segments."""
