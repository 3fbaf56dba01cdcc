"""Kinds of output, one class each: what the raw numbers of a head mean and what they cost.

Each file of this folder registers its kinds; docs/outputs.md says how to add one.
"""

from importlib import import_module
from pkgutil import iter_modules

from bertram.model.outputs.base import ClassifierForm, DenseForm, Output, ScoreOutput, Settings, YesNoOutput
from bertram.model.outputs.registry import output_of, register

__all__ = ["ClassifierForm", "DenseForm", "Output", "ScoreOutput", "Settings", "YesNoOutput", "output_of", "register"]

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
