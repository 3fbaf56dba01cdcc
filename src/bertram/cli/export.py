"""``bertram export``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from bertram.cli.arguments import RunDirectory
from bertram.cli.layout import Flag

EXAMPLES = """Examples:

  bertram export RUN --format hf --out DIR
  bertram export RUN --format sentence-transformers --task quora --out DIR
  bertram export RUN --format transformers --task sst --out DIR
  bertram export RUN --format onnx --out DIR
  bertram export RUN --format onnx --int8 --out DIR
"""

app = App(name="export", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def export(
    run: RunDirectory,
    *,
    form: Annotated[Literal["hf", "transformers", "sentence-transformers", "onnx"], Parameter(name="--format")],
    out: Path,
    task: str | None = None,
    per_task: Flag = False,
    int8: Flag = False,
) -> None:
    """Write a run in the format of another library, with a model card.

    Parameters
    ----------
    form
        hf: the encoder, for transformers. transformers: one task with its head, for
        AutoModelForSequenceClassification and pipeline. sentence-transformers: a model of text vectors if pairs are
        bi-encoded, a cross-encoder otherwise. onnx: one graph with the encoder once and the heads of all tasks, for
        onnxruntime.
    out
        Directory to create.
    task
        Task to export. Default: every task (onnx), or the only one that fits (transformers,
        sentence-transformers).
    per_task
        Write a graph for each task, with an encoder in each (onnx).
    int8
        Compute the encoder in 8-bit integers, and measure on dev what that costs each task (onnx).
    """
    from bertram.cli.terminal import console  # noqa: PLC0415
    from bertram.export.write import OnnxOptions  # noqa: PLC0415
    from bertram.export.write import export as write  # noqa: PLC0415

    terminal = console()
    options = OnnxOptions(per_task=per_task, int8=int8, notify=terminal.print)
    terminal.print(f"{form}: {write(run, form, out, task, options)}")
