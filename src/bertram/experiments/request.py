"""Last request of a results folder, from which its tables can be made again from the records alone.

<folder>/asked.json      written before the first run starts
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertram.experiments.ablation import Ablation
from bertram.experiments.forecast import Forecast
from bertram.experiments.study_tables import read_json
from bertram.runs.files import write_json
from bertram.runs.typed_json import JsonObject, typed

REQUEST = "asked.json"
FORM = 1


def note_ablation(ablation: Ablation, expected: Forecast | None) -> Forecast | None:
    """Write the request of an ablation, with its forecast.

    Returns:
        The forecast that stands: that of an earlier request for the same design and budget, which was made before its
        runs; else the one given.
    """
    values = {
        "recipe": ablation.recipe,
        "factors": [asdict(factor) for factor in ablation.factors],
        "design": asdict(ablation.design),
        "seeds": list(ablation.seeds),
        "folders": [str(folder) for folder in ablation.folders],
        "budget": asdict(ablation.budget),
        "smallest_effect": ablation.smallest_effect,
        "primary": ablation.primary,
    }
    earlier = noted_forecast(ablation.out) if _is_same_request(ablation.out, values) else None
    if earlier is not None and (expected is None or _has_looks(earlier) == _has_looks(expected)):
        expected = earlier
    note_request(ablation.out, "ablation", {**values, "power": None if expected is None else asdict(expected)})
    return expected


def _is_same_request(out: Path, values: Mapping[str, Any]) -> bool:
    """Whether the request that a folder holds is the same but for its seeds and further folders."""
    noted, current = read_request(out), json.loads(json.dumps(values))
    return noted is not None and all(
        noted.get(name) == value for name, value in current.items() if name not in ("seeds", "folders")
    )


def read_request(out: Path) -> JsonObject | None:
    """The last request of a results folder; None where there is none.

    Raises:
        RunError: asked.json is damaged.
    """
    return read_json(out / REQUEST, FORM) if (out / REQUEST).is_file() else None


def _has_looks(forecast: Forecast) -> bool:
    """Whether a forecast is one of a study that runs until it is decided."""
    return any(effect.looks for effect in forecast.effects)


def noted_forecast(out: Path) -> Forecast | None:
    """The forecast that a results folder was asked with; None where there is none, or one by an earlier rule.

    Raises:
        RunError: asked.json is damaged.
    """
    power = (read_request(out) or {}).get("power")
    return typed(power, Forecast, out / REQUEST) if power is not None and "effects" in power else None


def note_request(out: Path, kind: str, values: Mapping[str, Any]) -> None:
    """Keep what a results folder is asked for."""
    write_json(out / REQUEST, {"form": FORM, "kind": kind, **values})
