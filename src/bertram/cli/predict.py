"""``bertram predict``."""

import json
import sys
from pathlib import Path
from typing import Literal

from cyclopts import App

app = App(name="predict", help_format="plaintext")


@app.default
def predict(
    run: Path,
    source: str = "-",
    *,
    task: str,
    input_format: Literal["csv", "tsv", "jsonl", "text"] | None = None,
    columns: str | None = None,
    batch_size: int = 64,
) -> None:
    """Predict texts from a file or standard input; JSONL comes out, in the order of the input.

    Examples:
      echo "a lovely film" | bertram predict RUN --task sst
      bertram predict RUN pairs.csv --task quora > out.jsonl

    Parameters
    ----------
    run
        A run directory.
    source
        A CSV, TSV, JSONL or Parquet file, or - for standard input, where a plain line is a text, or two with a tab
        between them.
    task
        Which of the run's tasks.
    input_format
        Of a source whose name does not tell it.
    columns
        Names of the text columns, separated by commas.
    batch_size
        Examples computed together.
    """
    from bertram.evaluation.files import predict_file  # noqa: PLC0415
    from bertram.model.load import load  # noqa: PLC0415

    lines = predict_file(
        load(run),
        task,
        sys.stdin.buffer if source == "-" else Path(source),
        columns=tuple(columns.split(",")) if columns else (),
        form=input_format,
        batch_size=batch_size,
        complain=_complain,
    )
    for line in lines:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")
