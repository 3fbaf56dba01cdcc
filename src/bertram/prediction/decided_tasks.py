"""The tasks of a run with the temperature and the thresholds that were fitted afterwards; without PyTorch."""

from collections.abc import Mapping

from bertram.errors import RunError
from bertram.runs.decisions import DECISIONS, read_decisions
from bertram.runs.directory import Run
from bertram.runs.typed_json import one_line
from bertram.tasks import Task


def decided(tasks: Mapping[str, Task], run: Run) -> dict[str, Task]:
    """The tasks, some of them with the settings that were fitted for the run.

    Args:
        tasks: task -> its definition in the model of the run.
        run: run of the model.

    Raises:
        RunError: the file of the fitted settings is damaged, or does not belong to the tasks of the model.
    """
    with_fits = dict(tasks)
    decisions = read_decisions(run.path)
    for name, fitted in () if decisions is None else decisions.tasks.items():
        path = run.path / DECISIONS
        if name not in tasks:
            raise RunError(f"{path}: the run has no task {name!r}; remove it by bertram calibrate --undo")
        values = {"temperature": fitted.temperature, "thresholds": tuple(fitted.thresholds)}
        try:
            with_fits[name] = Task.model_validate({**tasks[name].model_dump(), **values})
        except ValueError as error:
            raise RunError(f"{path}: does not fit the task {name}: {one_line(error)}") from None
    return with_fits
