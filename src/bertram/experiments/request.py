"""What a results folder was last asked for, so that its tables can be made again from its records alone.

<folder>/asked.json      written before the first run starts
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertram.experiments.ablation import Ablation
from bertram.experiments.forecast import Forecast
from bertram.runs.files import write_json

ASKED = "asked.json"
FORM = 1


def note_ablation(asked: Ablation, expected: Forecast | None) -> None:
    """Keep what is asked of an ablation, and what it was expected to see."""
    values = {
        "recipe": asked.recipe,
        "factors": [asdict(factor) for factor in asked.factors],
        "design": asdict(asked.design),
        "seeds": list(asked.seeds),
        "folders": [str(folder) for folder in asked.folders],
        "budget": asdict(asked.budget),
        "smallest_effect": asked.smallest_effect,
        "primary": asked.primary,
        "power": None if expected is None else asdict(expected),
    }
    note_request(asked.out, "ablation", values)


def note_request(out: Path, kind: str, values: Mapping[str, Any]) -> None:
    """Keep what a results folder is asked for."""
    write_json(out / ASKED, {"form": FORM, "kind": kind, **values})
