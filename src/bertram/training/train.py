"""Training: a configuration becomes a finished run."""

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import torch

from bertram import options
from bertram.config import Config
from bertram.data.labels import with_labels
from bertram.data.sources import DataSource, source_of
from bertram.data.splits import run_source, write_held_out
from bertram.errors import BertramError, RunError
from bertram.evaluation.evaluate import Evaluation
from bertram.evaluation.files import baselines
from bertram.evaluation.recording import describe, finish
from bertram.model.linear import Precision, choose_precision
from bertram.model.storage import WEIGHTS, load_state
from bertram.runs import checkpoint
from bertram.runs.directory import Run, create, log_fault, refuse_existing
from bertram.runs.files import restore_directory
from bertram.runs.lock import remove_remnant, run_lock
from bertram.runs.provenance import peak_memory_mib
from bertram.runs.record import Record
from bertram.runs.record_parts import EncoderInfo, Parameters, Seconds, Steps
from bertram.runs.scores import RunScores
from bertram.runs.tensors import read_tensors
from bertram.training import processes
from bertram.training.display import Display, Silent
from bertram.training.precision import keep_precision, kept_precision
from bertram.training.process_state import own_process_state
from bertram.training.setup import begin
from bertram.training.state import Training
from bertram.training.trainer import Trainer
from bertram.training.writer import NoWriter, RunWriter, Writer


def train(
    config: Config,
    out: Path | str | None = None,
    data: object = None,
    *,
    resume: bool = False,
    display: Display | None = None,
    measured: Precision | None = None,
) -> Run:
    """Train one model on the tasks of a configuration.

    Labels of a task that names none are read from its training rows. Dev rows of a task that has none are held out of
    them; the run directory holds which.

    Args:
        config: configuration of the run.
        out: run directory; default: below ``runs/``, named by recipe, seed and time.
        data: tables in memory in the place of files: a table of training rows, or ``{"train": table, "dev": table}``,
            or one of these for each task by its name. A table is a list of dictionaries, a dictionary of columns, a
            DataFrame of polars or pandas, an Arrow table or a Hugging Face data set. A text is where the files are, as
            `Config.data`.
        resume: continue the run in `out` from its newest valid checkpoint.
        display: shows the progress; nothing is shown by default.
        measured: precision that ``precision = "auto"`` has given the other runs of a study; default: measured here.

    Returns:
        The finished run; `Run.record` has its scores.

    Raises:
        ConfigError: options or data that cannot be used; all faults are named, before anything is trained.
        RunError: the run directory exists already, was started with other settings, or cannot be written.
        TrainingError: a loss or gradient is not finite.
    """
    config, source = with_source(config, data)
    processes.start(config.device)
    path = Path(out) if out is not None else default_path(config)
    labelled = with_labels(config, source)
    config = labelled.config
    if resume and path.is_dir() and Run(path).finished:
        if (path / "config.toml").is_file():
            _require_same_settings(Run(path), config)
        processes.on_first(lambda: _remove_remains(Run(path)))
        return Run(path)
    if not (resume and (path / "config.toml").is_file()):
        processes.on_first(lambda: refuse_existing(path))  # before the data are read
    own_display = display if display is not None and processes.is_first() else Silent()
    with own_process_state(config), _run_lock(path):
        if resume and Run(path).finished:  # by the process that held the run until now
            return Run(path)
        is_new = not (path / "config.toml").is_file()
        if out is None:
            own_display.say(f"run: {path}")
        run = _directory(path, config, resume=resume)  # before anything slow begins, so that --resume always works
        try:
            device = choose_device(config)
            precision = kept_precision(run.checkpoints) or choose_precision(config.precision, device, measured)
            training = begin(config, device, run_source(run, source), precision)
            processes.on_first(lambda: write_held_out(run, training.data.held_out))
        except BertramError:
            if is_new:  # nothing was trained; the next attempt shall find no run here
                processes.on_first(lambda: (path / "config.toml").unlink(missing_ok=True))
            raise
        if config.precision == "auto":
            processes.on_first(lambda: keep_precision(run.checkpoints, training.precision))
        for note in labelled.notes:
            own_display.say(note)
        training.learn_from_teachers(path, own_display.say)
        for caution in training.data.cautions:
            own_display.say(f"caution: {caution}")
        with _continue(training, run, resume=resume, say=own_display.say) as writer:
            trainer = Trainer(training, writer, own_display)
            trainer.fit()
        _finish(trainer, run)
    processes.wait()
    return Run(path)


