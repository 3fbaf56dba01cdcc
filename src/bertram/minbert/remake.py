"""Tables of a results folder, made again from its records and its last request."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.errors import DataError, RunError
from bertram.experiments import ablation
from bertram.experiments.ablation import Ablation
from bertram.experiments.ablation_table import TABLE as ABLATION
from bertram.experiments.ablation_table import read_ablation_table
from bertram.experiments.budget import Budget, held_files, held_files_of
from bertram.experiments.design import Design
from bertram.experiments.equal_time import read_step_costs
from bertram.experiments.factors import Factor
from bertram.experiments.forecast import Forecast
from bertram.experiments.request import REQUEST, note_request, noted_forecast
from bertram.experiments.schedule import finished_runs
from bertram.experiments.study_tables import read_json
from bertram.minbert import catalogue, reproduce
from bertram.minbert.reproduce import Study
from bertram.minbert.table_1_values import TABLE as TABLE_1
from bertram.minbert.table_1_values import read_table_1
from bertram.runs.directory import Run


def note_study(study: Study, expected: Forecast | None = None) -> None:
    """Keep what is asked of a reproduction, and what its looks were expected to do."""
    values = {
        "budget": asdict(study.budget),
        "smallest_effect": study.smallest_effect,
        "power": None if expected is None else asdict(expected),
    }
    note_request(study.out, "reproduction", values)


def make_again(folder: Path) -> bool:
    """Make the tables of a results folder again, from its records if the data are available, else from their values.

    Args:
        folder: results folder of a reproduction or an ablation.

    Returns:
        True if the values were computed again; False if the gold labels, which the intervals need, are not available.

    Raises:
        RunError: the folder has neither asked.json nor a table, or one is damaged.
    """
    request = read_json(folder / REQUEST) if (folder / REQUEST).is_file() else None
    if request is not None and _has_data(folder, request):
        try:
            _compute(folder, request)
        except (KeyError, TypeError) as error:
            raise RunError(f"{folder / REQUEST}: damaged: {error!r}") from None
        return True
    table_1, effects = folder / TABLE_1, folder / ABLATION
    if not table_1.is_file() and not effects.is_file():
        raise RunError(f"{folder}: neither {REQUEST} with its data here, nor {TABLE_1}, nor {ABLATION}")
    if table_1.is_file():
        reproduce.write_table(folder, read_table_1(table_1))
    if effects.is_file():
        ablation.write(folder, read_ablation_table(effects))
    return False


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


def _compute(folder: Path, request: Mapping[str, Any]) -> None:
    budget = Budget(**request["budget"])
    if request["kind"] == "reproduction":
        smallest = request.get("smallest_effect", SMALLEST_EFFECT)
        reproduce.write_table(folder, reproduce.table(Study((), (), budget, folder, smallest_effect=smallest)))
        return
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
    ablation.write(folder, ablation.result(again, ablation.jobs(again), noted_forecast(folder)))


def _design(values: Mapping[str, Any]) -> Design:
    cells = tuple(tuple(levels) for levels in values["cells"])
    lists = {name: tuple(values[name]) for name in ("factors", "words", "generators")}
    return Design(kind=values["kind"], cells=cells, **lists)
