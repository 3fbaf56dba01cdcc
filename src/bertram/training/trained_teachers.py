"""The trained models that teach a student, read from the run directories that its configuration names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bertram.config import Config
from bertram.data.examples import Examples, make_examples
from bertram.errors import BertramError, ConfigError
from bertram.model.linear import Precision
from bertram.prediction.load import Ensemble, load
from bertram.prediction.model import Model
from bertram.prediction.model_hash import model_hash
from bertram.runs.directory import Run, open_run
from bertram.runs.record_parts import TeacherInfo
from bertram.tasks import Task
from bertram.training.teacher_faults import space_faults


@dataclass(frozen=True)
class TrainedTeacher:
    """A trained model that teaches.

    Attributes:
        path: run directory, as the configuration names it.
        run: run of the model.
        sha256: SHA-256 of the model.
        model: model or ensemble.
        tasks: the tasks that it was trained on.
    """

    path: str
    run: Run
    sha256: str
    model: Model | Ensemble
    tasks: Mapping[str, Task]

    def outputs(self, examples: Examples, places: Sequence[int], batch_size: int) -> Tensor:
        """Outputs for some of a student's examples, [n, K] or [n]; the teacher uses its own tokenizer."""
        texts = [examples.texts[place] for place in places]
        ids = [examples.ids[place] for place in places]
        task = self.model.tasks[examples.task.name]
        own = make_examples(task, ids, texts, self.model.tokenizer, self.model.max_tokens)
        return self.model.outputs(own, batch_size)

    def facts(self, student: Mapping[str, Task]) -> TeacherInfo:
        """The teacher for the record of a student with these tasks."""
        dev = self.run.record.scores.dev
        overall = None if dev is None else dev.mean("overall").value
        return TeacherInfo(self.path, self.sha256, [name for name in student if name in self.tasks], overall)


def read_teachers(config: Config, precision: Precision, device: torch.device) -> list[TrainedTeacher]:
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
            teacher = _read(path, precision, device)
        except BertramError as error:
            faults.append(f"distill.teachers: {error}")
            continue
        faults += space_faults(path, student, teacher.tasks)
        twins = [earlier for earlier in teachers if earlier.sha256 == teacher.sha256]
        faults += [f"distill.teachers: {path} is the same model as {twin.path}" for twin in twins]
        teachers.append(teacher)
    if teachers and not faults:
        taught = {name for teacher in teachers for name in teacher.tasks}
        faults += [f"distill.teachers: no teacher was trained on {name}" for name in student if name not in taught]
    if faults:
        raise ConfigError(faults)
    return teachers


def _read(path: str, precision: Precision, device: torch.device) -> TrainedTeacher:
    run = open_run(Path(path))
    model = load(run, precision)
    for member in _members(model):
        member.network.to(device)
    return TrainedTeacher(path, run, model_hash(run), model, _learned_tasks(run, model))


def _members(model: Model | Ensemble) -> Sequence[Model]:
    return model.members if isinstance(model, Ensemble) else [model]


def _learned_tasks(run: Run, model: Model | Ensemble) -> dict[str, Task]:
    """The tasks that a teacher, and each member of it, was trained on: the head of any other says nothing."""
    return {
        name: task
        for name, task in model.tasks.items()
        if all(member.tasks[name].trained for member in _members(model)) and run.record.examples_seen.get(name, 1) > 0
    }


def _directory_faults(directory: Path) -> list[str]:
    """The reason why a directory cannot be made; none if it exists."""
    existing = next(path for path in [directory, *directory.absolute().parents] if path.exists())
    return [] if existing.is_dir() else [f"distill.outputs: {existing} is a file; name a directory"]
