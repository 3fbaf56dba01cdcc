"""A tiny BERT in the Hugging Face layout, so that tests of training take seconds."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from bertram.data.tokenizer import load_tokenizer
from bertram.model.encoders import EncoderConfig
from bertram.model.encoders.bert import BertEncoder
from bertram.model.pretrained import find

TINY = EncoderConfig(hidden=32, layers=2, heads=4, intermediate=64, max_tokens=64)


def save_encoder(directory: Path, shape: EncoderConfig = TINY, seed: int = 0) -> Path:
    """Write random weights and MiniLM's tokenizer to a directory that `--encoder` takes."""
    directory.mkdir(parents=True, exist_ok=True)
    encoder = BertEncoder(shape)
    encoder.initialize(torch.Generator().manual_seed(seed))
    save_file(encoder.hugging_face_state(), str(directory / "model.safetensors"), metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(encoder.config_values(shape)))
    load_tokenizer(find("minilm")).save(directory)
    return directory
