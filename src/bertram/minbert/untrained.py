"""Runs that train nothing, scored and recorded as runs: constant answers, and an encoder as it was pretrained."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from bertram.config import Config
from bertram.evaluation.evaluate import Evaluation, evaluate
from bertram.evaluation.files import baselines
from bertram.evaluation.recording import describe, finish
from bertram.model.linear import choose_precision
from bertram.runs.directory import Run, create
from bertram.runs.record_parts import Seconds
from bertram.runs.scores import RunScores
from bertram.training.display import Display
from bertram.training.precision import kept_precision
from bertram.training.run_data import RunData, read_data
from bertram.training.setup import build_model


def untouched(config: Config, path: Path, display: Display) -> Run:  # noqa: ARG001 - takes half a minute at most
    """Score an encoder with new heads before any step."""
    start = time.monotonic()
    device = torch.device("cpu")
    precision = choose_precision(config.precision, device, kept_precision(path.parent))
    model, _ = build_model(config, device, precision)
    data = read_data(config, model.tokenizer, model.max_tokens)
    outputs = evaluate(model, data.dev, config.evaluation.batch_size).outputs
    return record_untrained(config, path, data, outputs, start)


def record_untrained(config: Config, path: Path, data: RunData, outputs: Mapping[str, Tensor], start: float) -> Run:
    """Record the outputs for the dev rows as a run that trained nothing.

    Args:
        config: configuration whose data are scored.
        path: run directory to create.
        data: data of the configuration.
        outputs: task -> outputs for its dev rows, in the form of `Predictor.outputs`.
        start: monotonic time at which the work began.
    """
    dev = Evaluation(data.dev, outputs)
    run = Run(path) if (path / "config.toml").is_file() else create(path, config)
    record = describe(
        config,
        dev,
        RunScores(dev.scores()),
        files=data.files,
        baselines={name: baselines(examples, data.own_labels(name)) for name, examples in data.dev.items()},
        seconds=Seconds(training=0.0, final_evaluation=round(time.monotonic() - start, 1)),
        device=torch.device("cpu"),
    )
    finish(run, replace(record, trained=False), dev)
    return run
