"""``bertram data describe``, ``check``, ``init``, ``pairs``, ``phrases`` and ``usage-pairs``."""

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.types import NonNegativeInt, PositiveInt

from bertram import options
from bertram.cli.arguments import Data, TaskFile
from bertram.cli.layout import FileOrDash, Words, refuse_second_dash
from bertram.cli.settings import resolved, with_labels_of_data
from bertram.config import Config
from bertram.errors import BertramError, DataError
from bertram.standard_streams import is_dash

if TYPE_CHECKING:
    from bertram.data.checks import FileRows

app = App(name="data", help_epilogue="Start with: bertram data describe DIR", help_format="plaintext")


@app.command(help_epilogue="Example: bertram data describe DIR")
def describe(data: Data, *words: Words, config: TaskFile = None) -> None:
    """Show rows, label balance, token lengths, duplicates, overlap of train and dev, and rejected rows."""
    from bertram.cli.show_description import description_table  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.data.describe import describe as describe_data  # noqa: PLC0415
    from bertram.data.sources import as_source  # noqa: PLC0415
    from bertram.data.splits import config_source  # noqa: PLC0415
    from bertram.model.pretrained import find, read_tokenizer  # noqa: PLC0415

    settings = _settings(data, words, config)
    source = as_source(settings.data)
    with suppress(DataError):  # a file that cannot be used is described by its problem
        source = config_source(options.change(settings, allow_rejects=True))
    description = describe_data(settings.tasks, source, read_tokenizer(find(settings.encoder)))
    console().print(description_table(description))


@app.command(help_epilogue="Example: bertram data check DIR")
def check(data: Data, *words: Words, config: TaskFile = None) -> None:
    """Check whether the data can be used for training; exit with 1 and list the faults if not."""
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.data.checks import cautions, left_out, read_files  # noqa: PLC0415
    from bertram.data.leaks import label_shifts, leaks  # noqa: PLC0415

    settings = _settings(data, words, config)
    rows, problems, _ = read_files(
        settings.tasks, settings.data, allow_rejects=settings.allow_rejects, split=settings.split
    )
    show = partial(console().print, soft_wrap=True)
    for problem in problems:
        show(problem)
    for line in dict.fromkeys(line for (name, _), task_rows in rows.items() for line in left_out(name, task_rows)):
        show(line)
    for line in [*leaks(settings.tasks, settings.data, rows), *label_shifts(settings.tasks, rows)]:
        show(line)
    for caution in [*cautions(settings.tasks, rows), *_token_cautions(settings, rows)]:
        show(f"caution: {caution}")
    if problems:
        sys.exit(1)
    show(f"{data}: fit for training {', '.join(settings.tasks)}")


INIT = """Examples:

  bertram data init posts.csv --out mine.toml
  bertram data init train.tsv dev.tsv test.tsv
"""


@app.command(help_epilogue=INIT)
def init(
    files: Annotated[list[Path], Parameter(negative="", allow_leading_hyphen=True)],
    *,
    out: FileOrDash | None = None,
    encoding: str | None = None,
) -> None:
    """Write a first task file for tables: kinds, labels, ranges, ids and pairs are guessed, each with its reason.

    Parameters
    ----------
    files
        Tables: CSV, TSV, JSONL, JSON, Excel or Parquet files, or - for standard input. train, dev
        and test in their names say their use.
    out
        TOML file to create. Default: standard output, as for -.
    encoding
        Text encoding of the files, such as cp1252. Default: UTF-8, or what a byte order mark says.
    """
    from bertram.cli.terminal import say  # noqa: PLC0415
    from bertram.data.guess import guess  # noqa: PLC0415
    from bertram.runs.files import disk_errors, write_text  # noqa: PLC0415

    refuse_second_dash({f"FILES[{number}]": path for number, path in enumerate(files)})
    out = None if out is None or is_dash(out) else out
    if out is not None:
        _refuse_existing_file(out)
    text = guess(files, None if out is None else out.parent, encoding)
    if out is None:
        sys.stdout.write(text)
        return
    with disk_errors(out):
        write_text(out, text)
    say(f"{out}: a guess, with reasons; read it, then run: bertram train --config {out}")


@app.command(help_epilogue="Example: bertram data usage-pairs dwug_en --out pairs --folds 5")
def usage_pairs(usages: Path, *, out: Path, folds: PositiveInt = 5, seed: NonNegativeInt = 0) -> None:
    """Make the word-in-context task: judged pairs of usages, with whole words held out in folds.

    Parameters
    ----------
    usages
        Directory of Diachronic Word Usage Graphs (DWUG), with data/WORD/uses.csv and data/WORD/judgments.csv.
    out
        Output directory: wic.toml (the task), words.csv (fold of each word), and fold-N/train.tsv and fold-N/dev.tsv.
    folds
        Number of folds. The pairs of a word are dev rows in its fold and training rows in the others.
    seed
        Random seed of the folds.
    """
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.runs.directory import refuse_existing  # noqa: PLC0415
    from bertram.semantic_change.usage_pairs import folds_of, read_judged_pairs, write_folds  # noqa: PLC0415

    refuse_existing(out, resumable=False)
    judged = read_judged_pairs(usages)
    fold_of = folds_of(sorted({pair.word for pair in judged.pairs}), folds, seed)
    write_folds(judged.pairs, fold_of, out)
    for line in judged.rejected:
        console(stderr=True).print(f"rejected: {line}", soft_wrap=True)
    console().print(
        f"{len(judged.pairs)} pairs of {len(fold_of)} words in {folds} folds, {judged.undecided} pairs undecided, "
        f"{len(judged.rejected)} rows rejected\nnext: bertram train --config {out / 'wic.toml'} "
        f"--data {out / 'fold-1'} --out RUN",
        soft_wrap=True,
    )


