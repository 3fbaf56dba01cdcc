"""``bertram soup``."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

EXAMPLE = "Example: bertram soup runs/a runs/b runs/c --greedy --out runs/soup"

app = App(name="soup", help_epilogue=EXAMPLE, help_format="plaintext")


@app.default
def soup(
    runs: Annotated[list[Path], Parameter(name="RUN", consume_multiple=True)],
    /,
    *,
    out: Path,
    greedy: Annotated[bool, Parameter(negative="")] = False,
    data: str | None = None,
) -> None:
    """Average the weights of runs of the same shape; the result is a run.

    Parameters
    ----------
    runs
        Finished runs that were fine-tuned from the same encoder.
    out
        The new run directory.
    greedy
        Keep only runs that do not lower the dev overall, best first; the soup's dev scores are then optimistic.
    data
        What the soup is scored on: a directory, hub, or sample; default: the data of the first run.
    """
    from bertram.cli.show import complain, merged_run, working  # noqa: PLC0415
    from bertram.merging.soup import soup as mix  # noqa: PLC0415

    with working("scoring"):
        made = mix(runs, out, greedy=greedy, data=data, say=complain)
    merged_run(made)
