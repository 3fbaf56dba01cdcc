"""The teachers of a distillation: trained models whose outputs for the student's examples are computed once and kept.

Outputs are computed for those training examples that the run draws, and for dev. They are kept in files named by
content: the SHA-256 of a teacher's model, of its precision and of the texts. A run that was interrupted, or another
student of the same teachers, therefore computes only what is missing.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from bertram.config import Config
from bertram.data.examples import Examples, Teaching, make_examples
from bertram.errors import BertramError, ConfigError, RunError
from bertram.evaluation.evaluate import Evaluation, sample
from bertram.model.linear import Precision
from bertram.model.outputs import output_of
from bertram.prediction.load import Ensemble, load
from bertram.prediction.model import Model
from bertram.prediction.model_hash import model_hash
from bertram.runs.directory import Run, open_run
from bertram.runs.files import write_bytes, write_json
from bertram.runs.lock import exclusive
from bertram.runs.record_parts import Agreement, Distilled, TeacherInfo
from bertram.runs.tensors import read_tensors
from bertram.runs.typed_json import read_object
from bertram.tasks import Task
from bertram.training import processes
from bertram.training.run_data import RunData, pools
from bertram.training.sampler import Sampler
from bertram.training.teacher_faults import space_faults, split_faults

MEASURED = 64  # examples of each task whose outputs are timed for an estimate
CHUNK = 2048  # examples in one file of outputs
LISTING = "teachers.json"
ENDING = ".safetensors"
OUTPUTS = "outputs"  # name of the tensor in a file


@dataclass(frozen=True)
class TrainedTeacher:
    """A trained model that teaches.

    Attributes:
        path: run directory, as the configuration names it.
        run: run of the model.
        sha256: SHA-256 of the model.
        model: model or ensemble.
        tasks: the tasks that it was trained on.
        overall: overall score on dev that the run recorded; None if it is undefined.
    """

    path: str
    run: Run
    sha256: str
    model: Model | Ensemble
    tasks: Mapping[str, Task]
    overall: float | None


@dataclass
class Teachers:
    """All teachers of a run; none in a run without distillation.

    Attributes:
        trained: teachers, until their outputs are known.
        facts: each teacher for the record.
        dev: their mean outputs for the dev examples of each task, [n, K] or [n].
    """

    trained: list[TrainedTeacher] = field(default_factory=list)
    facts: list[TeacherInfo] = field(default_factory=list)
    dev: dict[str, Tensor] = field(default_factory=dict)

    def require_unseen_dev(self, data: RunData) -> None:
        """Refuse teachers that were trained on rows that the student is scored on.

        Args:
            data: examples of the student.

        Raises:
            ConfigError: a teacher may have seen dev rows; a line for each teacher and task.
        """
        faults = [
            fault
            for teacher in self.trained
            for fault in split_faults(teacher.path, teacher.run, data.train, data.files, data.held_out)
        ]
        if faults:
            raise ConfigError(faults)

    def teach(self, config: Config, data: RunData, outputs: "KeptOutputs") -> RunData:
        """The data with the teachers' outputs beside the training examples.

        Args:
            config: configuration of the run, which decides the training examples that it draws; the outputs for the
                others are nan.
            data: examples of the run.
            outputs: place of the outputs.

        Raises:
            RunError: a teacher has changed since the run began, or its outputs cannot be written.
        """
        if not self.trained:
            return data
        processes.on_first(lambda: outputs.require_same(self.facts))
        is_drawn = drawn_examples(config, data)
        train = {name: self._taught(examples, data, outputs, is_drawn[name]) for name, examples in data.train.items()}
        self.dev = {name: outputs.mean(self.trained, data.dev[name]) for name in data.train}
        self.trained = []  # their weights are no longer needed
        return replace(data, train=train)

    def measure(self, config: Config, data: RunData) -> tuple[float, RunData]:
        """The time that `teach` would take if nothing were kept, for an estimate of a run.

        Args:
            config: configuration of the run.
            data: examples of the run.

        Returns:
            Seconds, and the data with the outputs for one example in the place of all.
        """
        if not self.trained:
            return 0.0, data
        seconds, train, is_drawn = 0.0, dict(data.train), drawn_examples(config, data)
        for name, examples in data.train.items():
            places = is_drawn[name].nonzero()[:, 0].tolist() or [0]  # a short run may draw no example of a task
            measured = sample(examples.at(places), MEASURED, seed=0)
            start = time.perf_counter()
            outputs = [
                teacher_outputs(teacher.model, measured, range(len(measured)), config.evaluation.batch_size)
                for teacher in self.trained
                if name in teacher.tasks
            ]
            count = int(is_drawn[name].sum()) + len(data.dev[name])
            seconds += (time.perf_counter() - start) * count / len(measured)
            target = output_of(examples.task).soft_targets(outputs[0])[:1]
            targets = target.expand(len(examples), *target.shape[1:])
            labelled = torch.ones(len(examples), dtype=torch.bool)
            train[name] = replace(examples, teaching=Teaching(targets, labelled))
        return seconds, replace(data, train=train)

    def _taught(self, examples: Examples, data: RunData, outputs: "KeptOutputs", is_drawn: Tensor) -> Examples:
        name = examples.task.name
        targets = output_of(examples.task).soft_targets(outputs.mean(self.trained, examples, is_drawn))
        labelled = torch.ones(len(examples), dtype=torch.bool)
        begin = data.own[name]
        for source in data.further[name]:
            labelled[begin : begin + source.size] = source.labelled
            begin += source.size
        return replace(examples, teaching=Teaching(targets, labelled))

    def record(self, dev: Evaluation) -> Distilled | None:
        """Scores of the teachers on dev and their agreement with the student; None without a teacher.

        Args:
            dev: evaluation of the student.
        """
        if not self.facts:
            return None
        teachers = Evaluation({name: dev.examples[name] for name in self.dev}, self.dev)
        return Distilled(
            self.facts, teachers.scores().tasks, {name: _agreement(name, teachers, dev) for name in self.dev}
        )


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

    def mean(self, teachers: Sequence[TrainedTeacher], examples: Examples, needed: Tensor | None = None) -> Tensor:
        """Mean output of those teachers that have the task, [n, K] or [n].

        Args:
            teachers: teachers.
            examples: examples of one task.
            needed: [n] bool, whether an output is needed, the others may be nan; None: all are.
        """
        name = examples.task.name
        chosen = torch.ones(len(examples), dtype=torch.bool) if needed is None else needed
        outputs = [self._of_teacher(teacher, examples, chosen) for teacher in teachers if name in teacher.tasks]
        return torch.stack(outputs).mean(0)

    def _of_teacher(self, teacher: TrainedTeacher, examples: Examples, needed: Tensor) -> Tensor:
        ranges = [range(begin, min(begin + CHUNK, len(examples))) for begin in range(0, len(examples), CHUNK)]
        chunks = [(chunk, self._path(teacher, examples, chunk)) for chunk in ranges]
        processes.on_first(lambda: self._compute_missing(teacher, examples, chunks, needed))
        processes.wait()
        outputs = torch.cat([_read_outputs(path) for _, path in chunks])
        if not bool(_computed(outputs)[needed].all()):  # only where the disk has no locks
            raise RunError(f"{self.directory}: outputs were lost while another run wrote there; continue with --resume")
        return outputs

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
                outputs = teacher_outputs(teacher.model, examples, places, self.batch_size)
                with exclusive(self.directory):  # another student may add to the same file
                    write_bytes(path, save({OUTPUTS: _merged(chunk, path, places, outputs)}))

    @staticmethod
    def _missing(chunk: range, path: Path, needed: Tensor) -> list[int]:
        """The places of a chunk whose outputs are needed and not kept; of a chunk without a file at least the first."""
        rows = needed[chunk.start : chunk.stop].clone()
        if path.is_file():
            rows &= ~_computed(_read_outputs(path))
        else:
            rows[0] = True  # the file says how wide an output is
        return [chunk.start + place for place in rows.nonzero()[:, 0].tolist()]


def _read_outputs(path: Path) -> Tensor:
    """The outputs in a file.

    Raises:
        RunError: it is damaged.
    """
    try:
        return read_tensors(path)[OUTPUTS]
    except RunError as error:
        raise RunError(f"{error}; delete it, and its outputs are computed again") from None


def _computed(outputs: Tensor) -> Tensor:
    """[n] bool, whether an output is there."""
    return ~outputs.isnan().flatten(1).any(1) if outputs.ndim > 1 else ~outputs.isnan()


def _merged(chunk: range, path: Path, places: Sequence[int], outputs: Tensor) -> Tensor:
    """The outputs of a chunk's file, with further ones at some places; nan where there are none."""
    merged = outputs.new_full((len(chunk), *outputs.shape[1:]), torch.nan)
    if path.is_file():
        merged = _read_outputs(path)
    merged[torch.tensor(places) - chunk.start] = outputs
    return merged


