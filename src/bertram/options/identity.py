"""The hash that identifies a configuration."""

import hashlib
import json

from bertram.config import Config
from bertram.options import old_names
from bertram.options.values import dump


def digest(config: Config) -> str:
    """Hash of all fields that decide the result: 16 hexadecimal digits.

    The name of the recipe, the tables `checkpoint` and `log`, and the place where teachers' outputs are kept are left
    out.
    """
    values = dump(config)
    values["distill"].pop("outputs", None)
    values = old_names.canonical(values)
    for field in ("recipe", "checkpoint", "log"):
        values.pop(field, None)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
