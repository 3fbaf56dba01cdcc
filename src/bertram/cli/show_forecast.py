"""A forecast on the terminal: what the verdict on each effect would need."""

from collections.abc import Iterator

from rich import box
from rich.table import Table

from bertram.experiments.forecast import Forecast
from bertram.experiments.render import FORECAST_HEADINGS, forecast_cells, forecast_lines


def forecast_parts(forecast: Forecast) -> Iterator[Table | str]:
    """A table of all outcomes, and a line for each effect on the primary one."""
    seeds = f"{forecast.seeds} seed{'s' * (forecast.seeds != 1)}"
    with_looks = any(effect.looks for effect in forecast.effects)
    title = f"Forecast if all {seeds} are run" if with_looks else f"Forecast with {seeds}"
    table = Table(title=f"{title}, 80 % power", title_justify="left", box=box.SIMPLE)
    for heading in FORECAST_HEADINGS:
        table.add_column(heading.format(target=forecast.target))
    for effect in forecast.effects:
        table.add_row(*forecast_cells(effect))
    yield table
    yield from forecast_lines(forecast)