@app.command(help_epilogue="Example: bertram data phrases trees --out DIR/extra/sst-train-phrases.tsv")
def phrases(trees: Path, *, out: FileOrDash) -> None:
    """Extract labelled phrases from the Stanford Sentiment Treebank, as additional rows for the recipes best and quick.

    Parameters
    ----------
    trees
        Directory with the treebank's train.txt, dev.txt and test.txt, one tree per line.
    out
        Output file, or - for standard output.
    """
    from bertram.data.treebank import write_phrases  # noqa: PLC0415

    _refuse_existing_file(out)
    _tell(out, f"{write_phrases(trees, out):,} phrases")


@app.command(help_epilogue="Example: bertram data pairs DIR --task quora --out DIR/pairs.tsv")
def pairs(
    data: Data,
    *words: Words,
    task: str,
    out: FileOrDash,
    config: TaskFile = None,
    encoder: str | None = None,
    neighbours: PositiveInt = 1,
    seed: NonNegativeInt | None = None,
) -> None:
    """Make pairs of training texts for teachers to label: each text's nearest neighbours, and random pairs.

    There are at most as many random pairs as neighbours. Pairs that are rows of the training, dev or test data are left
    out.

    Parameters
    ----------
    task
        Name of a task of pairs.
    out
        Output file, tab-separated, for tasks.NAME.unlabelled; or - for standard output.
    encoder
        Source of the vectors: minilm, mpnet, a directory in the Hugging Face layout, or a Hub id. Default: that of
        --config, or minilm.
    neighbours
        Number of neighbours of each text.
    seed
        Random seed of the random pairs. Default: that of --config, or 0.
    """
    from bertram.data.splits import config_source  # noqa: PLC0415
    from bertram.model.pretrained import find, read_with_tokenizer  # noqa: PLC0415
    from bertram.prediction.candidate_pairs import candidate_pairs, write_pairs  # noqa: PLC0415

    _refuse_existing_file(out)
    settings = _settings(data, words, config, encoder=encoder, seed=seed)
    if task not in settings.tasks:
        raise DataError(f"unknown task {task!r}; choose one of {', '.join(settings.tasks)}")
    chosen = settings.tasks[task]
    encoder_and_tokenizer = read_with_tokenizer(find(settings.encoder))
    candidates = candidate_pairs(
        chosen,
        config_source(settings),
        *encoder_and_tokenizer,
        neighbours=neighbours,
        seed=settings.seed,
        allow_rejects=settings.allow_rejects,
    )
    write_pairs(out, chosen, candidates)
    neighbour_count = sum(candidate.origin == "neighbour" for candidate in candidates)
    parts = f"{neighbour_count:,} of nearest neighbours and {len(candidates) - neighbour_count:,} random ones"
    _tell(out, f"{len(candidates):,} pairs: {parts}")


def _refuse_existing_file(out: Path) -> None:
    """Refuse to write over a file, which may be one of the data.

    Raises:
        BertramError: the file exists; `-` and devices may be written to.
    """
    if not is_dash(out) and (out.is_file() or out.is_dir()):
        raise BertramError(f"{out}: exists already; choose another --out")


def _tell(out: Path, text: str) -> None:
    """Say what was written, beside standard output if it was written there."""
    from bertram.cli.terminal import console, say  # noqa: PLC0415

    if is_dash(out):
        say(text)
    else:
        console().print(f"{out}: {text}")


def _token_cautions(settings: Config, rows: "FileRows") -> list[str]:
    """Cautions about texts that the encoder cannot read, if there are rows."""
    if not rows:
        return []
    from bertram.data.checks import token_cautions  # noqa: PLC0415
    from bertram.data.texts import unmarked  # noqa: PLC0415
    from bertram.model.pretrained import find, read_tokenizer  # noqa: PLC0415

    tokenizer = read_tokenizer(find(settings.encoder))
    lines: list[str] = []
    for (name, _), task_rows in rows.items():
        plain = [unmarked(settings.tasks[name], texts) for texts in task_rows.texts]
        pieces = [tokenizer.encode([texts[side] for texts in plain]) for side in range(len(plain[0]))]
        lines += token_cautions(name, task_rows.part, tokenizer.unknown_shares(list(zip(*pieces, strict=True))))
    return lines


def _settings(data: str, words: tuple[str, ...], config: Path | None, **fields: object) -> Config:
    return with_labels_of_data(resolved(None, config, words, {"data": data, **fields}.items()))
