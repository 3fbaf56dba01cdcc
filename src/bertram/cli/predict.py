"""``bertram predict``."""

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt

from bertram.cli.arguments import ENGINE, TEXT_FILE_DEFAULTS, AbstainBelow, RunDirectory, TextFile
from bertram.cli.layout import FileOrDash, Flag
from bertram.cli.terminal import CONTROL, printable
from bertram.errors import BertramError
from bertram.prediction.engines.reading import Engine
from bertram.prediction.prediction_table import DELIMITERS, Carried, PredictionTable, refuse_existing_table, table_file
from bertram.runs.typed_json import JsonObject
from bertram.standard_streams import is_dash

ROWS_PER_STEP = 64
UNWRITTEN = (".gz", ".zst", ".xlsx", ".parquet")
Item = TypeVar("Item")
EXAMPLES = """Examples:

  echo "a lovely film" | bertram predict RUN --task sst
  bertram predict RUN pairs.csv --task quora > out.jsonl
  bertram predict RUN pairs.csv --task quora --out labelled.csv
  bertram predict RUN million.csv --task quora --out out.jsonl
"""

app = App(name="predict", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def predict(
    run: RunDirectory,
    source: str = "-",
    *,
    task: str,
    out: FileOrDash | None = None,
    columns: str | None = None,
    column: Annotated[list[str], Parameter(negative="")] | None = None,
    text_file: TextFile = TEXT_FILE_DEFAULTS,
    output_format: Literal["jsonl", "csv"] | None = None,
    keep_columns: Flag = False,
    abstain_below: AbstainBelow = None,
    batch_size: PositiveInt = 64,
    engine: Annotated[Engine, Parameter(help=ENGINE)] = "auto",
) -> None:
    """Predict texts from a file or standard input; the output is in the order of the input.

    Parameters
    ----------
    source
        CSV, TSV, JSONL or Parquet file. Or - for standard input: JSONL, a table, or one text per line (a pair: two
        texts separated by a tab).
    task
        Task to predict.
    out
        Output file. A name that ends in .csv or .tsv makes a table of the input's columns and the prediction. Any other
        makes JSONL: if it exists and belongs to the same run and input, only the missing rows are predicted. Default:
        standard output, as for -.
    columns
        Names of the text columns, separated by commas. Default: those of the task, or text, or text1 and text2.
    column
        Name of a text column, whatever characters it has; twice for a pair.
    output_format
        Format of standard output: one JSON object per line, or a table with a column for each probability. Default:
        jsonl.
    keep_columns
        Write all columns of the input before those of the prediction. Only for --output-format csv; a table in --out
        has them.
    batch_size
        Examples per batch of PyTorch; onnxruntime makes batches of its own.
    """
    from bertram.cli.terminal import say  # noqa: PLC0415
    from bertram.prediction.engines.load import engine_hash, load  # noqa: PLC0415
    from bertram.prediction.files import predict_file  # noqa: PLC0415
    from bertram.prediction.resumable_output import Output  # noqa: PLC0415
    from bertram.runs.directory import open_run  # noqa: PLC0415
    from bertram.standard_streams import standard_input  # noqa: PLC0415

    out = None if out is None or is_dash(out) else out
    as_table = output_format == "csv" if out is None else out.suffix.lower() in DELIMITERS
    _check_output(out, output_format, as_table=as_table, keep_columns=keep_columns)
    carried: Carried | None = deque() if keep_columns or (as_table and out is not None) else None
    opened = open_run(run)
    model = load(opened, engine, notify=say, calls="single" if source == "-" else "batches")
    if task not in model.tasks:
        raise BertramError(f"unknown task {task!r}; choose one of {', '.join(model.tasks)}")
    with ExitStack() as stack:
        output = None
        abstaining = abstain_below is not None
        write: Callable[[JsonObject], None] = _print
        if as_table and out is not None:
            write = stack.enter_context(table_file(out, model.tasks[task], carried, abstaining=abstaining)).write
        elif as_table:
            clean = printable if sys.stdout.isatty() else None
            table = PredictionTable(sys.stdout, model.tasks[task], carried=carried, abstaining=abstaining, clean=clean)
            write = table.write
        elif out is not None:
            made_by = engine_hash(opened, engine)
            made_by += "" if abstain_below is None else f" --abstain-below {abstain_below:g}"
            output = stack.enter_context(Output(out, model.tasks[task], made_by))
            write = output.write
        step = stack.enter_context(_progress(source, enabled=out is not None or not sys.stdout.isatty()))
        predictions = predict_file(
            model,
            task,
            standard_input() if source == "-" else Path(source),
            columns=tuple(column or (columns.split(",") if columns else ())),
            form=text_file.input_format,
            encoding=text_file.encoding,
            quoting=text_file.quoting,
            batch_size=batch_size,
            abstain_below=abstain_below,
            remaining=iter if output is None else partial(output.remaining, step=partial(step, 1)),
            complain=say,
            carried=carried,
        )
        lines = stack.enter_context(closing(predictions))  # who stops reading stops the computation
        written = 0
        for line in _counted(lines, step):
            write(line)
            written += 1
        if not written and (output is None or not output.existing):
            raise BertramError(f"{'standard input' if source == '-' else source}: no usable rows")
    if out is not None:
        added, existing = (written, 0) if output is None else (output.added, output.existing)
        say(f"{out}: {added} rows predicted, {existing} already there")


def _check_output(out: Path | None, output_format: str | None, *, as_table: bool, keep_columns: bool) -> None:
    """Refuse an output that cannot be written, before the model is loaded.

    Raises:
        BertramError: options that do not go together, a format that is not written, or a table that exists.
    """
    if out is None:
        if keep_columns and not as_table:
            raise BertramError("--keep-columns needs --output-format csv, or --out FILE.csv")
        return
    if output_format is not None and as_table != (output_format == "csv"):
        raise BertramError(f"{out}: --out writes CSV as FILE.csv, TSV as FILE.tsv, and JSONL under any other name")
    if keep_columns and not as_table:
        raise BertramError(f"{out}: JSONL has no columns of the input; --out FILE.csv has them")
    if out.suffix.lower() in UNWRITTEN:
        raise BertramError(f"{out}: predictions are written as .jsonl, .csv or .tsv")
    if as_table:
        refuse_existing_table(out)


@contextmanager
def _progress(source: str, *, enabled: bool) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal.

    Yields:
        A function that takes the number of further rows.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.prediction.resumable_output import count_lines  # noqa: PLC0415

    terminal = console(stderr=True)
    if not (enabled and terminal.is_terminal):
        yield lambda _: None
        return
    path = Path(source)
    total = (
        count_lines(path)
        if path.is_file() and path.suffix not in (".parquet", ".gz", ".zst", ".json", ".xlsx")
        else None
    )
    with Progress(BarColumn(), MofNCompleteColumn(), "rows", TimeRemainingColumn(), console=terminal) as progress:
        bar = progress.add_task("", total=total)
        yield lambda rows: progress.advance(bar, rows)


def _counted(items: Iterable[Item], step: Callable[[int], None]) -> Iterator[Item]:
    """The items; `step` is told each time that 64 of them are done."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % ROWS_PER_STEP == 0:
            step(ROWS_PER_STEP)


def _print(line: JsonObject) -> None:
    """Write a line of JSON; characters that a terminal would obey or cannot encode are escaped as JSON escapes them."""
    ascii_only = (sys.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8"
    text = json.dumps(line, ensure_ascii=ascii_only)
    sys.stdout.write(CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")
