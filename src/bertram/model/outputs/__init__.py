"""Kinds of output, one class each: what the raw numbers of a head mean and what they cost."""

from bertram.model.outputs.base import DenseForm, Output
from bertram.model.outputs.factory import output_of

__all__ = ["DenseForm", "Output", "output_of"]
