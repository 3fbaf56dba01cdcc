"""Tables of studies in files: table.json of a reproduction, ablation.json of an ablation.

Form 1, whose verdicts were sentences by an earlier rule, is read as form 2: effects and intervals stand as they are;
a verdict by the present rule needs the runs, from which `make_again` makes the table.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertram.comparison.equivalence import SMALLEST_EFFECT
from bertram.comparison.evidence import Evidence
from bertram.comparison.verdict import Reason, untestable
from bertram.errors import RunError
from bertram.runs.typed_json import JsonObject

FORM = 2
FORMS = (1, FORM)


def read_values(path: Path) -> JsonObject:
    """The values of table.json or ablation.json, in the present form.

    Raises:
        RunError: missing, damaged, or of another form.
    """
    table = read_json(path)
    if table["form"] == FORM:
        return table
    effects = [_evidence(row, row["value"]) for row in table.get("effects", ())]
    for row in table.get("rows", ()):
        for outcome, difference in row["differences"].items():
            row["differences"][outcome] = (
                None if difference is None else _evidence(difference, difference["difference"])
            )
        row["compared_as"] = next(
            (difference["technique"] for difference in row["differences"].values() if difference is not None), None
        )
    changed = {"effects": effects, "primary": "overall", "power": None} if "effects" in table else {}
    return {**table, "smallest_effect": SMALLEST_EFFECT, **changed, "form": FORM}


def read_json(path: Path) -> JsonObject:
    """The values of a file of a results folder, in any form that is known.

    Raises:
        RunError: missing, damaged, or of another form.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path}: missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: damaged: {error}") from None
    if not isinstance(values, dict) or values.get("form") not in FORMS:
        raise RunError(f"{path}: is of a form that this BERTram does not know")
    return values


def _evidence(row: Mapping[str, Any], effect: float | None) -> JsonObject:
    """A row of form 1: its numbers, and no verdict."""
    outcome = row.get("outcome", row.get("task"))
    fields = asdict(Evidence(outcome=outcome, task=outcome, metric=row.get("metric", "")))
    numbers = {name: value for name, value in row.items() if name not in ("difference", "seed_sd", "df")}
    reason = untestable(Reason.UNDEFINED_SCORE, row["verdict"]) if effect is None else untestable(Reason.OLD_RULE)
    changed = {"effect": effect, "p": None, "p_holm": None, "verdict": asdict(reason)}
    if "name" in row:
        numbers.pop("value", None)
    return {**fields, **numbers, **changed}
