"""Tiny encoders of every family, written by `transformers` with random weights."""

from pathlib import Path
from typing import Any

import torch
import transformers

VOCABULARY, HIDDEN, POSITIONS = 300, 24, 140
USUAL: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "num_hidden_layers": 4, "num_attention_heads": 3,
    "intermediate_size": 40, "max_position_embeddings": POSITIONS, "layer_norm_eps": 1e-6,
}  # fmt: skip
AFTER_PADDING = USUAL | {"max_position_embeddings": POSITIONS + 2, "pad_token_id": 1}
DISTILBERT = {
    "vocab_size": VOCABULARY, "dim": HIDDEN, "n_layers": 4, "n_heads": 3, "hidden_dim": 40,
    "max_position_embeddings": POSITIONS,
}  # fmt: skip
MODERNBERT = {key: value for key, value in USUAL.items() if key != "layer_norm_eps"} | {
    "local_attention": 12, "pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {  # name of the peer's classes, and the configuration
    "bert": ("Bert", USUAL),
    "roberta": ("Roberta", AFTER_PADDING | {"type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", AFTER_PADDING | {"type_vocab_size": 1}),
    "mpnet": ("MPNet", AFTER_PADDING),
    "distilbert": ("DistilBert", DISTILBERT),
    "electra": ("Electra", USUAL | {"embedding_size": 16}),
    "modernbert": ("ModernBert", MODERNBERT),
}


def save_peer(family: str, directory: Path, **changes: Any) -> torch.nn.Module:
    """Write a random encoder of a family; gives the peer's model."""
    name, values = FAMILIES[family]
    torch.manual_seed(0)
    model_class: Any = getattr(transformers, f"{name}Model")
    peer = model_class(getattr(transformers, f"{name}Config")(**values, **changes))
    with torch.no_grad():
        for parameter in peer.parameters():  # norms start at 1 and biases at 0, which would hide mistakes
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    peer.save_pretrained(directory)
    loaded: torch.nn.Module = model_class.from_pretrained(directory).eval()
    return loaded