def with_source(config: Config, data: object) -> tuple[Config, DataSource]:
    """The checked configuration with the place of its data, and the data: those in memory, or its own for None."""
    source = source_of(config.data if data is None else data, config.tasks)
    # A copy that was changed without a check is checked here.
    return options.make({**options.dump(config), "data": source.place}), source


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


def _run_lock(path: Path) -> AbstractContextManager[None]:
    """The lock of a run directory, in the first process."""
    return run_lock(path) if processes.is_first() else nullcontext()


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


def _continue(training: Training, run: Run, *, resume: bool, say: Callable[[str], None]) -> Writer:
    """Restore the newest checkpoint, if there is one, and give this process's writer."""
    newest = checkpoint.newest(run.checkpoints) if resume else None
    position, fault = 0, None
    if newest is not None:
        _, state = newest
        position = state.pop("metrics")
        fault = log_fault(run.metrics, position, state.pop("metrics_sha256", None))
        training.load_state_dict(state)
    if not processes.is_first():
        return NoWriter()
    writer = RunWriter(run, checkpoints=training.config.checkpoint.save_total_limit, log_position=position)
    if fault is not None:
        say(f"{run.metrics}: {fault}; training continues; its weights are not concerned")
        writer.log({"step": training.sampler.step, "log_fault": fault})
    return writer


def _finish(trainer: Trainer, run: Run) -> None:
    """Score the weights that the run ends with, and write the record."""
    training, progress = trainer.training, trainer.display.evaluating
    start = time.monotonic()
    _use_final_weights(training, run)
    dev = trainer.predict(training.data.dev, progress)
    sample = training.data.train_sample
    train = trainer.predict(sample, progress) if sample else None
    processes.on_first(lambda: _write_record(training, run, dev, train, start))


def _write_record(training: Training, run: Run, dev: Evaluation, train: Evaluation | None, start: float) -> None:
    """Write the dev predictions and the record, and remove the checkpoints."""
    record = describe(
        training.config,
        dev,
        RunScores(dev.scores(), None if train is None else train.scores()),
        files=training.data.files,
        baselines={name: baselines(e, training.data.own_labels(name)) for name, e in training.data.dev.items()},
        seconds=Seconds(round(training.seconds, 1), final_evaluation=round(time.monotonic() - start, 1)),
        device=training.model.network.device,
    )
    finish(run, _with_training(record, training, dev), dev)
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def _remove_remains(run: Run) -> None:
    """Remove what a kill has left in a finished run."""
    remove_remnant(run.path)
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def _use_final_weights(training: Training, run: Run) -> None:
    """The best weights if they are asked for, else the last ones, averaged where there is an average.

    Raises:
        RunError: they are missing or damaged.
    """
    processes.wait()
    path = run.model / WEIGHTS
    try:
        state = read_tensors(path)
    except RunError as error:
        raise RunError(f"{error}, and no checkpoint has it; start a new run") from None
    load_state(training.model.network, state)


def _with_training(record: Record, training: Training, dev: Evaluation) -> Record:
    """The record with what only a training has."""
    config, sampler, network = training.config, training.sampler, training.model.network
    parameters = list(network.parameters())
    return replace(
        record,
        encoder=EncoderInfo(config.encoder, vars(network.encoder.config), training.encoder_files),
        parameters=Parameters(
            all=sum(p.numel() for p in parameters), trained=sum(p.numel() for p in parameters if p.requires_grad)
        ),
        distilled=training.teachers.record(dev),
        cautions=training.data.cautions,
        truncated={name: examples.cut() for name, examples in training.data.train.items()},
        steps=Steps(sampler.step, sampler.steps_per_epoch, sampler.order.epoch, training.best.step),
        examples_seen=sampler.seen(),
        precision=training.precision,
        processes=processes.count(),
        peak_memory_mib=peak_memory_mib(),
    )
