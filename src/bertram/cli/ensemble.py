"""``bertram ensemble``."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

EXAMPLE = "Example: bertram ensemble runs/a runs/b runs/c --out runs/together"

app = App(name="ensemble", help_epilogue=EXAMPLE, help_format="plaintext")


@app.default
def ensemble(
    runs: Annotated[list[Path], Parameter(name="RUN", consume_multiple=True)],
    /,
    *,
    out: Path,
    data: str | None = None,
) -> None:
    """Average the predictions of runs; the result is a run itself.

    Parameters
    ----------
    runs
        Finished runs of the same tasks. Encoders and heads may differ; tokenizers must be the same.
    out
        Run directory to create; it holds copies of the models.
    data
        Data to score the ensemble on: a directory; or hub, or sample. Default: the data of the first run.
    """
    from bertram.cli.show import merged_run  # noqa: PLC0415
    from bertram.cli.terminal import working  # noqa: PLC0415
    from bertram.merging.ensemble import ensemble as gather  # noqa: PLC0415

    with working("scoring"):
        run = gather(runs, out, data=data)
    merged_run(run)
