"""The record of a finished run, record.json.

Version 2 is written. Version 1, which is that of all records before it, is converted when it is read; nothing else
knows of it. Fields that a later minor version has added are ignored.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bertram.errors import RunError
from bertram.runs.files import write_json
from bertram.runs.record_parts import (
    TRAINED_ON,
    DataFile,
    Distilled,
    EncoderInfo,
    LearnedFile,
    Merged,
    Parameters,
    Provenance,
    Seconds,
    Steps,
)
from bertram.runs.scores import Baselines, RunScores
from bertram.runs.typed_json import JsonObject, plain, read_object, typed

FORMAT = 2
CHECKSUM = "sha256"  # of the other fields; a record without it is not checked
RECORD = "record.json"
MOVED = {  # name in version 1, and as item of a `Record` still -> place in version 2
    "cut": ("truncated",),
    "versions": ("provenance", "versions"),
    "host": ("provenance", "host"),
    "git_commit": ("provenance", "git_commit"),
    "finished": ("provenance", "finished"),
}


@dataclass(frozen=True, kw_only=True)
class Record(Mapping[str, Any]):
    """A finished run: a training, a soup or ensemble, or constant answers.

    As a mapping it is the JSON object in record.json, with plain values below: ``record["scores"]["dev"]``.

    Attributes:
        recipe: recipe that the configuration started from.
        seed: random seed.
        config_hash: hash of everything that decides the result.
        config: resolved configuration, as plain values under the names of its time; `options.make` reads them.
        trained: True if a model answers; False for constant answers.
        merged: making of a soup or an ensemble; None for other runs.
        distilled: teachers of a distilled run, and their scores; None for other runs.
        encoder: encoder that the run started from; None for constant answers.
        parameters: size of the model; None for constant answers.
        data: data file -> what it held.
        cautions: sentences on the rows that a reader of the scores should know.
        truncated: task -> training sequences that were not read to their end.
        steps: steps of a training; None for other runs.
        examples_seen: task -> examples that a training has seen.
        precision: precision of the matrix multiplications; None for constant answers.
        processes: number of processes of a training; None for other runs.
        provenance: software, machine, commit and time.
        scores: scores by split.
        confusion: task with classes -> counts by gold class and predicted class, [classes, classes].
        baselines: task -> trivial answer -> metric -> score on dev.
        seconds: time that the run took.
        files: file below the run directory -> its SHA-256: model, log and dev predictions.
        peak_memory_mib: most memory of the first process, MiB; None where the system does not say.
    """

    recipe: str
    seed: int
    config_hash: str
    config: Mapping[str, Any]
    trained: bool = True
    merged: Merged | None = None
    distilled: Distilled | None = None
    encoder: EncoderInfo | None = None
    parameters: Parameters | None = None
    data: Mapping[str, DataFile]
    cautions: Sequence[str] = ()
    truncated: Mapping[str, int] = field(default_factory=dict)
    steps: Steps | None = None
    examples_seen: Mapping[str, int] = field(default_factory=dict)
    precision: str | None = None
    processes: int | None = None
    provenance: Provenance
    scores: RunScores
    confusion: Mapping[str, list[list[int]]]
    baselines: Mapping[str, Baselines]
    seconds: Seconds
    files: Mapping[str, str] = field(default_factory=dict)
    peak_memory_mib: int | None = None

    @cached_property
    def json_values(self) -> JsonObject:
        """The JSON object in record.json."""
        return {"format": FORMAT, **plain(self, Record)}

    @property
    def learned(self) -> list[LearnedFile]:
        """Files whose labels the run, or a member of it, learned; none where an older record does not tell."""
        own = [
            LearnedFile(use.task, name, file.sha256)
            for name, file in self.data.items()
            for use in file.uses
            if use.part in TRAINED_ON
        ]
        members = [] if self.merged is None else self.merged.members
        return list(dict.fromkeys([*own, *(file for member in members for file in member.learned)]))

    def __getitem__(self, name: str) -> Any:
        value: Any = self.json_values
        for key in MOVED.get(name, (name,)):
            value = value[key]
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.json_values)

    def __len__(self) -> int:
        return len(self.json_values)


def read_record(directory: Path) -> Record:
    """The record of a run directory.

    Raises:
        RunError: the run is not finished, or the record is damaged or of an unknown format version.
    """
    path = directory / RECORD
    try:
        values = read_object(path)
    except FileNotFoundError:
        raise RunError(f"{directory}: not a finished run: it has no record.json; train on with --resume") from None
    version = values.get("format")
    if version == 1:
        return typed(_from_version_1(values), Record, path, {".".join(new): old for old, new in MOVED.items()})
    if version != FORMAT:
        raise RunError(f"{path}: format version {version!r} is unknown; this BERTram reads 1 and {FORMAT}")
    record = typed(values, Record, path)
    if CHECKSUM in values and values[CHECKSUM] != _checksum(values):
        raise RunError(f"{path}: damaged: its SHA-256 is not that of its other fields")
    return record


def write_record(directory: Path, record: Record) -> None:
    """Write the record of a run directory, which makes the run a finished one.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    values = dict(record.json_values)
    write_json(directory / RECORD, {**values, CHECKSUM: _checksum(values)})


def _checksum(values: Mapping[str, Any]) -> str:
    """SHA-256 of the fields of a record, independent of their order and layout in the file."""
    fields = {name: value for name, value in values.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _from_version_1(values: Mapping[str, Any]) -> JsonObject:
    """The same record in the form of version 2."""
    places = {place[0] for place in MOVED.values()}  # names that version 1 does not have
    new: JsonObject = {name: value for name, value in values.items() if name not in MOVED and name not in places}
    for name, (*above, last) in MOVED.items():
        if name in values:
            holder = new
            for key in above:
                holder = holder.setdefault(key, {})
            holder[last] = values[name]
    return new
