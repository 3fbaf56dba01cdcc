"""The outputs of teachers for a student's examples: computed once, and kept in files.

A file is named by its content: the SHA-256 of a teacher's model, of its precision and of the texts. A run that was
interrupted, or another student of the same teachers, therefore computes only what is missing.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from bertram.data.examples import Examples
from bertram.errors import RunError
from bertram.model.linear import Precision
from bertram.runs.files import write_bytes, write_json
from bertram.runs.lock import exclusive
from bertram.runs.record_parts import TeacherInfo
from bertram.runs.tensors import read_tensors
from bertram.runs.typed_json import read_object
from bertram.training import processes
from bertram.training.trained_teachers import TrainedTeacher

CHUNK = 2048  # examples in one file of outputs
LISTING = "teachers.json"
ENDING = ".safetensors"
OUTPUTS, SECONDS = "outputs", "seconds"  # names of the tensors in a file


class TimedOutputs(NamedTuple):
    """Outputs for examples, and what they cost.

    Attributes:
        outputs: [n, K] or [n]; nan where there is none.
        seconds: [n], the time that each took to compute; nan where that is not known.
    """

    outputs: Tensor
    seconds: Tensor


class KeptOutputs:
    """Teachers' outputs in files.

    Args:
        run: run directory of the student, which knows its teachers by content.
        directory: directory of the outputs; None: in the run directory.
        batch_size: examples per batch.
        precision: precision of the teachers' matrix multiplications.
        say: shows a message.
    """

    def __init__(
        self, run: Path, directory: Path | None, *, batch_size: int, precision: Precision, say: Callable[[str], None]
    ) -> None:
        self.listing = run / "teachers" / LISTING
        self.directory = directory or run / "teachers"
        self.batch_size, self.precision, self.say = batch_size, precision, say

    def require_same(self, teachers: Sequence[TeacherInfo]) -> None:
        """Note the teachers of a new run, and refuse another teacher in a run that is continued.

        Raises:
            RunError: a teacher has changed since its outputs were kept.
        """
        hashes = {teacher.run: teacher.sha256 for teacher in teachers}
        if not self.listing.is_file():
            write_json(self.listing, hashes)
            return
        listing = read_object(self.listing)
        changed = [path for path, sha256 in hashes.items() if listing.get(path) != sha256]
        if changed:
            raise RunError(
                f"teacher {changed[0]} has changed since its outputs were kept; restore it, or start a new run"
            )

    def mean(
        self, teachers: Sequence[TrainedTeacher], examples: Examples, needed: Tensor | None = None
    ) -> TimedOutputs:
        """Mean output of those teachers that have the task, and the seconds of all of them.

        Args:
            teachers: teachers.
            examples: examples of one task.
            needed: [n] bool, whether an output is needed, the others may be nan; None: all are.
        """
        name = examples.task.name
        chosen = torch.ones(len(examples), dtype=torch.bool) if needed is None else needed
        by_teacher = [self._of_teacher(teacher, examples, chosen) for teacher in teachers if name in teacher.tasks]
        outputs, seconds = (torch.stack(tensors) for tensors in zip(*by_teacher, strict=True))
        return TimedOutputs(outputs.mean(0), seconds.sum(0))

    def _of_teacher(self, teacher: TrainedTeacher, examples: Examples, needed: Tensor) -> TimedOutputs:
        ranges = [range(begin, min(begin + CHUNK, len(examples))) for begin in range(0, len(examples), CHUNK)]
        chunks = [(chunk, self._path(teacher, examples, chunk)) for chunk in ranges]
        processes.on_first(lambda: self._compute_missing(teacher, examples, chunks, needed))
        processes.wait()
        outputs, seconds = (torch.cat(parts) for parts in zip(*(_read(path) for _, path in chunks), strict=True))
        if not bool(_computed(outputs)[needed].all()):  # only where the disk has no locks
            raise RunError(f"{self.directory}: outputs were lost while another run wrote there; continue with --resume")
        return TimedOutputs(outputs, seconds)

    def _path(self, teacher: TrainedTeacher, examples: Examples, chunk: range) -> Path:
        """File of the outputs for a chunk of examples, named by the hash of teacher, precision, task and texts."""
        facts = [teacher.sha256, self.precision, examples.task.name, [examples.texts[place] for place in chunk]]
        return self.directory / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}{ENDING}"

    def _compute_missing(
        self, teacher: TrainedTeacher, examples: Examples, chunks: Sequence[tuple[range, Path]], needed: Tensor
    ) -> None:
        missing = [(chunk, path, self._missing(chunk, path, needed)) for chunk, path in chunks]
        count = sum(len(places) for _, _, places in missing)
        if count:
            self.say(f"teacher {teacher.path}: {count:,} rows of {examples.task.name}")
        for chunk, path, places in missing:
            if places:
                start = time.perf_counter()
                outputs = teacher.outputs(examples, places, self.batch_size)
                seconds = torch.full((len(places),), (time.perf_counter() - start) / len(places))
                with exclusive(self.directory):  # another student may add to the same file
                    _add(path, len(chunk), torch.tensor(places) - chunk.start, TimedOutputs(outputs, seconds))

    @staticmethod
    def _missing(chunk: range, path: Path, needed: Tensor) -> list[int]:
        """The places of a chunk whose outputs are needed and not kept; of a chunk without a file at least the first."""
        rows = needed[chunk.start : chunk.stop].clone()
        if path.is_file():
            rows &= ~_computed(_read(path).outputs)
        else:
            rows[0] = True  # the file says how wide an output is
        return [chunk.start + place for place in rows.nonzero()[:, 0].tolist()]


def _read(path: Path) -> TimedOutputs:
    """The content of a file; older files do not have the seconds.

    Raises:
        RunError: it is damaged.
    """
    try:
        tensors = read_tensors(path)
        return TimedOutputs(tensors[OUTPUTS], tensors.get(SECONDS, torch.full((len(tensors[OUTPUTS]),), torch.nan)))
    except RunError as error:
        raise RunError(f"{error}; delete it, and its outputs are computed again") from None


def _add(path: Path, size: int, places: Tensor, added: TimedOutputs) -> None:
    """Add outputs at some places to the file of a chunk of `size` examples, which need not exist."""
    if path.is_file():
        outputs, seconds = _read(path)
    else:
        outputs, seconds = (tensor.new_full((size, *tensor.shape[1:]), torch.nan) for tensor in added)
    outputs[places], seconds[places] = added
    write_bytes(path, save({OUTPUTS: outputs, SECONDS: seconds}))


def _computed(outputs: Tensor) -> Tensor:
    """[n] bool, whether an output is there."""
    return ~outputs.isnan().flatten(1).any(1) if outputs.ndim > 1 else ~outputs.isnan()
