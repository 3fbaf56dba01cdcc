"""``bertram report``."""

from pathlib import Path

from cyclopts import App

from bertram.cli.failures import needs_report
from bertram.cli.layout import FileOrDash
from bertram.standard_streams import is_dash

EXAMPLE = "Example: bertram report runs/cross-seed0 --out cross.html"

app = App(name="report", help_epilogue=EXAMPLE, help_format="plaintext")


@app.default
def report(path: Path, *, data: str | None = None, out: FileOrDash | None = None) -> None:
    """Write an HTML report of a run, a reproduction or an ablation; one file without external parts.

    Parameters
    ----------
    path
        Run directory, or results folder of `bertram reproduce` or `bertram ablate`.
    data
        Source of texts and gold labels: a directory; or hub, or sample. Default: the data of each run. If it is not
        available, only scores are shown.
    out
        Output file, or - for standard output. Default: report.html in the directory.
    """
    from bertram.cli.terminal import console, say  # noqa: PLC0415

    with needs_report("a report"):
        from bertram.report.write import write_report  # noqa: PLC0415
    target = write_report(path, data, out, say)
    if not is_dash(target):
        console().print(f"report: {target}", soft_wrap=True)
