"""``bertram report``."""

from pathlib import Path

from cyclopts import App

app = App(name="report", help_format="plaintext")


@app.default
def report(path: Path, *, data: str | None = None, out: Path | None = None) -> None:
    """Write what is known of a run, a reproduction or an ablation as one HTML file.

    Example: bertram report runs/cross-seed0 --out cross.html

    Parameters
    ----------
    path
        A run directory, or the results folder of bertram reproduce or bertram ablate.
    data
        A directory with the files, hub, or sample; default: the data of each run. Texts and gold labels are read from
        it; without it only scores are shown.
    out
        The file; default: report.html in the directory.
    """
    from bertram.cli.show import console  # noqa: PLC0415
    from bertram.errors import BertramError  # noqa: PLC0415

    try:
        from bertram.report.write import write_report  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in ("matplotlib", "jinja2", "markupsafe"):
            raise
        raise BertramError(f"a report needs {error.name}; install it with: pip install 'bertram[report]'") from None
    console().print(f"report: {write_report(path, data, out)}", soft_wrap=True)
