"""``bertram submission``."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt

EXAMPLE = "Example: bertram submission RUN --data DIR --out upload"

app = App(name="submission", help_epilogue=EXAMPLE, help_format="plaintext")


@app.default
def submission(
    run: Path,
    *,
    out: Path,
    data: str | None = None,
    batch_size: PositiveInt = 64,
    allow_rejects: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write the course leaderboard's six files.

    They hold predictions for the dev and test-student files of sst, quora and sts.

    Parameters
    ----------
    run
        A run directory with these three tasks.
    out
        Where the files go.
    data
        A directory with the course's files, hub, or sample; default: the data of the run.
    batch_size
        Examples computed together.
    allow_rejects
        Go on although more than 1 % of a file's rows are unusable.
    """
    from bertram.cli.show import complain, console, working  # noqa: PLC0415
    from bertram.minbert.leaderboard import submit  # noqa: PLC0415
    from bertram.runs.directory import open_run  # noqa: PLC0415

    opened = open_run(run)
    with working("predicting"):
        written = submit(
            opened,
            data or opened.config.data,
            out,
            batch_size=batch_size,
            allow_rejects=allow_rejects or opened.config.allow_rejects,
            complain=complain,
        )
    for path in written:
        console().print(str(path), soft_wrap=True)
