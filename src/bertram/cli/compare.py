"""``bertram compare``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

EXAMPLES = """Examples:

  bertram compare runs/a runs/b             two models on the same examples
  bertram compare runs/a-* runs/b-*         two techniques, each with several seeds
"""

app = App(name="compare", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def compare(
    runs: Annotated[list[Path], Parameter(name="RUN", consume_multiple=True)],
    /,
    *,
    data: str | None = None,
    split: Literal["dev", "test"] = "dev",
    allow_rejects: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Compare runs with the first of them on the same examples, every difference with a test.

    The runs' own predictions are read, and the gold labels of the data.

    Runs that differ only by their seed are taken together.

    From 3 common seeds on, the verdict is on the technique, otherwise on these models.

    Parameters
    ----------
    runs
        Run directories; the first is what the others are compared with.
    data
        Where the gold labels are: a directory, hub, or sample; default: the data of the first run.
    split
        Which files; for test, each run needs: bertram evaluate RUN --split test.
    allow_rejects
        Go on although more than 1 % of a file's rows are unusable.
    """
    from bertram.cli.show import console, working  # noqa: PLC0415
    from bertram.cli.show_comparison import parts  # noqa: PLC0415
    from bertram.comparison.comparison import compare_runs  # noqa: PLC0415

    with working("resampling"):
        found = compare_runs(runs, data, split, allow_rejects=allow_rejects)
    for part in parts(found, split):
        console().print(part)
    for note in found.notes:
        console().print(note)
