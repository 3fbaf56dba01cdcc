"""From scores to the record of a run: one way for trainings, soups and ensembles, and constant answers."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from bertram import options
from bertram.config import Config
from bertram.evaluation.evaluate import Evaluation
from bertram.evaluation.files import confusions, keep_predictions
from bertram.runs.directory import Run
from bertram.runs.hashes import sha256_of
from bertram.runs.provenance import provenance
from bertram.runs.record import Record, write_record
from bertram.runs.record_parts import DataFile, Seconds
from bertram.runs.scores import Baselines, RunScores


def describe(
    config: Config,
    dev: Evaluation,
    scores: RunScores,
    *,
    files: Mapping[str, DataFile],
    baselines: Mapping[str, Baselines],
    seconds: Seconds,
    device: torch.device,
) -> Record:
    """The part of a record that all kinds of runs have; callers add the rest with `dataclasses.replace`.

    Args:
        config: configuration of the run.
        dev: outputs on dev.
        scores: scores on dev and, for a training, on a sample of the training rows.
        files: data file -> what it held.
        baselines: task -> trivial answer -> metric -> score on dev.
        seconds: time that the run took.
        device: device that the outputs were computed on.
    """
    return Record(
        recipe=config.recipe,
        seed=config.seed,
        config_hash=options.digest(config),
        config=options.dump(config),
        data=files,
        provenance=provenance(device),
        scores=scores,
        confusion=confusions(dev),
        baselines=baselines,
        seconds=seconds,
    )


def finish(run: Run, record: Record, dev: Evaluation) -> None:
    """Write the predictions on dev and then the record, which makes the run a finished one.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    keep_predictions(run, dev, "dev")
    paths = [*run.model.rglob("*"), *(run.predictions(name) for name in dev.examples), run.metrics]
    files = {path.relative_to(run.path).as_posix(): sha256_of(path) for path in sorted(paths) if path.is_file()}
    write_record(run.path, replace(record, files=files))
