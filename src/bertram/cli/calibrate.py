"""``bertram calibrate``."""

from typing import Annotated, Literal

from cyclopts import App, Parameter

from bertram.cli.arguments import BatchSize, DataOfRun, RunDirectory
from bertram.cli.layout import FileOrDash, Flag

EXAMPLES = """Examples:

  bertram calibrate RUN
  bertram calibrate RUN --task topics --only thresholds
  bertram calibrate RUN --task topics --predictions out-of-fold.jsonl
  bertram calibrate RUN --undo
"""

app = App(name="calibrate", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def calibrate(
    run: RunDirectory,
    *,
    data: DataOfRun = None,
    task: str | None = None,
    predictions: FileOrDash | None = None,
    only: Literal["temperature", "thresholds"] | None = None,
    folds: Annotated[int, Parameter()] = 5,
    batch_size: BatchSize = 64,
    undo: Flag = False,
) -> None:
    """Fit temperature and thresholds of a run, which predicts, serves and is exported with them from then on.

    The scores after fitting are of rows that the fit did not see: each fold is scored by a fit on the others.

    Parameters
    ----------
    task
        Task to fit. Default: every task with probabilities.
    predictions
        JSON lines with id and probabilities of training rows, each by a model that was not trained on that row, as
        cross-validation makes them; - for standard input. Default: fit on dev, whose scores are optimistic from then
        on.
    only
        Fit the temperature or the thresholds alone.
    folds
        Number of folds for the scores after fitting.
    undo
        Forget what was fitted.
    """
    from bertram.cli.show import calibration_table  # noqa: PLC0415
    from bertram.cli.terminal import console, working  # noqa: PLC0415
    from bertram.errors import BertramError  # noqa: PLC0415
    from bertram.evaluation.calibrate_run import calibrate_run  # noqa: PLC0415
    from bertram.runs.decisions import DECISIONS, read_decisions  # noqa: PLC0415
    from bertram.runs.directory import open_run  # noqa: PLC0415

    opened, out = open_run(run), console()
    if undo:
        if not (run / DECISIONS).is_file():
            raise BertramError(f"{run}: nothing was fitted")
        (run / DECISIONS).unlink()
        out.print(f"{run}: temperature and thresholds are those of the training again")
        return
    if folds < 2:
        raise BertramError(f"--folds {folds}: at least 2 are needed")
    before = read_decisions(run)
    with working("predicting"):
        decisions = calibrate_run(
            opened,
            data,
            task=task,
            predictions=predictions,
            temperature=only != "thresholds",
            thresholds=only != "temperature",
            folds=folds,
            batch_size=batch_size,
        )
    for name, decision in decisions.tasks.items():
        if task in (None, name):
            out.print(calibration_table(opened.config.tasks[name], decision))
    forgotten = [name for name in (before.tasks if before else ()) if name not in decisions.tasks]
    if before is not None and forgotten:
        out.print(
            f"{', '.join(forgotten)}: what was fitted on {before.fitted_on} is forgotten; all decisions of a run are "
            "fitted on dev, or on one file"
        )
    if before is not None and only is not None:
        other = "thresholds" if only == "temperature" else "temperature"
        for name, earlier in before.tasks.items():
            if name in decisions.tasks and getattr(decisions.tasks[name], other) != getattr(earlier, other):
                out.print(f"{name}: the earlier fit of the {other} is forgotten; without --only both are fitted")
    for note in decisions.notes():
        out.print(note)
