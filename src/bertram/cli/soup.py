"""``bertram soup``."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from bertram.cli.layout import Flag

EXAMPLE = "Example: bertram soup runs/a runs/b runs/c --greedy --out runs/soup"

app = App(name="soup", help_epilogue=EXAMPLE, help_format="plaintext")


@app.default
def soup(
    runs: Annotated[list[Path], Parameter(name="RUN", consume_multiple=True)],
    /,
    *,
    out: Path,
    greedy: Flag = False,
    contributions: Flag = False,
    data: str | None = None,
) -> None:
    """Average the weights of runs that share an encoder and heads; the result is a run itself.

    Parameters
    ----------
    runs
        Finished runs that were fine-tuned from the same encoder.
    out
        Run directory to create.
    greedy
        Add runs one by one, best first, and keep only those that do not lower the overall dev score. The dev scores
        of the soup are then optimistic.
    contributions
        Show what each member adds, with its interval. The soup is scored once more for each member, without it.
    data
        Data to score the soup on: a directory; or hub, or sample. Default: the data of the first run.
    """
    from bertram.cli.show import merged_run  # noqa: PLC0415
    from bertram.cli.terminal import say, working  # noqa: PLC0415
    from bertram.merging.soup import soup as mix  # noqa: PLC0415

    with working("scoring"):
        run = mix(runs, out, greedy=greedy, contributions=contributions, data=data, say=say)
    merged_run(run)
