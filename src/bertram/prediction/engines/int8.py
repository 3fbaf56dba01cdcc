"""Which parts of an encoder are computed in int8: all but those whose quantization changes the answers most.

The changes are measured on a sample of the training rows, so that the dev rows can tell what int8 costs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
import torch

from bertram.data.rows import read_rows
from bertram.data.splits import run_source
from bertram.errors import BertramError
from bertram.prediction.answers import Pieces
from bertram.prediction.engines.making import Int8Choice, answers_by_torch, engine_of, probe_pieces
from bertram.prediction.engines.multitask_graph import int8_parts
from bertram.prediction.engines.processor import weight_levels
from bertram.prediction.model import Model
from bertram.runs.directory import Run
from bertram.tasks import Task

ROWS = 64  # training rows of each task
LARGEST = 1 / 3  # of the bytes of fp32: the most that weights in int8 and parts left in fp32 may have together
LEAST_GAIN = 0.05  # share of the whole change that a part left in fp32 must save
SEED = 0
Samples = Mapping[str, list[Pieces]]


def choose_int8(
    model: Model, run: Run, notify: Callable[[str], None], tasks: Sequence[Task] | None = None
) -> Int8Choice:
    """The parts of an encoder to compute in int8.

    A part stays in fp32 if that takes at least a twentieth of the change of the answers away, as long as the weights
    have at most a third of the bytes that they have in fp32. The change is the mean over the tasks of the mean absolute
    change of a probability, or of a score in shares of its range.

    Args:
        model: trained model.
        run: run of the model, which tells where the training rows are.
        notify: called with a line if there are no training rows.
        tasks: tasks whose answers count; default: all tasks of the model.
    """
    parts = int8_parts(model)
    sizes = _sizes(model, parts)
    samples = _samples(model, list(model.tasks.values()) if tasks is None else tasks, run, notify)
    expected = {name: answers_by_torch(model, model.tasks[name], pieces) for name, pieces in samples.items()}
    change = partial(_change, model, samples, expected)

    whole = _choice(parts, ())
    total = change(whole)
    gains = {name: total - change(_choice(parts, [name])) for name in parts}
    budget = LARGEST * 4 * sum(sizes.values()) - sum(sizes.values())
    in_fp32: list[str] = []
    for name in sorted(parts, key=lambda part: -gains[part] / sizes[part]):
        if gains[name] >= LEAST_GAIN * total and 3 * (sizes[name] + sum(sizes[part] for part in in_fp32)) <= budget:
            in_fp32.append(name)
    chosen = _choice(parts, [name for name in parts if name in in_fp32])
    return replace(chosen if not in_fp32 or change(chosen) < total else whole, gains=gains)


def _choice(parts: Mapping[str, Sequence[str]], fp32: Iterable[str]) -> Int8Choice:
    left = tuple(fp32)
    weights = frozenset(name for part, names in parts.items() if part not in left for name in names)
    return Int8Choice(weights, weight_levels(), left)


def _sizes(model: Model, parts: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Number of weights of each part."""
    weights = dict(model.network.named_parameters())
    return {part: sum(weights[name].numel() for name in names) for part, names in parts.items()}


def _samples(model: Model, tasks: Sequence[Task], run: Run, notify: Callable[[str], None]) -> dict[str, list[Pieces]]:
    """Token ids of some training rows of each task; other texts where there are none."""
    samples = {}
    for task in tasks:
        name = task.name
        try:
            texts = read_rows(task, run_source(run), "train", labelled=False, allow_rejects=True).texts
        except BertramError as error:
            notify(f"task {name}: no training rows to choose the parts in int8 by, so example texts are used ({error})")
            samples[name] = probe_pieces(model, task)
            continue
        chosen = np.sort(np.random.default_rng(SEED).permutation(len(texts))[:ROWS])
        samples[name] = model.tokenizer.encode_rows([texts[int(place)] for place in chosen])
    return samples


def _change(model: Model, samples: Samples, expected: Mapping[str, torch.Tensor], choice: Int8Choice) -> float:
    """Mean over the tasks of the mean absolute change of the answers."""
    with TemporaryDirectory() as directory:
        tasks = [model.tasks[name] for name in samples]
        answers = engine_of(model, Path(directory), tasks, choice).answers(samples)
    changes = []
    for name in samples:
        low, high = model.tasks[name].label_space.bounds or (0.0, 1.0)
        change = np.abs(answers[name].meaning - expected[name].numpy()).mean() / (high - low)
        changes.append(float(change))
    return fmean(changes)
