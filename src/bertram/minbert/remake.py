"""Tables of a results folder, made again from its records and its last request."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.errors import DataError, RunError
from bertram.experiments import ablation
from bertram.experiments.ablation import Ablation
from bertram.experiments.ablation_table import TABLE as ABLATION
from bertram.experiments.ablation_table import AblationTable, read_ablation_table
from bertram.experiments.budget import Budget, held_files, held_files_of
from bertram.experiments.design import Design
from bertram.experiments.equal_time import read_step_costs
from bertram.experiments.factors import Factor
from bertram.experiments.forecast import Forecast
from bertram.experiments.request import REQUEST, note_request, noted_forecast, read_request
from bertram.experiments.schedule import finished_runs
from bertram.minbert import catalogue, reproduce
from bertram.minbert.reproduce import Study
from bertram.minbert.table_1_values import TABLE as TABLE_1
from bertram.minbert.table_1_values import Table1, read_table_1
from bertram.runs.directory import Run
from bertram.runs.record import RECORD


def note_study(study: Study, expected: Forecast | None = None) -> None:
    """Keep what is asked of a reproduction, and what its looks were expected to do."""
    values = {
        "budget": asdict(study.budget),
        "smallest_effect": study.smallest_effect,
        "power": None if expected is None else asdict(expected),
    }
    note_request(study.out, "reproduction", values)


def make_again(folder: Path) -> str | None:
    """Make the tables of a results folder again, from its records if these can be used, else from their own values.

    Args:
        folder: results folder of a reproduction or an ablation.

    Returns:
        None if the values were computed again; else why not: the gold labels, which the intervals need, are not
        available, or recorded runs of the table are no longer those that asked.json asks for, since a recipe changed.

    Raises:
        RunError: the folder has neither asked.json nor a table, or one is damaged.
    """
    request = read_request(folder)
    reason = "its data are not here"
    if request is not None and _has_data(folder, request):
        try:
            lost = _compute(folder, request)
        except (KeyError, TypeError) as error:
            raise RunError(f"{folder / REQUEST}: damaged: {error!r}") from None
        if not lost:
            return None
        reason = f"{len(lost)} of its runs, such as {lost[0]}, are no longer what {REQUEST} asks for"
    table_1, effects = folder / TABLE_1, folder / ABLATION
    if not table_1.is_file() and not effects.is_file():
        raise RunError(f"{folder}: neither {REQUEST} with its data here, nor {TABLE_1}, nor {ABLATION}")
    if table_1.is_file():
        reproduce.write_table(folder, read_table_1(table_1))
    if effects.is_file():
        ablation.write(folder, read_ablation_table(effects))
    return reason


def _has_data(folder: Path, request: Mapping[str, Any]) -> bool:
    """Whether the data are here, and those that at least one of the records was made with."""
    data = request["budget"]["changes"].get("data", "sample")
    if data not in ("sample", "hub") and not Path(data).is_dir():
        return False
    runs = finished_runs((folder, *map(Path, request.get("folders", ())))).values()
    return not runs or any(_was_made_with(run, data) for run in runs)


def _was_made_with(run: Run, data: str) -> bool:
    try:
        return held_files(run.config.model_copy(update={"data": data})) == held_files_of(run.record)
    except DataError:
        return False  # a file is missing


def _compute(folder: Path, request: Mapping[str, Any]) -> list[str]:
    """Compute the tables from the records, and write them if no run is lost.

    Returns:
        Names of runs of the old table whose records are still here, but do not belong to the new one.
    """
    budget = Budget(**request["budget"])
    if request["kind"] == "reproduction":
        smallest = request.get("smallest_effect", SMALLEST_EFFECT)
        rows = reproduce.table(Study((), (), budget, folder, smallest_effect=smallest))
        old_rows = read_table_1(folder / TABLE_1) if (folder / TABLE_1).is_file() else None
        lost = _lost([folder], _runs_of_rows(old_rows), _runs_of_rows(rows))
        if not lost:
            reproduce.write_table(folder, rows)
        return lost
    factors = [Factor(**values) for values in request["factors"]]
    folders = [Path(folder_name) for folder_name in request["folders"]]
    again = Ablation(
        request["recipe"],
        catalogue.recipe(request["recipe"]),
        factors,
        _design(request["design"]),
        request["seeds"],
        budget,
        folder,
        folders,
        request.get("smallest_effect", SMALLEST_EFFECT),
        request.get("primary"),
        read_step_costs(folder),
    )
    table = ablation.result(again, ablation.jobs(again), noted_forecast(folder))
    old_table = read_ablation_table(folder / ABLATION) if (folder / ABLATION).is_file() else None
    lost = _lost([folder, *folders], _runs_of_cells(old_table), _runs_of_cells(table))
    if not lost:
        ablation.write(folder, table)
    return lost


def _runs_of_rows(table: Table1 | None) -> set[str]:
    return set() if table is None else {run for row in table.rows for run in row.runs}


def _runs_of_cells(table: AblationTable | None) -> set[str]:
    return set() if table is None else {run for cell in table.design.cells for run in cell.runs.values()}


def _lost(folders: Sequence[Path], old: Set[str], new: Set[str]) -> list[str]:
    """Runs of an old table that a new one lacks, although their records are in one of the folders."""
    return sorted(run for run in old - new if any((folder / run / RECORD).is_file() for folder in folders))


def _design(values: Mapping[str, Any]) -> Design:
    cells = tuple(tuple(levels) for levels in values["cells"])
    lists = {name: tuple(values[name]) for name in ("factors", "words", "generators")}
    return Design(kind=values["kind"], cells=cells, **lists)
