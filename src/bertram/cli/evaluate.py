"""``bertram evaluate``."""

from pathlib import Path
from typing import Literal

from cyclopts import App
from cyclopts.types import PositiveInt

from bertram.prediction.engines.reading import Engine

EXAMPLE = "Example: bertram evaluate RUN --data DIR"

app = App(name="evaluate", help_epilogue=EXAMPLE, help_format="plaintext")


@app.default
def evaluate(
    run: Path,
    *,
    data: str | None = None,
    split: Literal["dev", "test"] = "dev",
    batch_size: PositiveInt = 64,
    engine: Engine = "torch",
) -> None:
    """Score a run on labelled data, with intervals, confusion matrices and constant baselines.

    Parameters
    ----------
    run
        Run directory.
    data
        Directory with the data files; or hub (Hugging Face Hub), or sample (embedded). Default: the data of the run.
    split
        Files to score on.
    batch_size
        Examples per batch.
    engine
        Software that computes: torch (PyTorch, as the scores in the run's record); onnx or onnx-int8 (onnxruntime, in
        fp32 or 8-bit integers); or the faster one of torch and onnx, if their answers agree to 1e-4 (auto).
    """
    from bertram.cli.show import confusion_tables, score_table  # noqa: PLC0415
    from bertram.cli.terminal import console, say, working  # noqa: PLC0415
    from bertram.evaluation.caveats import notes  # noqa: PLC0415
    from bertram.evaluation.files import evaluate_run  # noqa: PLC0415
    from bertram.runs.directory import open_run  # noqa: PLC0415

    opened = open_run(run)
    with working("predicting"):
        evaluation = evaluate_run(opened, data, split, batch_size, engine, say)
    out = console()
    out.print(score_table(opened.config, evaluation.scores, split, evaluation.baselines))
    for table in confusion_tables(opened.config, evaluation.confusion):
        out.print(table)
    for note in notes(opened):
        out.print(note)
