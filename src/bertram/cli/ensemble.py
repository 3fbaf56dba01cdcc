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
    """Average the predictions of runs of the same tasks; the result is used wherever a run is.

    Parameters
    ----------
    runs
        Finished runs; their encoders and heads may differ, their tokenizers may not.
    out
        The new run directory, with copies of the models.
    data
        What the ensemble is scored on: a directory, hub, or sample; default: the data of the first run.
    """
    from bertram.cli.show import merged_run, working  # noqa: PLC0415
    from bertram.merging.ensemble import ensemble as gather  # noqa: PLC0415

    with working("scoring"):
        made = gather(runs, out, data=data)
    merged_run(made)
