"""``bertram evaluate``."""

from typing import Annotated, Literal

from cyclopts import App, Parameter

from bertram.cli.arguments import ENGINE, BatchSize, DataOfRun, RunDirectory
from bertram.prediction.engines.reading import Engine

EXAMPLE = "Example: bertram evaluate RUN --data DIR"

app = App(name="evaluate", help_epilogue=EXAMPLE, help_format="plaintext")


@app.default
def evaluate(
    run: RunDirectory,
    *,
    data: DataOfRun = None,
    split: Literal["dev", "test"] = "dev",
    batch_size: BatchSize = 64,
    engine: Annotated[Engine, Parameter(help=ENGINE)] = "torch",
) -> None:
    """Score a run on labelled data, with intervals, confusion matrices and constant baselines.

    The scores in the run's record are those of the engine torch.

    Parameters
    ----------
    split
        Files to score on.
    """
    from bertram.cli.show import confusion_tables, score_table  # noqa: PLC0415
    from bertram.cli.terminal import console, say, working  # noqa: PLC0415
    from bertram.evaluation.caveats import notes_on_new_scores  # noqa: PLC0415
    from bertram.evaluation.files import evaluate_run  # noqa: PLC0415
    from bertram.runs.directory import open_run  # noqa: PLC0415

    opened = open_run(run)
    with working("predicting"):
        evaluation = evaluate_run(opened, data, split, batch_size, engine, say)
    out = console()
    out.print(score_table(opened.config, evaluation.scores, split, evaluation.baselines))
    for table in confusion_tables(opened.config, evaluation.confusion):
        out.print(table)
    for note in notes_on_new_scores(opened):
        out.print(note)
