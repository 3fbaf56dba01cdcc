"""``bertram submission``."""

from pathlib import Path
from typing import Literal

from cyclopts import App

from bertram.cli.arguments import AllowRejects, BatchSize, DataOfRun

EXAMPLE = "Example: bertram submission RUN --data DIR --out upload"

app = App(name="submission", help_epilogue=EXAMPLE, help_format="plaintext")


@app.default
def submission(
    run: Path,
    *,
    out: Path,
    data: DataOfRun = None,
    split: Literal["dev", "test"] | None = None,
    batch_size: BatchSize = 64,
    allow_rejects: AllowRejects = False,
) -> None:
    """Write the six files of the course's leaderboard: predictions for dev and test of sst, quora and sts.

    Each multi-label task of the run adds a table of the labels' probabilities for its dev and its test file.

    Parameters
    ----------
    run
        Run directory with these three tasks, or with multi-label tasks.
    out
        Directory for the files.
    split
        Predict only this split: dev or test. Default: both.
    """
    from bertram.cli.terminal import console, say, working  # noqa: PLC0415
    from bertram.minbert.leaderboard import SPLITS, submit  # noqa: PLC0415
    from bertram.runs.directory import open_run  # noqa: PLC0415

    opened = open_run(run)
    with working("predicting"):
        written = submit(
            opened,
            data or opened.config.data,
            out,
            splits=SPLITS if split is None else (split,),
            batch_size=batch_size,
            allow_rejects=allow_rejects or opened.config.allow_rejects,
            complain=say,
        )
    for path in written:
        console().print(str(path), soft_wrap=True)
