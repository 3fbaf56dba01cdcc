"""RoBERTa (Liu et al., 2019) and its relatives XLM-R (Conneau et al., 2020) and CamemBERT (Martin et al., 2020).

BERT's layers; positions begin after the padding token's id, and all tokens are of one segment. The peer gives a
padding token inside a text no position of its own; here every token of a sequence has one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bertram.model.encoders.bert import BertEncoder
from bertram.model.encoders.config import PaddedPositionsConfig


@dataclass(frozen=True)
class RobertaConfig(PaddedPositionsConfig):
    """The shape of a RoBERTa.

    Attributes:
        model_type: name of the family in config.json.
    """

    vocabulary: int = 50265
    model_type: str = "roberta"


class RobertaEncoder(BertEncoder):
    """A RoBERTa, an XLM-R or a CamemBERT."""

    model_types = ("roberta", "xlm-roberta", "camembert")
    has_segments = False
    config_class = RobertaConfig
    config_keys: ClassVar[Mapping[str, str]] = {
        **BertEncoder.config_keys,
        "padding_id": "pad_token_id",
        "model_type": "model_type",
    }
    fixed_values: ClassVar[Mapping[str, Any]] = {"hidden_act": "gelu"}
    prefix = "roberta."
    ignored_keys = ("embeddings.position_ids", "lm_head.", "heads.")
