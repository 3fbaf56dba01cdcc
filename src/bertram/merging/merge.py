"""Common parts of soups and ensembles: checks of the members, and the resulting run directory.

The configuration of a merged run is that of its first member; its record says under ``merged`` what it is made of.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bertram import options
from bertram.config import Config
from bertram.data.examples import Examples, tokenized
from bertram.data.rows import Rows, file_facts, read_rows
from bertram.data.sources import HeldOut
from bertram.data.splits import run_source, write_held_out
from bertram.errors import RunError
from bertram.evaluation.evaluate import Evaluation, sample
from bertram.evaluation.files import baselines
from bertram.evaluation.recording import describe, finish
from bertram.prediction.model import Predictor
from bertram.runs.decisions import read_decisions
from bertram.runs.directory import Run, create, open_runs
from bertram.runs.files import replace_directory
from bertram.runs.provenance import peak_memory_mib
from bertram.runs.record import Record
from bertram.runs.record_parts import Contribution, DataFile, How, Member, Merged, Parameters, Seconds
from bertram.runs.scores import Baselines, RunScores
from bertram.tasks import Task

TASK_FIELDS = ("kind", "labels", "range", "pair", "pooling", "text_normalization", "thresholds")  # equal in all members
DIFFERENCES_SHOWN = 8


@dataclass(frozen=True)
class Dev:
    """Dev data that a merged run is scored on.

    Attributes:
        examples: task -> examples.
        files: data file -> its rows and hash.
        held_out: task -> dev rows that are held out of its training file.
    """

    examples: Mapping[str, Examples]
    files: Mapping[str, DataFile]
    held_out: Mapping[str, HeldOut]


@dataclass(frozen=True)
class MergedModel:
    """A soup or an ensemble before it is written.

    Attributes:
        how: ``soup`` or ``ensemble``.
        choice: choice of the members, in words.
        members: runs that it is made of.
        left_out: runs that were tried and not used.
        parameters: number of parameters.
        dev: outputs on dev.
        start: start of the merging, by `time.monotonic`.
        contributions: differences that each member makes, by outcome; empty where they were not computed.
    """

    how: How
    choice: str
    members: Sequence[Run]
    left_out: Sequence[Run]
    parameters: int
    dev: Evaluation
    start: float
    contributions: Sequence[Mapping[str, Contribution]] = ()


def open_members(paths: Sequence[Path]) -> list[Run]:
    """The finished runs to merge, with the models that their records describe.

    Raises:
        RunError: fewer than two runs, one of them twice, or a run or its model is missing or damaged.
    """
    runs = open_runs(paths)
    for run in runs:
        run.check_model()
    return runs


def config_of(runs: Sequence[Run], data: str | None) -> Config:
    """The configuration of a merged run: that of the first, possibly with other data."""
    return runs[0].config if data is None else options.change(runs[0].config, data=data)


def read_dev(config: Config, model: Predictor, runs: Sequence[Run]) -> Dev:
    """The dev examples of a configuration, those that the trainings of its runs have scored.

    Raises:
        DataError: a fault of the files.
        RunError: one run was trained on rows that another one was scored on.
    """
    source = run_source(runs[0], config.data)
    for run in runs[1:]:
        held_out = run_source(run, config.data).held_out
        names = [name for name, dev_rows in source.held_out.items() if held_out.get(name) != dev_rows]
        if names:
            raise RunError(
                f"{run.path}: held out other dev rows of {', '.join(names)} than {runs[0].path}, so it may have been "
                "trained on them; train all members with one dev file, or with the same --split"
            )
    read: list[tuple[str, Rows]] = []
    examples = {}
    for name, task in model.tasks.items():
        rows = read_rows(task, source, "dev", allow_rejects=config.allow_rejects)
        read.append((name, rows))
        whole = tokenized(task, rows, model.tokenizer, model.max_tokens)
        limit = config.evaluation.max_eval_samples
        examples[name] = whole if limit is None else sample(whole, limit, seed=0)
    return Dev(examples, file_facts(read), source.held_out)


def require_alike(traits: Mapping[Path, Mapping[str, object]]) -> None:
    """Refuse runs or models whose traits differ from those of the first.

    Args:
        traits: directory -> name of a trait -> value; the first directory is the reference.

    Raises:
        RunError: all differences together.
    """
    (first, reference), *remaining = traits.items()
    faults = []
    for path, run_traits in remaining:
        for name in dict.fromkeys([*reference, *run_traits]):
            value, expected = run_traits.get(name, "missing"), reference.get(name, "missing")
            if value != expected:
                faults.append(f"{path}: {name} is {value}, but {expected} in {first}")
    if faults:
        remainder = (
            [f"and {len(faults) - DIFFERENCES_SHOWN} more differences"] if len(faults) > DIFFERENCES_SHOWN else []
        )
        raise RunError("\n".join(faults[:DIFFERENCES_SHOWN] + remainder))


def meaning(tasks: Mapping[str, Task], model: Path) -> dict[str, object]:
    """Traits that must be the same for predictions to be averaged: tasks and tokenizer.

    Args:
        tasks: tasks of the model.
        model: directory of the model.
    """
    traits: dict[str, object] = {f"tasks.{n}.{field}": getattr(tasks[n], field) for n in tasks for field in TASK_FIELDS}
    is_bert = (model / "vocab.txt").is_file()  # only the other families keep their words in tokenizer.json alone
    for name in ("vocab.txt", "tokenizer_config.json") if is_bert else ("tokenizer.json",):
        exists = (model / name).is_file()
        traits[name] = f"SHA-256 {hashlib.sha256((model / name).read_bytes()).hexdigest()[:8]}" if exists else "missing"
    return traits


def write(out: Path, config: Config, model: MergedModel, dev: Dev, fill_model: Callable[[Path], None]) -> Run:
    """Write the directory of a merged run, completely or not at all.

    Args:
        out: run directory to create.
        config: configuration of the merged run.
        model: merged model.
        dev: dev data that it was scored on.
        fill_model: writes the model into a directory.

    Raises:
        RunError: it cannot be written.
    """
    record = _record(config, model, dev)

    def fill(directory: Path) -> None:
        run = create(directory, config)
        write_held_out(run, dev.held_out)
        fill_model(run.path / "model")
        finish(run, record, model.dev)

    replace_directory(out.absolute(), fill)
    return Run(out)


def _record(config: Config, model: MergedModel, dev: Dev) -> Record:
    members = [_member(run) for run in model.members]
    if model.contributions:
        members = [
            replace(member, contributions=added) for member, added in zip(members, model.contributions, strict=True)
        ]
    cautions = [caution for run in model.members for caution in run.record.cautions]
    parts = [model.how, model.choice, config.data, *(member.config_hash for member in members)]
    record = describe(
        config,
        model.dev,
        RunScores(model.dev.scores()),
        files=dev.files,
        baselines=_baselines(model.members[0], dev),
        seconds=Seconds(
            sum(run.record.seconds.training for run in model.members), merging=round(time.monotonic() - model.start, 1)
        ),
        device=torch.device("cpu"),
    )
    return replace(
        record,
        config_hash=hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16],
        cautions=list(dict.fromkeys([*_unused_fits(model), *cautions])),
        merged=Merged(model.how, model.choice, members, [_member(run) for run in model.left_out]),
        encoder=model.members[0].record.encoder,
        parameters=Parameters(all=model.parameters, trained=0),
        precision="fp32",
        peak_memory_mib=peak_memory_mib(),
    )


def _unused_fits(model: MergedModel) -> list[str]:
    """A sentence on the members with a temperature and thresholds, if there are any."""
    fitted = [str(run.path) for run in model.members if read_decisions(run.path) is not None]
    return [f"Temperature and thresholds that were fitted for {', '.join(fitted)} are not used."] if fitted else []


def _member(run: Run) -> Member:
    """Entry of a merged run in the record."""
    record = run.record
    overall = record.scores.dev.overall.value
    return Member(str(run.path), record.recipe, record.seed, record.config_hash, overall, record.learned)


def _baselines(first: Run, dev: Dev) -> Mapping[str, Baselines]:
    """Baselines of the first run, if it has the same dev files; their constants are chosen on training labels."""
    record = first.record
    hashes = {name: file.sha256 for name, file in record.data.items()}
    if all(hashes.get(name) == file.sha256 for name, file in dev.files.items()):
        return record.baselines
    return {name: baselines(examples) for name, examples in dev.examples.items()}
