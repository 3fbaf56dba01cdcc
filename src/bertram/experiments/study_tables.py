"""Files of a results folder that hold values: its tables, its request, its looks."""

import json
from pathlib import Path

from bertram.errors import RunError
from bertram.runs.typed_json import JsonObject

FORM = 2  # of tables and of step costs


def read_json(path: Path, form: int = FORM) -> JsonObject:
    """The values of a file of a results folder.

    Args:
        path: path of the file.
        form: version that the file must have.

    Raises:
        RunError: missing, damaged, or of another form.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path}: missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: damaged: {error}") from None
    if not isinstance(values, dict) or values.get("form") != form:
        raise RunError(f"{path}: is of a form that this BERTram does not know")
    return values
