"""``bertram embed``."""

from pathlib import Path

from cyclopts import App

from bertram.cli.arguments import TEXT_FILE_DEFAULTS, BatchSize, RunDirectory, TextFile
from bertram.cli.layout import FileOrDash, Flag

EXAMPLES = """Examples:

  bertram embed RUN texts.txt --out vectors.npy
  bertram embed RUN reviews.csv --column review --out vectors.parquet
"""

app = App(name="embed", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def embed(
    run: RunDirectory,
    source: str = "-",
    *,
    out: FileOrDash,
    task: str | None = None,
    column: str | None = None,
    normalize: Flag = False,
    text_file: TextFile = TEXT_FILE_DEFAULTS,
    batch_size: BatchSize = 64,
) -> None:
    """Write a vector for each text: the mean over its tokens of the encoder's last hidden states.

    Parameters
    ----------
    source
        CSV, TSV, JSONL or Parquet file, or one text per line; - for standard input.
    out
        Output file: .npy (an array of the vectors, in the order of the rows) or .parquet (columns id and
        vector); or - for .npy on standard output.
    task
        Task whose text column and text normalization are used; its first text of a pair. Default: plain texts.
    column
        Name of the text column. Default: that of the task, or text, or sentence.
    normalize
        Scale each vector to length 1, so that dot products are cosines.
    """
    from bertram.cli.terminal import say, working  # noqa: PLC0415
    from bertram.data.inputs import read_texts  # noqa: PLC0415
    from bertram.data.targets import remove_marks  # noqa: PLC0415
    from bertram.errors import BertramError  # noqa: PLC0415
    from bertram.prediction.load import load  # noqa: PLC0415
    from bertram.prediction.model import Model  # noqa: PLC0415
    from bertram.prediction.vectors import check_vector_path, embed_rows, save_vectors  # noqa: PLC0415
    from bertram.standard_streams import standard_input  # noqa: PLC0415

    check_vector_path(out)
    model = load(run)
    if not isinstance(model, Model):
        raise BertramError(f"{run}: an ensemble has no vectors of its own; embed with a soup of its members")
    if task is not None and task not in model.tasks:
        raise BertramError(f"unknown task {task!r}; choose one of {', '.join(model.tasks)}")
    definition = None if task is None else model.tasks[task]
    rows = read_texts(
        standard_input() if source == "-" else Path(source),
        pair=False,
        columns=() if column is None else (column,),
        likely_columns=() if definition is None else definition.files.texts[:1],
        id_columns=tuple(name for name in (definition and definition.files.id, "id") if name),
        style="plain" if definition is None else definition.text_normalization,
        form=text_file.input_format,
        encoding=text_file.encoding,
        quoting=text_file.quoting,
    )
    if definition is not None and definition.pools_target:
        rows = ((row_id, (remove_marks(text),)) for row_id, (text,) in rows)
    with working("embedding"):
        ids, vectors = embed_rows(model, rows, normalize=normalize, batch_size=batch_size)
    if not ids:
        raise BertramError(f"{'standard input' if source == '-' else source}: no usable rows")
    save_vectors(out, ids, vectors)
    say(f"{out}: {len(ids):,} vectors with {vectors.shape[1]} numbers each")
