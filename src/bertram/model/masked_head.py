"""The head of masked language models, in the form that all families share, and its names in the Hugging Face layout.

A dense layer, GELU, a norm, and a decoder whose weights are the word embeddings (tied), with a bias of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from bertram.model.encoders import Encoder
from bertram.model.linear import Linear


@dataclass(frozen=True)
class HeadLayout:
    """The head of a family in the Hugging Face layout.

    Attributes:
        architecture: class of `transformers` that has the head.
        dense: key of the dense layer.
        norm: key of the norm.
        bias: key of the decoder's bias.
        has_biases: whether the dense layer and the norm have biases.
    """

    architecture: str
    dense: str
    norm: str
    bias: str
    has_biases: bool = True


def _lm_head(architecture: str) -> HeadLayout:
    return HeadLayout(architecture, "lm_head.dense", "lm_head.layer_norm", "lm_head.bias")


LAYOUTS: Mapping[str, HeadLayout] = {
    "bert": HeadLayout(
        "BertForMaskedLM",
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.bias",
    ),
    "roberta": _lm_head("RobertaForMaskedLM"),
    "xlm-roberta": _lm_head("XLMRobertaForMaskedLM"),
    "camembert": _lm_head("CamembertForMaskedLM"),
    "mpnet": _lm_head("MPNetForMaskedLM"),
    "distilbert": HeadLayout("DistilBertForMaskedLM", "vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
    "electra": HeadLayout(
        "ElectraForMaskedLM", "generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"
    ),
    "modernbert": HeadLayout("ModernBertForMaskedLM", "head.dense", "head.norm", "decoder.bias", has_biases=False),
}


class MaskedHead(nn.Module):
    """Logits over the vocabulary for some hidden states.

    Args:
        encoder: encoder whose word embeddings are the decoder's weights.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        config = encoder.config
        self.layout = LAYOUTS[config.model_type]
        biases, width = self.layout.has_biases, config.embedding_width
        self.dense = Linear(config.hidden, width, bias=biases)
        self.norm = nn.LayerNorm(width, eps=config.norm_eps, bias=biases)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """[n, H] and [vocabulary, E] to [n, vocabulary]."""
        return F.linear(self.norm(F.gelu(self.dense(hidden))), word_embeddings, self.bias)

    def initialize(self, generator: torch.Generator, std: float = 0.02) -> None:
        """Weights of a new head."""
        with torch.no_grad():
            self.dense.weight.normal_(0.0, std, generator=generator)

    def hugging_face_keys(self) -> dict[str, str]:
        """The Hugging Face key of each parameter."""
        keys = {"bias": self.layout.bias}
        for own_name, key in (("dense", self.layout.dense), ("norm", self.layout.norm)):
            for part in ("weight", "bias") if self.layout.has_biases else ("weight",):
                keys[f"{own_name}.{part}"] = f"{key}.{part}"
        return keys

    def hugging_face_state(self) -> dict[str, Tensor]:
        """The weights under the Hugging Face keys."""
        parameters = dict(self.named_parameters())
        return {key: parameters[name].detach().contiguous() for name, key in self.hugging_face_keys().items()}

    def read(self, directory: Path) -> bool:
        """Take the head that a directory holds.

        Args:
            directory: encoder in the Hugging Face layout.

        Returns:
            Whether it holds one that fits; else the head stays as it is.
        """
        keys = self.hugging_face_keys()
        shapes = {name: list(parameter.shape) for name, parameter in self.named_parameters()}
        with safe_open(str(directory / "model.safetensors"), "pt") as file:
            stored = set(file.keys())
            if not stored.issuperset(keys.values()):
                return False
            state = {name: file.get_tensor(key).float() for name, key in keys.items()}
        if any(list(state[name].shape) != shape for name, shape in shapes.items()):
            return False
        self.load_state_dict(state)
        return True
