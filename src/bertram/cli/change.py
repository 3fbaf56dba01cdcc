"""``bertram change``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.types import NonNegativeInt, PositiveInt

from bertram.cli.failures import needs_report
from bertram.cli.layout import FileOrDash, Flag, refuse_second_dash

if TYPE_CHECKING:
    from bertram.semantic_change.study import ChangeStudy

EXAMPLES = """Examples:

  bertram change usages.csv --out runs/change
  bertram change dwug_en --gold dwug_en/stats/opt/stats_groupings.csv \\
      --out runs/change
  bertram change corpus.tsv --forms forms.csv --periods 1900s,1950s,2000s \\
      --out runs/change
"""

app = App(name="change", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def change(
    usages: FileOrDash,
    *,
    out: Path,
    encoder: str = "minilm",
    folds: FileOrDash | None = None,
    gold: FileOrDash | None = None,
    forms: FileOrDash | None = None,
    column: Annotated[list[str] | None, Parameter(negative="")] = None,
    periods: str | None = None,
    layers: str | None = None,
    window: PositiveInt = 128,
    resamples: NonNegativeInt = 2000,
    seed: NonNegativeInt = 0,
    allow_rejects: Flag = False,
) -> None:
    """Measure how words changed between periods, with usage types, intervals and tests.

    Parameters
    ----------
    usages
        A CSV, TSV, JSONL or Parquet file with the columns word, period, text and start, end (character span of the
        target), - for standard input, or a directory of Diachronic Word Usage Graphs (DWUG).
    out
        Output directory: change.html, change.json, words.csv, and the usage vectors, which are computed only once.
    encoder
        Encoder: minilm, mpnet, a directory, a Hub id, or a run whose trained encoder is used. With --folds its name
        holds {fold}.
    folds
        Table with the columns word and fold, or - for standard input: each word is measured by the encoder of its
        fold, trained without it.
    gold
        File with the gold change of words: two columns, or DWUG's stats_groupings.csv; - for standard input.
    forms
        Table of word forms (columns word and form), for rows without a span; - for standard input.
    column
        Name of a column: KIND=NAME, where KIND is word, period, text, start, end, span or id. Repeat it for several.
    periods
        Periods in order, separated by commas (default: sorted).
    layers
        Layers whose hidden states are added, separated by commas (default: all).
    window
        Maximum number of tokens around the target, [CLS] and [SEP] included.
    resamples
        Bootstrap draws and permutations of each measure; 0 for values without intervals.
    seed
        Random seed.
    allow_rejects
        Continue even if more than 1 % of the rows are rejected.
    """
    from bertram.cli.show_change import show_change  # noqa: PLC0415
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.semantic_change.analysis import measure_change  # noqa: PLC0415
    from bertram.semantic_change.files import write_study  # noqa: PLC0415
    from bertram.semantic_change.gold import read_gold  # noqa: PLC0415
    from bertram.semantic_change.study import Settings  # noqa: PLC0415
    from bertram.semantic_change.usages import read_forms, read_usages  # noqa: PLC0415
    from bertram.semantic_change.vectors import load_fold_encoders, load_usage_encoder  # noqa: PLC0415

    refuse_second_dash({"USAGES": usages, "--gold": gold, "--forms": forms, "--folds": folds})
    _refuse_other_output(out)
    settings = Settings(_numbers(layers), window, resamples, seed)
    word_forms = None if forms is None else read_forms(forms)
    gold_change = None if gold is None else read_gold(gold)
    rows = read_usages(usages, columns=_pairs(column or []), forms=word_forms)
    rows.check(allow_rejects=allow_rejects)
    chosen = load_usage_encoder(encoder) if folds is None else load_fold_encoders(encoder, folds)
    with _progress(len(rows.rows)) as advance:
        study = measure_change(
            rows,
            chosen,
            out / "vectors",
            settings,
            gold=gold_change,
            periods=[name.strip() for name in periods.split(",")] if periods else (),
            advance=advance,
        )
    write_study(study, out)
    show_change(study)
    console().print(f"page: {_write_page(study, out)}", soft_wrap=True)


def _refuse_other_output(out: Path) -> None:
    from bertram.errors import DataError  # noqa: PLC0415

    expected_names = {"vectors", "change.json", "change.html", "words.csv"}
    if out.exists() and (not out.is_dir() or any(_is_foreign(entry.name, expected_names) for entry in out.iterdir())):
        raise DataError(f"{out}: exists and holds other files; choose another --out")


def _is_foreign(name: str, expected_names: set[str]) -> bool:
    """Whether a file is of another origin; hidden ones are what a kill leaves of writing, or a file manager's."""
    return name not in expected_names and not name.startswith(".")


def _numbers(layers: str | None) -> tuple[int, ...]:
    from bertram.errors import BertramError  # noqa: PLC0415

    try:
        return tuple(sorted({int(part) for part in layers.split(",")})) if layers else ()
    except ValueError:
        raise BertramError(f"--layers {layers}: not whole numbers separated by commas") from None


def _pairs(columns: list[str]) -> dict[str, str]:
    from bertram.errors import BertramError  # noqa: PLC0415

    wrong = [text for text in columns if "=" not in text]
    if wrong:
        raise BertramError(f"--column {wrong[0]}: write KIND=NAME, such as text=sentence")
    return dict(text.split("=", 1) for text in columns)


def _write_page(study: "ChangeStudy", out: Path) -> Path:
    from bertram.runs.files import write_text  # noqa: PLC0415

    with needs_report("the page"):
        from bertram.report.change_page import change_page  # noqa: PLC0415
        from bertram.report.page import render  # noqa: PLC0415
    write_text(out / "change.html", render(change_page(study)))
    return out / "change.html"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar of the usages on a terminal; nothing elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    from bertram.cli.terminal import console  # noqa: PLC0415

    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield lambda _: None
        return
    with Progress(BarColumn(), MofNCompleteColumn(), "usages", TimeRemainingColumn(), console=terminal) as progress:
        bar = progress.add_task("", total=total)
        yield lambda done: progress.advance(bar, done)
