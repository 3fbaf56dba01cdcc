"""Parts of the record of a finished run: encoder, data, steps, time, machine, members and teachers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bertram.runs.scores import Score
from bertram.runs.typed_json import Scalar

How = Literal["soup", "ensemble"]  # how runs are merged


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


TRAINED_ON = ("train", "extra")  # parts of a task whose labels a training learns


@dataclass(frozen=True)
class LearnedFile:
    """A file whose labels of a task were learned, as it was then."""

    task: str
    file: str
    sha256: str


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
        """Sum of the seconds."""
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
    """Provenance of a run.

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
        learned: files whose labels it learned; empty in older records.
        contributions: task or overall -> what the member adds; empty where that was not computed.
    """

    run: str
    recipe: str | None
    seed: int | None
    config_hash: str | None
    dev_overall: float | None
    learned: Sequence[LearnedFile] = ()
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
    """Distillation of a run: its teachers, their scores, and the agreement with the student.

    Attributes:
        teachers: teachers, whose outputs were averaged.
        scores: task -> metric -> score of the mean of their outputs on dev.
        agreement: task -> agreement with the student on dev.
        seconds: time that the outputs took to compute, for dev and for the training examples that were drawn, in this
            run or in an earlier one that kept them; None in older records and for older outputs.
    """

    teachers: Sequence[TeacherInfo]
    scores: Mapping[str, Mapping[str, Score]]
    agreement: Mapping[str, Agreement]
    seconds: float | None = None
