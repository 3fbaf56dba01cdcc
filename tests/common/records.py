"""Records of runs that were never trained."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bertram import options
from bertram.config import Config
from bertram.experiments.budget import held_files
from bertram.runs.record import Record
from bertram.runs.record_parts import DataFile, Host, Provenance, Seconds
from bertram.runs.scores import RunScores, Score, SplitScores, TaskScores

PROVENANCE = Provenance({"bertram": "0"}, Host("Linux", "x86_64", "3.11", 2, 1, "cpu"), None, "2026-01-01T00:00:00")


def scores(tasks: Mapping[str, TaskScores], overall: float | None = 0.5, reason: str | None = None) -> SplitScores:
    """Scores of tasks, and one and the same score over all of them."""
    mean = Score(overall, None if overall is None else (overall - 0.01, overall + 0.01), undefined=reason)
    return SplitScores.of(tasks, mean, mean)


def record_of(config: Config, dev: SplitScores, **changes: Any) -> Record:
    """What a run of a configuration might have recorded; fields that do not matter are made up."""
    record = Record(
        recipe=config.recipe,
        seed=config.seed,
        config_hash=options.digest(config),
        config=options.dump(config),
        data={},
        provenance=PROVENANCE,
        scores=RunScores(dev),
        confusion={},
        baselines={},
        seconds=Seconds(training=1.0),
    )
    return replace(record, **changes)


def files_of(config: Config) -> dict[str, DataFile]:
    """Entries for the data files of a configuration, as they are now."""
    return {str(number): DataFile(sha256, 1, 0) for number, sha256 in enumerate(held_files(config))}
