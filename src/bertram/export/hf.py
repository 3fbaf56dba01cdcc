"""The encoder for `transformers`: weights, shape and tokenizer in the layout of the Hugging Face Hub."""

import json
from pathlib import Path

from bertram.prediction.model import Model
from bertram.runs.tensors import write_tensors

USAGE = """\
```python
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModel.from_pretrained(".")
inputs = tokenizer("a lovely film", truncation=True, return_tensors="pt")
with torch.no_grad():
    hidden = model(**inputs).last_hidden_state  # [1, tokens, hidden]
```

The heads of the tasks are not in this format. For one vector per text, {pooling}.
"""
POOLINGS = {
    "cls": "take the first token's hidden state, as in training",
    "mean": "take the mean over the real tokens, as in training",
    "pooler": "take `pooler_output`, as in training",
}


def save_encoder(model: Model, directory: Path) -> None:
    """Write encoder and tokenizer so that ``BertModel`` and ``AutoTokenizer`` load them."""
    encoder = model.network.encoder
    directory.mkdir(parents=True, exist_ok=True)
    config = encoder.config_values(encoder.config) | {"dtype": "float32"}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_tensors(directory / "model.safetensors", encoder.hugging_face_state(), metadata={"format": "pt"})
    save_tokenizer(model, directory)


def save_tokenizer(model: Model, directory: Path, *, segments: bool = False) -> None:
    """Write the tokenizer, with the maximum length of the model.

    Args:
        model: model to export.
        directory: directory to write to.
        segments: let the type ids be our segments, also where the encoder reads none.
    """
    model.tokenizer.save(directory, segments=segments)
    path = directory / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) | {"model_max_length": model.max_tokens}
    if not model.network.encoder.reads_segments:
        settings["model_input_names"] = ["input_ids", "attention_mask"]
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def usage(model: Model) -> str:
    """Instructions for the directory, for its model card."""
    return USAGE.format(pooling=POOLINGS[model.network.pooling])
