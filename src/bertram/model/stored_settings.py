"""The settings of a trained network in its `config.json`; without PyTorch, unless a kind of output needs it."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bertram.errors import RunError
from bertram.options import old_names
from bertram.runs.typed_json import JsonObject, one_line, read_object
from bertram.task_files import Strict
from bertram.tasks import Task, is_task_name

FORMAT = 1


class StoredSettings(Strict):
    """The content of `config.json` beside the encoder's shape.

    Attributes:
        format: version of this form.
        pooling: how a sequence becomes one vector.
        max_tokens: maximum sequence length in tokens.
        both_orders: True if cross-encoded pairs are read in both orders.
        tasks: task -> its definition.
    """

    format: int
    pooling: Literal["cls", "mean", "pooler"]
    max_tokens: int
    both_orders: bool
    tasks: dict[str, Task]


def read_settings(directory: Path) -> StoredSettings:
    """The settings of the network in a directory.

    Raises:
        RunError: not a model of ours, of an unknown format version, or damaged.
    """
    path = directory / "config.json"
    values = old_names.renamed(_read_ours(directory))
    try:
        saved = _validated(values)
    except ValidationError as error:
        first = error.errors()[0]
        place, reason = ".".join(map(str, first["loc"])), one_line(first["msg"])
        raise RunError(f"{path}: damaged, its tasks cannot be read: {one_line(place)}: {reason}") from None
    for name, task in saved.tasks.items():
        if not is_task_name(name):
            raise RunError(f"{path}: damaged: {one_line(repr(name))} cannot be the name of a task")
        if task.label_space.labels_from_data and not task.label_space.names:
            raise RunError(f"{path}: damaged: task {name} has no labels")
    return saved.model_copy(
        update={"tasks": {name: task.model_copy(update={"name": name}) for name, task in saved.tasks.items()}}
    )


def _validated(values: JsonObject) -> StoredSettings:
    """The settings as values; kinds of output that are not in the tables need PyTorch to become known."""
    try:
        return StoredSettings.model_validate(values)
    except ValidationError:
        from bertram.model import outputs  # noqa: F401, PLC0415 - registers them

        return StoredSettings.model_validate(values)


def _read_ours(directory: Path) -> JsonObject:
    path = directory / "config.json"
    try:
        settings = read_object(path).get("bertram")
    except FileNotFoundError:
        raise RunError(f"{directory}: not a trained model: it has no config.json") from None
    if not isinstance(settings, dict):
        raise RunError(f"{path}: an encoder without heads, not a trained model")
    if settings.get("format") != FORMAT:
        raise RunError(f"{path}: format version {settings.get('format')!r} is unknown; this BERTram reads {FORMAT}")
    return settings
