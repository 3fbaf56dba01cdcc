"""The teachers of a distillation: what they teach the examples that a run draws, and how much the student agrees.

Outputs are computed for those training examples that the run draws, and for dev. `KeptOutputs` computes each once.
"""

import time
from dataclasses import dataclass, field, replace
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from bertram.config import Config
from bertram.data.examples import Examples, Teaching
from bertram.errors import ConfigError
from bertram.evaluation.evaluate import Evaluation, sample
from bertram.model.linear import Precision
from bertram.model.outputs import output_of
from bertram.runs.record_parts import Agreement, Distilled, TeacherInfo
from bertram.training import processes
from bertram.training.kept_outputs import KeptOutputs
from bertram.training.run_data import RunData, pools
from bertram.training.sampler import Sampler
from bertram.training.teacher_faults import split_faults
from bertram.training.trained_teachers import TrainedTeacher, read_teachers

MEASURED = 64  # examples of each task whose outputs are timed for an estimate


@dataclass
class Teachers:
    """All teachers of a run; none in a run without distillation.

    Attributes:
        trained: teachers, until their outputs are known.
        facts: each teacher for the record.
        dev: their mean outputs for the dev examples of each task, [n, K] or [n].
        seconds: time that the outputs took to compute, in this run or in an earlier one; nan if that is not known.
    """

    trained: list[TrainedTeacher] = field(default_factory=list)
    facts: list[TeacherInfo] = field(default_factory=list)
    dev: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0

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

    def teach(self, config: Config, data: RunData, outputs: KeptOutputs) -> RunData:
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
        train, is_drawn = dict(data.train), drawn_examples(config, data)
        for name, examples in data.train.items():
            on_train = outputs.mean(self.trained, examples, is_drawn[name])
            on_dev = outputs.mean(self.trained, data.dev[name])
            train[name] = _taught(examples, data, on_train.outputs)
            self.dev[name] = on_dev.outputs
            self.seconds += float(on_train.seconds[is_drawn[name]].sum() + on_dev.seconds.sum())
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
                teacher.outputs(measured, range(len(measured)), config.evaluation.batch_size)
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

    def record(self, dev: Evaluation) -> Distilled | None:
        """Scores of the teachers on dev and their agreement with the student; None without a teacher.

        Args:
            dev: evaluation of the student.
        """
        if not self.facts:
            return None
        teachers = Evaluation({name: dev.examples[name] for name in self.dev}, self.dev)
        agreement = {name: _agreement(name, teachers, dev) for name in self.dev}
        seconds = round(self.seconds, 1) if isfinite(self.seconds) else None
        return Distilled(self.facts, teachers.scores().tasks, agreement, seconds)


def _taught(examples: Examples, data: RunData, outputs: Tensor) -> Examples:
    """The training examples of a task with the teachers' outputs as targets."""
    labelled = torch.ones(len(examples), dtype=torch.bool)
    begin = data.own[examples.task.name]
    for source in data.further[examples.task.name]:
        labelled[begin : begin + source.size] = source.labelled
        begin += source.size
    return replace(examples, teaching=Teaching(output_of(examples.task).soft_targets(outputs), labelled))


def drawn_examples(config: Config, data: RunData) -> dict[str, Tensor]:
    """Whether a run draws each training example, task -> [n] bool; all of them where scores decide the order."""
    sampler = Sampler(pools(config, data), config.sampling, config.seed)
    every = sampler.order.scores_each_epoch
    masks = {name: torch.full((len(examples),), every) for name, examples in data.train.items()}
    for _ in range(0 if every else sampler.total_steps):
        for name, places in sampler.next().items():
            masks[name][torch.from_numpy(places)] = True
    return masks


def load_teachers(config: Config, precision: Precision, device: torch.device) -> Teachers:
    """The teachers that a configuration names; none without distillation.

    Raises:
        ConfigError: `read_teachers` has the reasons.
    """
    trained = read_teachers(config, precision, device)
    student = {name: task for name, task in config.tasks.items() if task.trained}
    return Teachers(trained, [teacher.facts(student) for teacher in trained])


def _agreement(name: str, teachers: Evaluation, student: Evaluation) -> Agreement:
    """Agreement of teachers and student on dev: share of equal decisions, or correlation of scores."""
    first, second = teachers.values(name), student.values(name)
    if teachers.examples[name].task.label_space.numeric:
        spread = float(np.std(first)) * float(np.std(second))
        return Agreement("pearson", float(np.corrcoef(first, second)[0, 1]) if spread > 0 else None)
    return Agreement("equal decisions", float(np.mean(first == second)))
