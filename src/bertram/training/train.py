"""From a configuration to a finished run."""

import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bertram import options
from bertram.config import Config
from bertram.errors import RunError
from bertram.evaluation.evaluate import Evaluation
from bertram.evaluation.files import baselines, confusions, keep_predictions
from bertram.model.storage import WEIGHTS, load_state
from bertram.runs import checkpoint
from bertram.runs.directory import FORMAT, Run, create, refuse_existing
from bertram.runs.files import restore_directory, write_json
from bertram.runs.provenance import peak_memory_mib, provenance
from bertram.training import processes
from bertram.training.display import Display, Silent
from bertram.training.process_state import own_process_state
from bertram.training.setup import begin
from bertram.training.state import Training
from bertram.training.trainer import Trainer
from bertram.training.writer import NoWriter, RunWriter, Writer


def train(
    config: Config, out: Path | str | None = None, *, resume: bool = False, display: Display | None = None
) -> Run:
    """Train one model on the tasks of a configuration.

    Args:
        config: configuration of the run.
        out: run directory; default: below ``runs/``, named by recipe, seed and time.
        resume: True to go on with the run in `out` from its newest sound checkpoint.
        display: shows the progress; nothing is shown by default.

    Returns:
        The finished run; `Run.record` has its scores.

    Raises:
        ConfigError: options or data that cannot be used; all faults are named, before anything is trained.
        RunError: the run directory exists already, was started with other settings, or cannot be written.
        TrainingError: a loss or gradient is not finite.
    """
    processes.start(config.device)
    path = Path(out) if out is not None else default_path(config)
    if resume and path.is_dir() and Run(path).finished:
        if (path / "config.toml").is_file():
            _require_same_settings(Run(path), config)
        return Run(path)
    if not (resume and (path / "config.toml").is_file()):
        processes.on_first(lambda: refuse_existing(path))  # before the data are read
    shown = display if display is not None and processes.is_first() else Silent()
    with own_process_state(config):
        training = begin(config, choose_device(config))
        for caution in training.data.cautions:
            shown.say(f"caution: {caution}")
        run = _directory(path, config, resume=resume)
        with _continue(training, run, resume=resume) as writer:
            trainer = Trainer(training, writer, shown)
            trainer.fit()
        _finish(trainer, run)
    processes.wait()
    return Run(path)


def choose_device(config: Config) -> torch.device:
    """The device that the configuration asks for; with ``auto`` CUDA if it is available.

    Raises:
        RunError: CUDA is asked for and not available.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise RunError("device = cuda: PyTorch finds no CUDA device; use --device auto")
    if config.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def default_path(config: Config) -> Path:
    """The default run directory."""
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path(processes.from_first(f"runs/{config.recipe}-seed{config.seed}-{now}"))


def _directory(path: Path, config: Config, *, resume: bool) -> Run:
    run = Run(path)
    if not (resume and (path / "config.toml").is_file()):
        processes.on_first(lambda: create(path, config))
    else:
        _require_same_settings(run, config)
        processes.on_first(lambda: restore_directory(run.model))
    processes.wait()
    if not (path / "config.toml").is_file():
        raise RunError(f"{path}: rank {processes.rank()} cannot see it; all processes need a shared file system")
    return run


def _require_same_settings(run: Run, config: Config) -> None:
    if options.digest(run.config) != options.digest(config):
        raise RunError(f"{run.path}: was started with other settings (config.toml there); resume it with those")


def _continue(training: Training, run: Run, *, resume: bool) -> Writer:
    """Restore the newest checkpoint, if there is one, and give this process's writer."""
    newest = checkpoint.newest(run.checkpoints) if resume else None
    position = 0
    if newest is not None:
        _, state = newest
        position = state.pop("metrics")
        training.load_state_dict(state)
    if not processes.is_first():
        return NoWriter()
    return RunWriter(run, checkpoints=training.config.checkpoint.save_total_limit, log_position=position)


def _finish(trainer: Trainer, run: Run) -> None:
    """Score the weights that the run ends with, and write the record."""
    training, each = trainer.training, trainer.display.evaluating
    begun = time.monotonic()
    _use_final_weights(training, run)
    evaluations = {"dev": trainer.predict(training.data.dev, each)}
    if training.data.train_sample:
        evaluations["train"] = trainer.predict(training.data.train_sample, each)
    processes.on_first(lambda: _write_record(training, run, evaluations, begun))


def _write_record(training: Training, run: Run, evaluations: dict[str, Evaluation], begun: float) -> None:
    """Write the dev predictions and the record, and remove the checkpoints."""
    keep_predictions(run, evaluations["dev"], "dev")
    record = describe(training) | {
        "scores": {split: evaluation.scores() for split, evaluation in evaluations.items()},
        "confusion": confusions(evaluations["dev"]),
        "baselines": {n: baselines(e, training.data.own_labels(n)) for n, e in training.data.dev.items()},
        "seconds": {"training": round(training.seconds, 1), "final_evaluation": round(time.monotonic() - begun, 1)},
        "peak_memory_mib": peak_memory_mib(),
    }
    write_json(run.path / "record.json", record)
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def _use_final_weights(training: Training, run: Run) -> None:
    """The best weights if they are asked for, else the last ones, averaged where there is an average.

    Raises:
        RunError: they are missing or damaged.
    """
    processes.wait()
    path = run.model / WEIGHTS
    try:
        state = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: missing or damaged ({error}), and no checkpoint has it; start a new run") from None
    load_state(training.model.network, state)


def describe(training: Training) -> dict[str, Any]:
    """The part of a record that says how a run was made."""
    config, sampler = training.config, training.sampler
    network = training.model.network
    return {
        "format": FORMAT,
        "recipe": config.recipe,
        "seed": config.seed,
        "config_hash": options.digest(config),
        "config": options.dump(config),
        "encoder": {"source": config.encoder, "shape": vars(network.encoder.config)},
        "parameters": {
            "all": sum(p.numel() for p in network.parameters()),
            "trained": sum(p.numel() for p in network.parameters() if p.requires_grad),
        },
        "data": training.data.files,
        "cautions": training.data.cautions,
        "cut": {name: examples.cut() for name, examples in training.data.train.items()},
        "steps": {
            "taken": sampler.step,
            "per_epoch": sampler.steps_per_epoch,
            "epoch": sampler.order.epoch,
            "best": training.best.step,
        },
        "examples_seen": sampler.seen(),
        "precision": training.precision,
        "processes": processes.count(),
        **provenance(network.device),
    }
