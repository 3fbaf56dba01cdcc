"""``bertram data describe``, ``bertram data check`` and ``bertram data phrases``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from bertram.cli.settings import resolved
from bertram.config import Config

app = App(name="data", help_format="plaintext")
Given = Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]


@app.command
def describe(data: str, *given: Given, config: Path | None = None) -> None:
    """Rows, label balance, token lengths, duplicates, overlap of train and dev, and what is rejected.

    Example: bertram data describe DIR

    Parameters
    ----------
    data
        A directory with the files, hub, or sample.
    config
        A TOML file that defines tasks.
    """
    from bertram.cli.show import console  # noqa: PLC0415
    from bertram.cli.show_description import description_table  # noqa: PLC0415
    from bertram.data.describe import describe as describe_data  # noqa: PLC0415
    from bertram.data.tokenizer import load_tokenizer  # noqa: PLC0415
    from bertram.model.pretrained import find  # noqa: PLC0415

    settings = _settings(data, given, config)
    description = describe_data(settings.tasks, settings.data, load_tokenizer(find(settings.encoder)))
    console().print(description_table(description))


@app.command
def check(data: str, *given: Given, config: Path | None = None) -> None:
    """Say whether a training would refuse the data, and why; exits 1 if it would.

    Example: bertram data check DIR

    Parameters
    ----------
    data
        A directory with the files, hub, or sample.
    config
        A TOML file that defines tasks.
    """
    from bertram.cli.show import console  # noqa: PLC0415
    from bertram.data.rows import check_files, rejected_rows  # noqa: PLC0415

    settings = _settings(data, given, config)
    problems = check_files(settings.tasks, settings.data, allow_rejects=settings.allow_rejects)
    for problem in problems:
        console().print(problem)
    if problems:
        sys.exit(1)
    for reject in rejected_rows(settings.tasks, settings.data):
        console().print(f"rejected: {reject}")
    console().print(f"{data}: fit for training {', '.join(settings.tasks)}")


@app.command
def phrases(trees: Path, *, out: Path) -> None:
    """Make further training rows for sentiment out of the Stanford Sentiment Treebank, as the recipe best reads them.

    Example: bertram data phrases trees --out DIR/extra/sst-train-phrases.tsv

    Parameters
    ----------
    trees
        The directory with the treebank's train.txt, dev.txt and test.txt, a tree a line.
    out
        The file to write.
    """
    from bertram.cli.show import console  # noqa: PLC0415
    from bertram.data.treebank import write_phrases  # noqa: PLC0415

    console().print(f"{out}: {write_phrases(trees, out):,} phrases")


def _settings(data: str, given: tuple[str, ...], config: Path | None) -> Config:
    return resolved(None, config, given, (("data", data),))
