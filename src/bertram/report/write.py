"""Report of a run directory or results folder, as a file."""

from collections.abc import Callable
from pathlib import Path

from bertram.errors import RunError
from bertram.experiments.ablation_table import TABLE as ABLATION
from bertram.minbert.table_1_values import TABLE as TABLE_1
from bertram.report.outcomes import Library, RunView
from bertram.report.page import render
from bertram.report.run_page import run_page
from bertram.report.study_page import study_page
from bertram.runs.directory import Run
from bertram.runs.files import write_output


def write_report(
    path: Path, data: str | None = None, out: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> Path:
    """Write the report of a run, a reproduction or an ablation as one HTML file.

    Args:
        path: run directory, or a folder of them with or without table.json or ablation.json.
        data: data source for all runs; None: the data source of each run.
        out: output file; default: report.html in the directory.
        say: called with each reason why a part of the report is left out.

    Returns:
        The file that was written.

    Raises:
        RunError: there is no run, or a record is damaged.
        DataError: `data` was given and cannot be read.
    """
    if not path.is_dir():
        raise RunError(f"{path}: there is no such run directory or results folder")
    library = Library(data)
    if any((path / name).is_file() for name in ("record.json", "config.toml")):
        page = run_page(RunView(Run(path)), library)
    else:
        runs = [RunView(Run(record.parent)) for record in sorted(path.glob("*/record.json"))]
        if not runs and not any((path / name).is_file() for name in (TABLE_1, ABLATION)):
            raise RunError(f"{path}: neither a run (record.json, config.toml) nor a folder of finished runs")
        page = study_page(path, runs, library)
    target = out or path / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_output(target, render(page))
    for problem in library.problems.values():
        say(f"a part of the report is left out: {problem}")
    return target
