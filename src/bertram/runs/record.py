"""What record.json says of a finished run.

Version 2 is written. Version 1, which is that of all records before it, is converted when it is read; nothing else
knows of it. Fields that a later minor version has added are ignored.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from bertram.errors import RunError
from bertram.runs.files import write_json
from bertram.runs.scores import Baselines, RunScores, Score
from bertram.runs.typed_json import JsonObject, Scalar, plain, read_object, typed

How = Literal["soup", "ensemble"]  # how runs are merged
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


@dataclass(frozen=True)
class EncoderInfo:
    """The encoder that a run started from.

    Attributes:
        source: name or directory of the encoder.
        shape: sizes of the encoder by name.
        files: file of its directory -> SHA-256; none of an encoder that is named.
    """

    source: str
    shape: Mapping[str, Scalar]
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parameters:
    """Number of parameters: all, and those that are trained."""

    all: int
    trained: int


@dataclass(frozen=True)
class FileUse:
    """The use of a data file as one part of a task: numbers of usable rows, rejected rows and rows without a label."""

    task: str
    part: str
    rows: int
    rejected: int
    unlabelled: int


@dataclass(frozen=True)
class DataFile:
    """A data file.

    Attributes:
        sha256: SHA-256 of the file.
        rows: number of usable rows, in the use that has most.
        rejected: number of rejected rows in that use.
        uses: uses of the file; none in older records.
    """

    sha256: str
    rows: int
    rejected: int
    uses: Sequence[FileUse] = ()


@dataclass(frozen=True)
class Steps:
    """Steps of a training.

    Attributes:
        taken: number of steps.
        per_epoch: steps of an epoch.
        epoch: definition of an epoch, in words.
        best: step of the best evaluation.
    """

    taken: int
    per_epoch: int
    epoch: str
    best: int


@dataclass(frozen=True)
class Seconds:
    """Seconds that a run took; for a merged run `training` is that of its members together."""

    training: float
    final_evaluation: float | None = None
    merging: float | None = None

    @property
    def total(self) -> float:
        """All of them together."""
        return self.training + (self.final_evaluation or 0.0) + (self.merging or 0.0)


@dataclass(frozen=True)
class Host:
    """The machine that a run was made on."""

    system: str
    machine: str
    python: str
    cores: int | None
    threads: int
    device: str


@dataclass(frozen=True)
class Provenance:
    """How a run was made.

    Attributes:
        versions: version of each package.
        host: the machine.
        git_commit: commit of the working tree of BERTram, if it ran from one.
        finished: time of the end, UTC, in ISO 8601.
    """

    versions: Mapping[str, str]
    host: Host
    git_commit: str | None
    finished: str


@dataclass(frozen=True)
class Contribution:
    """What a member adds to a dev score: the score minus that of the same soup or ensemble without the member.

    Attributes:
        value: difference of the scores.
        ci95: 95 % interval for other examples and these very models.
    """

    value: float
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class Member:
    """A run that a soup or an ensemble is made of, or that was tried for it: its directory and what it recorded.

    Attributes:
        run: run directory.
        recipe: recipe of the run.
        seed: random seed of the run.
        config_hash: hash of everything that decides its result.
        dev_overall: overall dev score of the run alone.
        contributions: task or overall -> what the member adds; empty where that was not computed.
    """

    run: str
    recipe: str | None
    seed: int | None
    config_hash: str | None
    dev_overall: float | None
    contributions: Mapping[str, Contribution] = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    """The making of a soup or an ensemble.

    Attributes:
        how: kind of merging.
        choice: rule that chose the members, in words.
        members: runs that it is made of.
        left_out: runs that were tried and not used.
    """

    how: How
    choice: str
    members: list[Member]
    left_out: list[Member]


@dataclass(frozen=True)
class TeacherInfo:
    """A teacher of a distilled run.

    Attributes:
        run: run directory of the teacher.
        sha256: SHA-256 of its model.
        tasks: names of the tasks that it taught.
        dev_overall: overall score on dev from its record.
    """

    run: str
    sha256: str
    tasks: Sequence[str]
    dev_overall: float | None


@dataclass(frozen=True)
class Agreement:
    """Agreement of teachers and student on dev.

    Attributes:
        measure: ``equal decisions``, a share of the rows, or ``pearson``, a correlation of the scores.
        value: its value; None where it is undefined.
    """

    measure: str
    value: float | None


@dataclass(frozen=True)
class Distilled:
    """What a run learned from teachers.

    Attributes:
        teachers: teachers, whose outputs were averaged.
        scores: task -> metric -> score of the mean of their outputs on dev.
        agreement: task -> agreement with the student on dev.
    """

    teachers: Sequence[TeacherInfo]
    scores: Mapping[str, Mapping[str, Score]]
    agreement: Mapping[str, Agreement]


@dataclass(frozen=True, kw_only=True)
class Record(Mapping[str, Any]):
    """A finished run: a training, a soup or ensemble, or constant answers.

    As a mapping it is the JSON object that stands in record.json, with plain values below: ``record["scores"]["dev"]``.

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
        """The JSON object that stands in record.json."""
        return {"format": FORMAT, **plain(self, Record)}

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
    """SHA-256 of the fields of a record, in whatever order and layout they stand in the file."""
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
