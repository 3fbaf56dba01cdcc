"""``bertram export``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

EXAMPLES = """Examples:

  bertram export RUN --format hf --out DIR
  bertram export RUN --format sentence-transformers --task quora --out DIR
  bertram export RUN --format onnx --out DIR
"""

app = App(name="export", help_epilogue=EXAMPLES, help_format="plaintext")


@app.default
def export(
    run: Path,
    *,
    form: Annotated[Literal["hf", "sentence-transformers", "onnx"], Parameter(name="--format")],
    out: Path,
    task: str | None = None,
) -> None:
    """Write a run in the format of another tool, with a model card.

    Parameters
    ----------
    run
        A run directory.
    form
        hf: the encoder, for transformers. sentence-transformers: vectors of texts where pairs are encoded text by
        text, else scores of pairs. onnx: a graph for each task, for onnxruntime.
    out
        The directory to write; it must not exist yet.
    task
        Which task, where the format holds one or more; default for onnx: all.
    """
    from bertram.cli.show import console  # noqa: PLC0415
    from bertram.export.write import export as write  # noqa: PLC0415

    console().print(f"{form}: {write(run, form, out, task)}")
