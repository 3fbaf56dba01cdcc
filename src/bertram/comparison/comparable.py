"""Checks before a comparison: equal dev rows, recorded scores that match the predictions, and notes on differences."""

from collections.abc import Mapping, Sequence

from bertram.comparison.arms import Arm
from bertram.comparison.outcomes import TaskPredictions
from bertram.data.checks import listed
from bertram.data.splits import run_source
from bertram.errors import DataError
from bertram.evaluation.metrics import metrics_of
from bertram.runs.directory import Run
from bertram.runs.record_parts import DataFile
from bertram.tasks import Task

TOLERANCE = 1e-4  # of a recorded score


def check_dev_files(runs: Mapping[str, Run]) -> None:
    """Refuse runs whose records name dev files with other contents; equal ids are not enough.

    Raises:
        DataError: every task on which the files differ.
    """
    faults = []
    for name in dict.fromkeys(name for run in runs.values() for name in run.config.tasks):
        hashes: dict[object, str] = {}
        for key, run in runs.items():
            task = run.config.tasks.get(name)
            file = None if task is None else _dev_file(run, task)
            dev_rows = run_source(run).held_out.get(name)
            if dev_rows is not None:
                hashes.setdefault((dev_rows.sha256, tuple(dev_rows.lines)), key)
            elif file is not None:
                hashes.setdefault(file.sha256, key)
        if len(hashes) > 1:
            faults.append(f"{name}: the dev rows of {' and of '.join(hashes.values())} are not the same")
    if faults:
        raise DataError(
            "the runs were scored on different dev files; evaluate them on one:\n  - " + "\n  - ".join(faults)
        )


def _dev_file(run: Run, task: Task) -> DataFile | None:
    """The dev file of a task in a run's record, or its dev table in memory."""
    names = (str(task.files.dev), f"<{task.name} dev table>", "<dev table>")
    return next((run.record.data[name] for name in names if name in run.record.data), None)


def score_notes(runs: Mapping[str, Run], tasks: Mapping[str, TaskPredictions], split: str) -> list[str]:
    """Recorded main scores that the predictions and gold labels at hand do not give."""
    lines = []
    for name, task in tasks.items():
        metric = metrics_of(task.space)[task.main_metric]
        for key in task.predicted:
            recorded = runs[key].record.get("scores", {}).get(split, {}).get(name, {}).get(task.main_metric)
            value = None if recorded is None else recorded["value"]
            computed = metric.value(task.labels(), task.predictions(key))
            if value is not None and not abs(value - computed) <= TOLERANCE:
                lines.append(
                    f"{key}: its record says {task.main_metric} {value:.4f} on {name}, its predictions and these gold "
                    f"labels give {computed:.4f}."
                )
    return lines


def precision_notes(runs: Mapping[str, Run]) -> list[str]:
    """The precisions of trainings that were not in the same one, with some of the runs."""
    names: dict[str, list[str]] = {}
    for name, run in runs.items():
        record = run.record
        if record.trained and record.merged is None and record.precision is not None:
            names.setdefault(record.precision, []).append(name)
    if len(names) < 2:
        return []
    parts = [
        f"{precision} in {len(same)} run{'s' * (len(same) != 1)} ({listed(same)})" for precision, same in names.items()
    ]
    return [
        f"Precision of the matrix multiplications: {', '.join(parts)}; differences between these runs may come from "
        "it. --precision sets one."
    ]


def training_notes(runs: Mapping[str, Run], arms: Sequence[Arm]) -> list[str]:
    """Arms whose data files are not those of the first one. Soups and ensembles record dev files alone."""
    trained = [arm for arm in arms if not arm.merged]
    hashes = [{file.sha256 for file in runs[next(iter(arm.runs.values()))].record.data.values()} for arm in trained]
    differing = [arm.name for arm, files in zip(trained, hashes, strict=True) if files != hashes[0]]
    return [f"{', '.join(differing)}: trained on other data files than {trained[0].name}."] if differing else []
