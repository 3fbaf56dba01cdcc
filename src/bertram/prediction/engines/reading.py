"""Inputs of a graph for the examples of a task; without PyTorch.

A graph reads sequences of token ids. A task whose examples are one sequence each has an answer for each sequence. One
whose examples are two, because pairs are encoded text by text or read in both orders, has one for each example, and the
inputs `first` and `second` of an exported graph say which sequences are the example's.
"""

from dataclasses import dataclass
from typing import Literal

from bertram.tasks import Task

SEQUENCES = ("sequences", "tokens")  # axes of the token inputs
ROWS = ("first", "second")  # inputs with the sequences of each example
Engine = Literal["auto", "torch", "onnx", "onnx-int8"]
Calls = Literal["single", "batches"]  # what a model is mostly asked for: one text at a time, or many


@dataclass(frozen=True)
class GraphTask:
    """The place of a task in a graph.

    Attributes:
        output: name of the output with its probabilities or scores.
        value: name of the output with its decisions.
        rows: number of sequences that an example is, 1 or 2.
        reads: output of each sequence that an engine's graph of pairs reads; empty for examples of one sequence, and in
            an exported graph.
    """

    output: str
    value: str
    rows: int
    reads: str = ""


def reads_two_rows(task: Task, *, both_orders: bool) -> bool:
    """Whether an example of a task is two sequences.

    Args:
        task: the task.
        both_orders: True if the model reads cross-encoded pairs in both orders.
    """
    return task.pair and (task.encoding == "bi" or both_orders)
