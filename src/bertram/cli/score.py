"""``bertram score``."""

from cyclopts import App

from bertram.cli.layout import FileOrDash, Flag, refuse_second_dash

EXAMPLES = """Examples:

  bertram score upload/sst-dev-output.csv DIR/ids-sst-dev.csv --task sst
  bertram score mine.jsonl gold.csv --task topic --config mine.toml
"""

app = App(name="score", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def score(
    predictions: FileOrDash,
    gold: FileOrDash,
    *,
    task: str,
    config: FileOrDash | None = None,
    partial: Flag = False,
    encoding: str | None = None,
    allow_rejects: Flag = False,
) -> None:
    """Score a file of predictions made by any program, with confidence intervals.

    Missing, unknown and duplicate ids are errors; all of them are listed.

    Parameters
    ----------
    predictions
        Leaderboard file, CSV, TSV or JSONL, optionally gzipped, or - for standard input, with a column of ids (id, or
        the task's own) and one value per row: a score, a label, or the index of a label in a column index.
        Probabilities as `bertram predict` writes them add the negative log-likelihood and the Brier score.
    gold
        Data file with ids, texts and labels, such as a dev file of the course, or - for standard input.
    task
        Task that defines the labels: sst, quora, sts, or a task of --config.
    config
        TOML file that defines tasks, such as the config.toml of a run.
    partial
        Score only the rows that have a prediction, instead of refusing the file.
    encoding
        Text encoding of the predictions, such as cp1252. Default: UTF-8, or as the byte order mark says.
    allow_rejects
        Continue even if more than 1 % of the gold file's rows are rejected.
    """
    from bertram.cli.settings import resolved, with_labels_of_data  # noqa: PLC0415
    from bertram.cli.show import metric_table  # noqa: PLC0415
    from bertram.cli.terminal import console, say  # noqa: PLC0415
    from bertram.comparison.gold import score_file, task_named  # noqa: PLC0415

    refuse_second_dash({"PREDICTIONS": predictions, "GOLD": gold, "--config": config})
    definition = task_named(with_labels_of_data(resolved(None, config, ())).tasks, task)
    result = score_file(predictions, gold, definition, allow_rejects=allow_rejects, partial=partial, encoding=encoding)
    for line in result.notes:
        say(line)
    console().print(metric_table(definition, result.scores, result.baselines, f"{predictions.name} on {gold.name}"))
