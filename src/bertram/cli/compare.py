"""``bertram compare``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from bertram.cli.arguments import AllowRejects, SmallestEffect
from bertram.cli.layout import FileOrDash

EXAMPLES = """Examples:

  bertram compare runs/a runs/b           two models
  bertram compare runs/a-* runs/b-*       two configurations with several seeds
  bertram compare --scores FILE.csv       scores of systems trained elsewhere
"""

app = App(name="compare", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def compare(
    runs: Annotated[list[Path] | None, Parameter(name="RUN", consume_multiple=True)] = None,
    /,
    *,
    scores: FileOrDash | None = None,
    data: str | None = None,
    split: Literal["dev", "test"] = "dev",
    allow_rejects: AllowRejects = False,
    smallest_effect: SmallestEffect = 0.005,
    primary: str | None = None,
) -> None:
    """Compare runs with the first one, on the same examples.

    Every difference comes with an interval and a test. Runs that differ only in their seed are compared as one
    configuration: with at least 3 common seeds the verdict is on the configuration, otherwise on these models.

    Parameters
    ----------
    runs
        Run directories; the others are compared with the first.
    scores
        CSV file with the columns system, seed, task, metric, value: compares systems trained elsewhere, without runs.
    data
        Source of the gold labels: a directory with the data files; or hub, or sample. Default: that of the first run.
    split
        Files to compare on. For test, run `bertram evaluate RUN --split test` on each run first.
    primary
        Primary outcome: a task, or overall (default). Its verdicts are corrected for the configurations alone.
    """
    from bertram.cli.failures import UsageError  # noqa: PLC0415
    from bertram.cli.show_comparison import parts  # noqa: PLC0415
    from bertram.cli.terminal import console, working  # noqa: PLC0415
    from bertram.comparison.comparison import compare_runs, compare_scores  # noqa: PLC0415

    if (scores is None) == (not runs):
        raise UsageError("name either runs or a table with --scores")
    if scores is not None and (data is not None or allow_rejects or split != "dev"):
        raise UsageError(
            "--data, --split and --allow-rejects are for runs; --scores takes the scores of the table alone"
        )
    with working("comparing"):
        comparison = (
            compare_scores(scores, primary=primary, smallest_effect=smallest_effect)
            if scores is not None
            else compare_runs(
                runs or [], data, split, allow_rejects=allow_rejects, primary=primary, smallest_effect=smallest_effect
            )
        )
    for part in parts(comparison, split):
        console().print(part)
    for note in comparison.notes:
        console().print(note)
