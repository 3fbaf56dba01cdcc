"""``bertram predict``."""

import csv
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt

from bertram.cli.layout import FileOrDash, Flag
from bertram.cli.terminal import CONTROL, printable
from bertram.errors import BertramError
from bertram.label_spaces import LabelSpace
from bertram.prediction.engines.reading import Engine
from bertram.runs.typed_json import JsonObject

ROWS_PER_STEP = 64
Item = TypeVar("Item")
EXAMPLES = """Examples:

  echo "a lovely film" | bertram predict RUN --task sst
  bertram predict RUN pairs.csv --task quora > out.jsonl
  bertram predict RUN million.csv --task quora --out out.jsonl
"""

app = App(name="predict", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def predict(
    run: Path,
    source: str = "-",
    *,
    task: str,
    out: FileOrDash | None = None,
    input_format: Literal["csv", "tsv", "jsonl", "text"] | None = None,
    columns: str | None = None,
    column: Annotated[list[str], Parameter(negative="")] | None = None,
    encoding: str | None = None,
    quoting: Literal["auto", "standard", "none"] = "auto",
    output_format: Literal["jsonl", "csv"] = "jsonl",
    keep_columns: Flag = False,
    abstain_below: float | None = None,
    batch_size: PositiveInt = 64,
    engine: Engine = "auto",
) -> None:
    """Predict texts from a file or standard input; the output is in the order of the input.

    Parameters
    ----------
    run
        Run directory.
    source
        CSV, TSV, JSONL or Parquet file. Or - for standard input: JSONL, a table, or one text per line (a pair: two
        texts separated by a tab).
    task
        Task to predict.
    out
        Output file. If it exists and belongs to the same run and input, only the missing rows are predicted.
        Default: standard output, as for -.
    input_format
        Input format, if the file name has no known extension.
    columns
        Names of the text columns, separated by commas. Default: those of the task, or text, or text1 and text2.
    column
        Name of a text column, whatever characters it has; twice for a pair.
    encoding
        Text encoding of the source, such as cp1252; default: UTF-8, or what a byte order mark says.
    quoting
        Quotes in a table: fields in quotes may span lines (standard), or quotes are ordinary characters (none); auto
        is standard, except where a quote would swallow rows.
    output_format
        Format of standard output: one JSON object per line, or a table with a column for each probability.
    keep_columns
        Write all columns of the input before those of the prediction. Only for --output-format csv.
    abstain_below
        Confidence (probability of what is predicted) below which a prediction is withheld: its value and label are
        null. Default: none is.
    batch_size
        Examples per batch of PyTorch; onnxruntime computes them one by one.
    engine
        Software that computes: torch (PyTorch); onnx or onnx-int8 (onnxruntime, in fp32 or 8-bit integers); or the
        faster one of torch and onnx, if their answers agree to 1e-4 (auto). ONNX graphs are made once and kept beside
        the run.
    """
    from bertram.cli.terminal import say  # noqa: PLC0415
    from bertram.data.tables import standard_input  # noqa: PLC0415
    from bertram.prediction.engines.load import engine_hash, load  # noqa: PLC0415
    from bertram.prediction.files import predict_file  # noqa: PLC0415
    from bertram.prediction.resumable_output import Output  # noqa: PLC0415
    from bertram.runs.directory import open_run  # noqa: PLC0415

    out = None if out == Path("-") else out
    if out is not None and output_format != "jsonl":
        raise BertramError("--out writes JSONL, which it can continue; for CSV redirect standard output instead")
    if keep_columns and output_format != "csv":
        raise BertramError("--keep-columns needs --output-format csv")
    carried: deque[Mapping[str, object]] | None = deque() if keep_columns else None
    opened = open_run(run)
    model = load(opened, engine, notify=say)
    if task not in model.tasks:
        raise BertramError(f"unknown task {task!r}; choose one of {', '.join(model.tasks)}")
    with ExitStack() as stack:
        output = None
        if out is not None:
            made_by = engine_hash(opened, engine)
            made_by += "" if abstain_below is None else f" --abstain-below {abstain_below:g}"
            output = stack.enter_context(Output(out, model.tasks[task], made_by))
        step = stack.enter_context(_progress(source, enabled=out is not None or not sys.stdout.isatty()))
        lines = predict_file(
            model,
            task,
            standard_input() if source == "-" else Path(source),
            columns=tuple(column or (columns.split(",") if columns else ())),
            form=input_format,
            encoding=encoding,
            quoting=quoting,
            batch_size=batch_size,
            abstain_below=abstain_below,
            remaining=iter if output is None else partial(output.remaining, step=partial(step, 1)),
            complain=say,
            carried=carried,
        )
        write = _printer(model.tasks[task].label_space, output_format, carried) if output is None else output.write
        written = 0
        for line in _counted(lines, step):
            write(line)
            written += 1
    if output is not None:
        say(f"{out}: {output.added} rows predicted, {output.existing} already there")
    if not written and (output is None or not output.existing):
        raise BertramError(f"{'standard input' if source == '-' else source}: no usable rows")


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


def _printer(
    space: LabelSpace, output_format: str, carried: deque[Mapping[str, object]] | None
) -> Callable[[JsonObject], None]:
    """A function that writes a prediction to standard output; of a table the header is written at once."""
    if output_format == "jsonl":
        return _print
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = ["id", "index", "label", *map("probability of {}".format, space.names)] if space.names else ["id", "value"]
    if carried is None:
        writer.writerow(names)
    header_written = carried is None

    def write(line: JsonObject) -> None:
        nonlocal header_written
        cells = [line["id"], _cell(line["value"])]
        if space.names:
            cells += [_cell(line["label"]), *line["probabilities"].values()]
        if carried is not None:
            row = carried.popleft()
            if not header_written:
                writer.writerow([*row, *(name if name not in row else f"predicted {name}" for name in names)])
                header_written = True
            cells = [*map(_cell, row.values()), *cells]
        writer.writerow([printable(str(cell)) for cell in cells] if sys.stdout.isatty() else cells)

    return write


def _cell(value: Any) -> Any:
    """A value of a table; several labels are separated by semicolons, an empty list stays one."""
    if not isinstance(value, tuple | list):
        return "" if value is None else value
    return ";".join(map(str, value)) if value else "[]"


def _print(line: JsonObject) -> None:
    """Write a line of JSON; characters that a terminal would obey or cannot encode are escaped as JSON escapes them."""
    ascii_only = (sys.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8"
    text = json.dumps(line, ensure_ascii=ascii_only)
    sys.stdout.write(CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")