def drawn_examples(config: Config, data: RunData) -> dict[str, Tensor]:
    """Whether a run draws each training example, task -> [n] bool; all of them where scores decide the order."""
    sampler = Sampler(pools(config, data), config.sampling, config.seed)
    every = sampler.order.scores_each_epoch
    masks = {name: torch.full((len(examples),), every) for name, examples in data.train.items()}
    for _ in range(0 if every else sampler.total_steps):
        for name, places in sampler.next().items():
            masks[name][torch.from_numpy(places)] = True
    return masks


def teacher_outputs(model: Model | Ensemble, examples: Examples, places: Sequence[int], batch_size: int) -> Tensor:
    """A teacher's outputs for some of a student's examples, [n, K] or [n]; the teacher uses its own tokenizer."""
    texts = [examples.texts[place] for place in places]
    task = model.tasks[examples.task.name]
    ids = [examples.ids[place] for place in places]
    own = make_examples(task, ids, texts, model.tokenizer, model.max_tokens)
    return model.outputs(own, batch_size)


def load_teachers(config: Config, precision: Precision, device: torch.device) -> Teachers:
    """The teachers that a configuration names; none without distillation.

    Raises:
        ConfigError: a teacher is no finished run, has other tasks or labels, or is named twice, or there is a file in
            the place of `distill.outputs`; all faults are named.
    """
    faults = [] if config.distill.outputs is None else _directory_faults(Path(config.distill.outputs).expanduser())
    teachers: list[TrainedTeacher] = []
    student = {name: task for name, task in config.tasks.items() if task.trained}
    for path in config.distill.teachers:
        try:
            run = open_run(Path(path))
            model = load(run, precision)
        except BertramError as error:
            faults.append(f"distill.teachers: {error}")
            continue
        for member in model.members if isinstance(model, Ensemble) else [model]:
            member.network.to(device)
        tasks = _learned_tasks(run, model)
        faults += space_faults(path, student, tasks)
        sha256 = model_hash(run)
        faults += [f"distill.teachers: {path} is the same model as {t.path}" for t in teachers if t.sha256 == sha256]
        teachers.append(TrainedTeacher(path, run, sha256, model, tasks, _overall(run)))
    if teachers and not faults:
        taught = {name for teacher in teachers for name in teacher.tasks}
        faults += [f"distill.teachers: no teacher was trained on {name}" for name in student if name not in taught]
    if faults:
        raise ConfigError(faults)
    return Teachers(teachers, [TeacherInfo(t.path, t.sha256, _taught(t, student), t.overall) for t in teachers])


