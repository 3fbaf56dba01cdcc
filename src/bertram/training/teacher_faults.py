"""Reasons why a trained model cannot teach: other labels or inputs, or a training on the student's dev rows."""

from collections.abc import Iterable, Iterator, Mapping

from bertram.data.sources import HeldOut
from bertram.data.splits import run_source
from bertram.runs.directory import Run
from bertram.runs.record_parts import DataFile
from bertram.tasks import Task


def space_faults(path: str, student: Mapping[str, Task], teacher: Mapping[str, Task]) -> list[str]:
    """Reasons why a teacher's outputs have no meaning for a student.

    Args:
        path: run directory of the teacher.
        student: trained tasks of the student.
        teacher: tasks that the teacher was trained on.
    """
    common = [name for name in student if name in teacher]
    if not common:
        trained = f"it was trained on {', '.join(teacher)}" if teacher else "it was trained on no task"
        return [f"teacher {path} was trained on none of the tasks {', '.join(student)}; {trained}"]
    faults = []
    for name in common:
        own, taught = student[name], teacher[name]
        if own.kind != taught.kind:
            faults.append(f"teacher {path}: {name} is a {taught.kind} task there, and a {own.kind} task here")
        elif (own.labels, own.classes, own.range) != (taught.labels, taught.classes, taught.range):
            faults.append(f"teacher {path}: {name} has other labels or another range there")
        elif own.pair != taught.pair:
            faults.append(f"teacher {path}: {name} takes {_inputs(taught)} there, and {_inputs(own)} here")
        elif own.pools_target != taught.pools_target:
            faults.append(f"teacher {path}: {name} reads {_texts(taught)} there, and {_texts(own)} here")
        elif own.text_normalization != taught.text_normalization:
            normalization = f"text_normalization = {taught.text_normalization} there, {own.text_normalization} here"
            faults.append(f"teacher {path}: {name} has {normalization}")
    return faults


def split_faults(
    path: str, teacher: Run, tasks: Iterable[str], files: Mapping[str, DataFile], held_out: Mapping[str, HeldOut]
) -> Iterator[str]:
    """Reasons to believe that a teacher was trained on dev rows of a student, a line for each task.

    Args:
        path: run directory of the teacher, as the configuration names it.
        teacher: run of the teacher.
        tasks: trained tasks of the student.
        files: data files of the student.
        held_out: task -> dev rows that the student holds out of its training file.
    """
    teacher_dev = run_source(teacher).held_out
    for name in tasks:
        if name not in teacher.config.tasks:
            continue
        learned = [file for file in teacher.record.learned if file.task == name]
        hashes = {file.sha256 for file in learned}
        if name in held_out:
            dev_rows = held_out[name]
            is_other_file = dev_rows.sha256 not in hashes and dev_rows.file not in {file.file for file in learned}
            if _covers(teacher_dev.get(name), dev_rows):
                continue
            if not learned:
                yield (
                    f"teacher {path}: its record does not tell which rows of {name} it was trained on, and this run "
                    "holds its dev rows out of a training file; use a dev file, or another teacher"
                )
            elif not is_other_file:
                yield (
                    f"teacher {path}: held out other dev rows of {name} than this run, so it may have been trained on "
                    f"them; use one dev file for both, or one split (--split.same_as {path})"
                )
            continue
        for file, facts in files.items():
            is_dev = any(use.task == name and use.part == "dev" for use in facts.uses)
            if is_dev and facts.sha256 in hashes:
                yield f"teacher {path}: was trained on {file}, the dev file of {name}; name another dev file"


def _covers(held_out: HeldOut | None, dev_rows: HeldOut) -> bool:
    """Whether all dev rows are among the rows that a teacher's training held out."""
    return held_out is not None and held_out.sha256 == dev_rows.sha256 and set(dev_rows.lines) <= set(held_out.lines)


def _inputs(task: Task) -> str:
    return "pairs" if task.pair else "single texts"


def _texts(task: Task) -> str:
    return "marked targets" if task.pools_target else "whole texts"
