"""``bertram report``."""

from pathlib import Path

from cyclopts import App

from bertram.cli.failures import needs_report

EXAMPLE = "Example: bertram report runs/cross-seed0 --out cross.html"

app = App(name="report", help_epilogue=EXAMPLE, help_format="plaintext")


@app.default
def report(path: Path, *, data: str | None = None, out: Path | None = None) -> None:
    """Write an HTML report of a run, a reproduction or an ablation; one file without external parts.

    Parameters
    ----------
    path
        Run directory, or results folder of `bertram reproduce` or `bertram ablate`.
    data
        Source of texts and gold labels: a directory; or hub, or sample. Default: the data of each run. If it is not
        available, only scores are shown.
    out
        Output file. Default: report.html in the directory.
    """
    from bertram.cli.terminal import console, say  # noqa: PLC0415

    with needs_report("a report"):
        from bertram.report.write import write_report  # noqa: PLC0415
    console().print(f"report: {write_report(path, data, out, say)}", soft_wrap=True)