def _directory_faults(directory: Path) -> list[str]:
    """The reason why a directory cannot be made; none if it exists."""
    existing = next(path for path in [directory, *directory.absolute().parents] if path.exists())
    return [] if existing.is_dir() else [f"distill.outputs: {existing} is a file; name a directory"]


def _taught(teacher: TrainedTeacher, student: Iterable[str]) -> list[str]:
    return [name for name in student if name in teacher.tasks]


def _learned_tasks(run: Run, model: Model | Ensemble) -> dict[str, Task]:
    """The tasks that a teacher, and each member of it, was trained on: the head of any other says nothing."""
    members = model.members if isinstance(model, Ensemble) else [model]
    return {
        name: task
        for name, task in model.tasks.items()
        if all(member.tasks[name].trained for member in members) and run.record.examples_seen.get(name, 1) > 0
    }


def _overall(run: Run) -> float | None:
    dev = run.record.scores.dev
    return None if dev is None else dev.mean("overall").value


def _agreement(name: str, teachers: Evaluation, student: Evaluation) -> Agreement:
    """Agreement of teachers and student on dev: share of equal decisions, or correlation of scores."""
    first, second = teachers.values(name), student.values(name)
    if teachers.examples[name].task.label_space.numeric:
        spread = float(np.std(first)) * float(np.std(second))
        return Agreement("pearson", float(np.corrcoef(first, second)[0, 1]) if spread > 0 else None)
    return Agreement("equal decisions", float(np.mean(first == second)))
