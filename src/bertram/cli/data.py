"""``bertram data describe``, ``bertram data check`` and ``bertram data phrases``."""

import sys
from pathlib import Path

from cyclopts import App

from bertram.cli.layout import Words
from bertram.cli.settings import resolved
from bertram.config import Config

app = App(name="data", help_epilogue="Start with: bertram data describe DIR", help_format="plaintext")


@app.command(help_epilogue="Example: bertram data describe DIR")
def describe(data: str, *words: Words, config: Path | None = None) -> None:
    """Show rows, label balance, token lengths, duplicates, overlap of train and dev, and rejected rows.

    Parameters
    ----------
    data
        Directory with the data files; or hub (Hugging Face Hub), or sample (embedded).
    config
        TOML file that defines tasks.
    """
    from bertram.cli.show_description import description_table  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.data.describe import describe as describe_data  # noqa: PLC0415
    from bertram.data.tokenizer import load_tokenizer  # noqa: PLC0415
    from bertram.model.pretrained import find  # noqa: PLC0415

    settings = _settings(data, words, config)
    description = describe_data(settings.tasks, settings.data, load_tokenizer(find(settings.encoder)))
    console().print(description_table(description))


@app.command(help_epilogue="Example: bertram data check DIR")
def check(data: str, *words: Words, config: Path | None = None) -> None:
    """Check whether the data can be used for training; exit with 1 and list the faults if not.

    Parameters
    ----------
    data
        Directory with the data files; or hub (Hugging Face Hub), or sample (embedded).
    config
        TOML file that defines tasks.
    """
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.data.rows import check_files, rejected_rows  # noqa: PLC0415

    settings = _settings(data, words, config)
    problems = check_files(settings.tasks, settings.data, allow_rejects=settings.allow_rejects)
    for problem in problems:
        console().print(problem)
    if problems:
        sys.exit(1)
    for reject in rejected_rows(settings.tasks, settings.data):
        console().print(f"rejected: {reject}")
    console().print(f"{data}: fit for training {', '.join(settings.tasks)}")


@app.command(help_epilogue="Example: bertram data phrases trees --out DIR/extra/sst-train-phrases.tsv")
def phrases(trees: Path, *, out: Path) -> None:
    """Extract labelled phrases from the Stanford Sentiment Treebank, as additional rows for the recipes best and quick.

    Parameters
    ----------
    trees
        Directory with the treebank's train.txt, dev.txt and test.txt, one tree per line.
    out
        Output file.
    """
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.data.treebank import write_phrases  # noqa: PLC0415

    console().print(f"{out}: {write_phrases(trees, out):,} phrases")


def _settings(data: str, words: tuple[str, ...], config: Path | None) -> Config:
    return resolved(None, config, words, (("data", data),))
