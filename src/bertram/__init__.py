"""BERTram: one BERT for several text tasks, and an honest account of what each training technique is worth.

    train(config)                  a finished run
    load(run)                      a trained model: `.predict(task, texts)`
    crossval(config)               scores of every training row by a model that never saw it
    evaluate(run)                  scores on labelled files
    compare(runs)                  differences of runs, each with a `Verdict`
    load_encoder("minilm")         a pretrained encoder
    recipe, change                 configurations; `Config`, `Task`
    smart, surgery, optimizer      the techniques alone, on any PyTorch model
    BertramError and its kinds     errors that a user can act on

PyTorch is imported when a name that needs it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bertram import optimizer, smart, surgery
    from bertram.comparison.comparison import compare_runs as compare
    from bertram.comparison.verdict import Verdict
    from bertram.config import Config
    from bertram.errors import BertramError, ConfigError, DataError, RunError, TrainingError, WeightsError
    from bertram.evaluation.files import evaluate_run as evaluate
    from bertram.experiments.crossval import cross_validate as crossval
    from bertram.minbert.catalogue import recipe
    from bertram.model.pretrained import load_encoder
    from bertram.options import change
    from bertram.prediction.answers import Prediction
    from bertram.prediction.engines.load import load
    from bertram.prediction.model import Model
    from bertram.runs.directory import Run
    from bertram.tasks import QUORA, SST, STS, Task
    from bertram.training.train import train

    __version__: str

_HOMES = {  # module and name of each public name
    "compare": "bertram.comparison.comparison:compare_runs",
    "Verdict": "bertram.comparison.verdict:Verdict",
    "Config": "bertram.config:Config",
    "BertramError": "bertram.errors:BertramError",
    "ConfigError": "bertram.errors:ConfigError",
    "DataError": "bertram.errors:DataError",
    "RunError": "bertram.errors:RunError",
    "TrainingError": "bertram.errors:TrainingError",
    "WeightsError": "bertram.errors:WeightsError",
    "evaluate": "bertram.evaluation.files:evaluate_run",
    "crossval": "bertram.experiments.crossval:cross_validate",
    "recipe": "bertram.minbert.catalogue:recipe",
    "load_encoder": "bertram.model.pretrained:load_encoder",
    "change": "bertram.options:change",
    "load": "bertram.prediction.engines.load:load",
    "Model": "bertram.prediction.model:Model",
    "Prediction": "bertram.prediction.answers:Prediction",
    "Run": "bertram.runs.directory:Run",
    "QUORA": "bertram.tasks:QUORA",
    "SST": "bertram.tasks:SST",
    "STS": "bertram.tasks:STS",
    "Task": "bertram.tasks:Task",
    "train": "bertram.training.train:train",
}
_SUBMODULES = ("optimizer", "smart", "surgery")
__all__ = [
    "QUORA",
    "SST",
    "STS",
    "BertramError",
    "Config",
    "ConfigError",
    "DataError",
    "Model",
    "Prediction",
    "Run",
    "RunError",
    "Task",
    "TrainingError",
    "Verdict",
    "WeightsError",
    "__version__",
    "change",
    "compare",
    "crossval",
    "evaluate",
    "load",
    "load_encoder",
    "optimizer",
    "recipe",
    "smart",
    "surgery",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, attribute = _HOMES[name].split(":")
        return getattr(importlib.import_module(module), attribute)
    if name in _SUBMODULES:
        return importlib.import_module(f"bertram.{name}")
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - a third of the time of a bare import

        return version("bertram")
    raise AttributeError(f"module 'bertram' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
