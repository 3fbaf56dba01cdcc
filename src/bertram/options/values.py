"""Configurations from tables of values: checked, merged and changed."""

from collections.abc import Container, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bertram.config import Config
from bertram.errors import ConfigError
from bertram.options import old_names
from bertram.options.faults import all_faults
from bertram.options.raw_values import RawValues
from bertram.options.schema import tables_in
from bertram.tasks import Task


def make(values: Mapping[str, Any]) -> Config:
    """The configuration with these values; former field names are accepted, and "none" unsets an optional field.

    Raises:
        ConfigError: all faults, one line each; an unknown field comes with the most similar known one.
    """
    values = with_unset_fields(old_names.renamed(values))
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(all_faults(values, error)) from None


def with_unset_fields(values: Mapping[str, Any], model: type[BaseModel] = Config) -> RawValues:
    """The values with None for each optional field that is "none" (TOML has no null)."""
    return {name: _unset(value, model, name) for name, value in values.items()}


def _unset(value: Any, model: type[BaseModel], name: str) -> Any:
    field = model.model_fields.get(name)
    if field is None:
        return value
    if value == "none" and type(None) in get_args(field.annotation):
        return None
    table = tables_in(model).get(name)
    if table is not None and isinstance(value, list | tuple):
        return [with_unset_fields(part, table) if isinstance(part, Mapping) else part for part in value]
    if table is None or not isinstance(value, Mapping):
        return value
    if table is Task:
        return {
            key: with_unset_fields(task, Task) if isinstance(task, Mapping) else task for key, task in value.items()
        }
    return with_unset_fields(value, table)


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> RawValues:
    """`base` overlaid with `change`, table by table, all fields under their present names."""
    return _overlaid(old_names.renamed(base), old_names.renamed(change))


def _overlaid(base: Mapping[str, Any], change: Mapping[str, Any]) -> RawValues:
    merged = dict(base)
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = _overlaid(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every field: ``{"smart": {"weight": 3}}`` gives ``("smart.weight", 3)``."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def change(config: Config, **values: Any) -> Config:
    """A copy with some fields changed, tables given as dictionaries: ``change(c, smart={"weight": 3})``.

    A dictionary of tasks changes their fields, ``tasks={"sst": {"weight": 2}}``. With a `Task` in it, exactly its tasks
    are trained, as by a file with task tables: ``tasks={"mood": Task(...)}``; an empty dictionary takes the definition
    of a task in `config`.

    Raises:
        ConfigError: the changed configuration is faulty.
    """
    base, tasks = dump(config), values.get("tasks")
    if isinstance(tasks, Mapping) and any(isinstance(task, Task) for task in tasks.values()):
        _keep_tasks(base, tasks)
        for name in [name for name, task in tasks.items() if isinstance(task, Task)]:
            base["tasks"].pop(name, None)
        values["tasks"] = {name: dump(task) if isinstance(task, Task) else task for name, task in tasks.items()}
    return make(merge(base, values))


def dump(config: BaseModel) -> RawValues:
    """The configuration as JSON values, without the fields that are None (TOML has no null)."""
    return config.model_dump(mode="json", exclude_none=True)


def overlay(recipe: Config, file: Mapping[str, Any], options: Mapping[str, Any]) -> Config:
    """The recipe, overlaid with the values of a file, then with those of the command line.

    If the file has task tables, exactly these tasks are trained; an empty table takes the recipe's definition of the
    task. `sampling.epoch_of` of the recipe is dropped if it names a task that the file leaves out.

    Raises:
        ConfigError: the resulting configuration is faulty.
    """
    base = dump(recipe)
    tasks = file.get("tasks")
    if isinstance(tasks, Mapping):
        _keep_tasks(base, tasks)
    return make(merge(merge(base, file), options))


def _keep_tasks(values: RawValues, names: Container[str]) -> None:
    """Drop the other tasks of a configuration, and `sampling.epoch_of` if it names one of them."""
    values["tasks"] = {name: task for name, task in values["tasks"].items() if name in names}
    if values["sampling"].get("epoch_of") not in names:
        values["sampling"].pop("epoch_of", None)
