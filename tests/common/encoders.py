"""A tiny BERT in the Hugging Face layout, so that tests of training take seconds."""

import json
from functools import cache
from pathlib import Path

import tokenizers
import torch
from safetensors.torch import save_file

from bertram.data.tokenizer import Tokenizer, load_tokenizer
from bertram.model.encoders import EncoderConfig
from bertram.model.encoders.bert import BertEncoder
from bertram.model.pretrained import find

VOCABULARY = 6000  # MiniLM's first tokens: all letters, alone and inside a word, and the most frequent words
TINY = EncoderConfig(vocabulary=VOCABULARY, hidden=32, layers=2, heads=4, intermediate=64, max_tokens=64)


def save_encoder(directory: Path, shape: EncoderConfig = TINY, seed: int = 0) -> Path:
    """Write random weights and a small tokenizer to a directory that `--encoder` takes."""
    directory.mkdir(parents=True, exist_ok=True)
    encoder = BertEncoder(shape)
    encoder.initialize(torch.Generator().manual_seed(seed))
    save_file(encoder.hugging_face_state(), str(directory / "model.safetensors"), metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(encoder.config_values(shape)))
    Tokenizer(tokenizers.Tokenizer.from_str(small_tokenizer()), "MiniLM's").save(directory)
    return directory


@cache
def small_tokenizer() -> str:
    """The first tokens of MiniLM's tokenizer, with their ids, as a ``tokenizer.json``."""
    whole = json.loads(load_tokenizer(find("minilm")).to_json())
    vocabulary = whole["model"]["vocab"]
    whole["model"]["vocab"] = {token: number for token, number in vocabulary.items() if number < VOCABULARY}
    return json.dumps(whole)
