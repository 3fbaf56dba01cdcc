"""``bertram predict``."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from cyclopts import App
from cyclopts.types import PositiveInt

from bertram.errors import BertramError

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
    out: Path | None = None,
    input_format: Literal["csv", "tsv", "jsonl", "text"] | None = None,
    columns: str | None = None,
    batch_size: PositiveInt = 64,
) -> None:
    """Predict texts from a file or standard input; the output is JSONL in the order of the input.

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
        Default: standard output.
    input_format
        Input format, if the file name has no known extension.
    columns
        Names of the text columns, separated by commas. Default: those of the task, or text, or text1 and text2.
    batch_size
        Examples per batch.
    """
    from bertram.cli.show import complain  # noqa: PLC0415
    from bertram.prediction.files import predict_file  # noqa: PLC0415
    from bertram.prediction.load import load  # noqa: PLC0415
    from bertram.prediction.resumable_output import Output  # noqa: PLC0415

    model = load(run)
    if task not in model.tasks:
        raise BertramError(f"there is no task {task!r}; this model has {', '.join(model.tasks)}")
    with ExitStack() as stack:
        there = None if out is None else stack.enter_context(Output(out, model.tasks[task]))
        step = stack.enter_context(_progress(source, shown=out is not None or not sys.stdout.isatty()))
        lines = predict_file(
            model,
            task,
            sys.stdin.buffer if source == "-" else Path(source),
            columns=tuple(columns.split(",")) if columns else (),
            form=input_format,
            batch_size=batch_size,
            done=() if there is None else _stepping(there.ids(), step),
            complain=complain,
        )
        write = _print if there is None else there.write
        written = 0
        for line in _stepping(lines, step):
            write(line)
            written += 1
    if there is not None:
        complain(f"{out}: {there.added} rows predicted, {there.kept} were there already")
    if not written and (there is None or not there.kept):
        raise BertramError(f"{'standard input' if source == '-' else source}: no row of it can be predicted")


@contextmanager
def _progress(source: str, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """On a terminal, how far it is: a function to be told of so many more rows."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    from bertram.prediction.resumable_output import count_lines  # noqa: PLC0415

    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda _: None
        return
    path = Path(source)
    total = count_lines(path) if path.is_file() and path.suffix != ".parquet" else None
    with Progress(BarColumn(), MofNCompleteColumn(), "rows", TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("", total=total)
        yield lambda rows: progress.advance(bar, rows)


def _stepping(items: Iterable[Item], step: Callable[[int], None]) -> Iterator[Item]:
    """The items, with a step told after each so many of them."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % ROWS_PER_STEP == 0:
            step(ROWS_PER_STEP)


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
