"""MPNet (Song et al., 2020): BERT without segments, with a relative position bias that all layers share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertram.model.encoders.bert import UNSEGMENTED_EMBEDDING_KEYS, BertEncoder
from bertram.model.encoders.config import EncoderConfig, PaddedPositionsConfig
from bertram.model.encoders.layout import TokenLayout

MAX_DISTANCE = 128  # tokens; all larger distances share a bucket


@dataclass(frozen=True)
class MPNetConfig(PaddedPositionsConfig):
    """The shape of an MPNet.

    Attributes:
        buckets: number of buckets of relative positions.
        model_type: name of the family in config.json.
    """

    vocabulary: int = 30527
    segments: int = 0
    buckets: int = 32
    model_type: str = "mpnet"


class MPNetEncoder(BertEncoder):
    """An MPNet."""

    model_types = ("mpnet",)
    has_segments = False
    config_class = MPNetConfig
    config_keys: ClassVar[Mapping[str, str]] = {
        **{field: key for field, key in BertEncoder.config_keys.items() if field != "segments"},
        "buckets": "relative_attention_num_buckets",
    }
    fixed_values: ClassVar[Mapping[str, Any]] = {"hidden_act": "gelu", "pad_token_id": 1}  # 1 in every MPNet
    prefix = "mpnet."
    ignored_keys = ("embeddings.position_ids", "lm_head.", "heads.")
    embedding_keys: ClassVar[Mapping[str, Sequence[str]]] = {
        **UNSEGMENTED_EMBEDDING_KEYS,
        "position_bias": ["encoder.relative_attention_bias.weight"],
    }
    layer_keys: ClassVar[Mapping[str, Sequence[str]]] = {
        "query": ["attention.attn.q"],
        "key_value": ["attention.attn.k", "attention.attn.v"],
        "out_proj": ["attention.attn.o"],
        "attention_norm": ["attention.LayerNorm"],
        "up": ["intermediate.dense"],
        "down": ["output.dense"],
        "output_norm": ["output.LayerNorm"],
    }

    def __init__(self, config: EncoderConfig, *, pooler: bool = True) -> None:
        assert isinstance(config, MPNetConfig)
        super().__init__(config, pooler=pooler)
        self.buckets = config.buckets
        self.position_bias = nn.Parameter(torch.empty(config.buckets, config.heads))

    def biases(self, layout: TokenLayout) -> list[Tensor | None]:
        """The bias of each bucket and head at the distances of the tokens, [heads, L, L], for all layers.

        Where each task's gradient is wanted, each has a bias of its own with the same values, [T, heads, L, L].
        """
        places = layout.places()
        index = bucket(places[None, :] - places[:, None], self.buckets)
        if layout.tasks is None:
            bias = F.embedding(index, self.position_bias).permute(2, 0, 1)
        else:
            tables = layout.tasks.in_place_of(self.position_bias)
            bias = torch.stack([F.embedding(index, table).permute(2, 0, 1) for table in tables])
        return [bias] * len(self.layers)


def bucket(distance: Tensor, buckets: int) -> Tensor:
    """The bucket of each distance from query to key, as T5 has them (Raffel et al., 2020), in both directions.

    Half of the buckets are for keys after the query; in each half, small distances have buckets of their own, and
    larger ones share buckets of logarithmic width.
    """
    half = buckets // 2
    exact = half // 2
    size = distance.abs()
    large = exact + (torch.log(size.float() / exact) / math.log(MAX_DISTANCE / exact) * (half - exact)).long()
    return torch.where(distance > 0, half, 0) + torch.where(size < exact, size, large.clamp(max=half - 1))
