"""BERTram: one BERT for several text tasks, and an honest account of what each technique is worth.

bertram.load_encoder("minilm")        a pretrained encoder
bertram.train(config)                 a finished run
bertram.load(run)                     a trained model: `.predict(task, texts)`
bertram.smart, bertram.surgery        the techniques alone, on any PyTorch model
bertram.optimizer.AdamW
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertram import optimizer, smart, surgery
    from bertram.minbert.catalogue import recipe
    from bertram.model.pretrained import load_encoder
    from bertram.options import change
    from bertram.prediction.load import load
    from bertram.tasks import QUORA, SST, STS, Task
    from bertram.training.train import train

_HOME = {  # where each public name is; torch is loaded when one that needs it is first used
    "QUORA": "bertram.tasks",
    "SST": "bertram.tasks",
    "STS": "bertram.tasks",
    "Task": "bertram.tasks",
    "change": "bertram.options",
    "load": "bertram.prediction.load",
    "load_encoder": "bertram.model.pretrained",
    "recipe": "bertram.minbert.catalogue",
    "train": "bertram.training.train",
    "optimizer": "",
    "smart": "",
    "surgery": "",
}
__all__ = [
    "QUORA",
    "SST",
    "STS",
    "Task",
    "change",
    "load",
    "load_encoder",
    "optimizer",
    "recipe",
    "smart",
    "surgery",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bertram' has no attribute {name!r}")
    if not _HOME[name]:
        return importlib.import_module(f"bertram.{name}")
    module, _, attribute = _HOME[name].partition(":")
    return getattr(importlib.import_module(module), attribute or name)
