"""Tables of studies in files: table.json of a reproduction, ablation.json of an ablation.

Form 1, in which a verdict was an English sentence, is read as form 2: the numbers of its rows give the verdicts.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertram.comparison.verdict import Reason, untestable, verdict
from bertram.errors import RunError

FORM = 2
FORMS = (1, FORM)


def read_table(path: Path) -> dict[str, Any]:
    """The values of table.json or ablation.json, in the present form.

    Raises:
        RunError: missing, damaged, or of another form.
    """
    table = read_json(path)
    if table["form"] == 1:
        for effect in table.get("effects", ()):
            effect["verdict"] = _verdict_of_form_1(effect, effect["value"])
        for row in table.get("rows", ()):
            for difference in filter(None, row["differences"].values()):
                difference["verdict"] = _verdict_of_form_1(difference, difference["difference"])
            row["compared_as"] = _compared_as(row)
    return table | {"form": FORM}


def read_json(path: Path) -> dict[str, Any]:
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


def _verdict_of_form_1(row: Mapping[str, Any], difference: float | None) -> dict[str, Any]:
    if difference is None:
        return asdict(untestable(Reason.UNDEFINED_SCORE, row["verdict"]))
    if row["ci95"] is None or row["p"] is None:
        return asdict(untestable(Reason.TOO_FEW_SEEDS))
    return asdict(verdict(difference, row["ci95"], p=row["p"], p_holm=row["p_holm"], ci95_new=row["ci95_new"]))


def _compared_as(row: Mapping[str, Any]) -> str | None:
    return next((one["technique"] for one in row["differences"].values() if one is not None), None)
