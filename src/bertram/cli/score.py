"""``bertram score``."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

EXAMPLES = """Examples:

  bertram score upload/sst-dev-output.csv DIR/ids-sst-dev.csv --task sst
  bertram score mine.jsonl gold.csv --task topic --config mine.toml
"""

app = App(name="score", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def score(
    predictions: Path,
    gold: Path,
    *,
    task: str,
    config: Path | None = None,
    allow_rejects: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Score anybody's file of predictions, with confidence intervals.

    Ids that are missing, unknown or double are refused, all of them listed.

    Parameters
    ----------
    predictions
        A leaderboard file, CSV, TSV or JSONL, also gzipped, with a column id and one value a row.
    gold
        A data file with ids, texts and labels, such as the course's.
    task
        What the labels mean: sst, quora, sts, or a task of --config.
    config
        A TOML file that defines tasks, such as a run's config.toml.
    allow_rejects
        Go on although more than 1 % of the gold file's rows are unusable.
    """
    from bertram.cli.settings import resolved  # noqa: PLC0415
    from bertram.cli.show import complain, console, metric_table  # noqa: PLC0415
    from bertram.comparison.gold import score_file, task_named  # noqa: PLC0415

    known = task_named(resolved(None, config, ()).tasks, task)
    found = score_file(predictions, gold, known, allow_rejects=allow_rejects)
    for reject in found.rejects:
        complain(f"rejected: {reject}")
    console().print(metric_table(known, found.scores, found.baselines, f"{predictions.name} on {gold.name}"))
