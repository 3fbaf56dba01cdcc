"""Averaged predictions of several runs: an ensemble."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from bertram.evaluation.evaluate import Evaluation
from bertram.merging.contributions import contributions
from bertram.merging.merge import MergedModel, config_of, meaning, open_members, read_dev, require_alike, write
from bertram.model.stored_settings import FORMAT
from bertram.prediction.load import Ensemble, load_model, members
from bertram.runs.directory import MEMBERS, Run, refuse_existing
from bertram.runs.files import write_text


def ensemble(paths: Sequence[Path], out: Path, *, data: str | None = None) -> Run:
    """Average the predictions of runs; each member of an ensemble counts as one run.

    Args:
        paths: two or more finished runs of the same tasks, with the same tokenizer.
        out: run directory to create.
        data: data to score the ensemble on; default: the data of the first run.

    Raises:
        RunError: runs whose predictions cannot be averaged, a damaged model, or `out` exists already.
        DataError: dev cannot be read.
    """
    start = time.monotonic()
    refuse_existing(out, resumable=False)
    runs = open_members(paths)
    directories = [model for run in runs for model in _models(run)]
    model = Ensemble([load_model(directory) for directory in directories])
    member_paths = [run.path if len(_models(run)) == 1 else member for run in runs for member in _models(run)]
    members_with_paths = zip(member_paths, model.members, directories, strict=True)
    require_alike({name: meaning(member.tasks, directory) for name, member, directory in members_with_paths})
    config = config_of(runs, data)
    dev = read_dev(config, model, runs)
    batch_size = config.evaluation.batch_size
    outputs = {name: model.member_outputs(examples, batch_size) for name, examples in dev.examples.items()}
    evaluation = Evaluation(dev.examples, {name: stacked.mean(0) for name, stacked in outputs.items()})
    run_of = torch.tensor([number for number, run in enumerate(runs) for _ in _models(run)])
    without = [
        Evaluation(dev.examples, {name: stacked[run_of != number].mean(0) for name, stacked in outputs.items()})
        for number in range(len(runs))
    ]
    parameters = sum(p.numel() for member in model.members for p in member.network.parameters())
    added = contributions(evaluation, without)
    merged = MergedModel("ensemble", "all runs", runs, [], parameters, evaluation, start, added)
    return write(out, config, merged, dev, lambda directory: _copy(directories, directory))


def _models(run: Run) -> list[Path]:
    """The model directories of a run, several for an ensemble."""
    return members(run.model) if (run.model / MEMBERS).is_file() else [run.model]


def _copy(models: Sequence[Path], directory: Path) -> None:
    """Copy models below a directory and list them there."""
    names = [f"member-{number}" for number in range(len(models))]
    for name, model in zip(names, models, strict=True):
        shutil.copytree(model, directory / name)
    write_text(directory / MEMBERS, json.dumps({"format": FORMAT, "members": names}, indent=2) + "\n")
