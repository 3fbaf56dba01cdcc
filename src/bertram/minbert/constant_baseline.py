"""Row 1 of the study: answers that need no model, scored and recorded as a run."""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bertram.config import Config
from bertram.minbert.untrained import record_untrained
from bertram.model.pretrained import find, read_tokenizer
from bertram.runs.directory import Run
from bertram.tasks import Task
from bertram.training.display import Display
from bertram.training.run_data import read_data

LONGEST = 512  # tokens; texts are not read here, only their labels


def answer(config: Config, path: Path, *, yes: bool = False) -> Run:
    """Score constant answers: the middle class, always no or yes, and a random similarity.

    Args:
        config: configuration; its data are scored, and its seed draws the random similarity.
        path: run directory to create.
        yes: answer yes instead of no.
    """
    start = time.monotonic()
    data = read_data(config, read_tokenizer(find(config.encoder)), LONGEST)
    generator = np.random.default_rng([config.seed, 1])
    outputs = {
        name: _constant(config.tasks[name], len(examples), generator, yes=yes) for name, examples in data.dev.items()
    }
    return record_untrained(config, path, data, outputs, start)


def always_no(config: Config, path: Path, display: Display) -> Run:  # noqa: ARG001 - nothing takes time
    """Row 1: neutral, no, a random similarity."""
    return answer(config, path)


def always_yes(config: Config, path: Path, display: Display) -> Run:  # noqa: ARG001
    """Row 1 with yes for no."""
    return answer(config, path, yes=True)


def _constant(task: Task, count: int, generator: np.random.Generator, *, yes: bool) -> Tensor:
    """Outputs in the form of `Predictor.outputs`: [n, K], or [n] scores drawn evenly from the label range."""
    answer = task.label_space.constant(yes=yes)
    if answer is None:
        return torch.from_numpy(generator.uniform(*task.range, count))
    return F.one_hot(torch.full((count,), answer), task.classes).float()
