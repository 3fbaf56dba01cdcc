"""Former names of configuration fields, and the form in which a configuration is hashed.

A configuration, a record or a model written with a former name is read as if it had the present one. Configuration
files and command lines are also told the present name (`bertram.options`); records and models are read silently.

The hash of a configuration decides whether a study skips a run, so it must not change when a field is renamed. It is
taken over the first names (`canonical`). A field that did not exist when records were first written is left out while
it has its default; each such field is in `ADDED`.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bertram.errors import ConfigError
from bertram.options.raw_values import RawValues

FIRST_NAMES: dict[str, dict[str, str]] = {
    "": {"uncertainty_weighting": "uncertainty"},
    "tasks.NAME": {"label_names": "names", "max_train_samples": "limit", "text_normalization": "text_style"},
    "model": {"head_dropout": "dropout", "max_length": "max_tokens"},
    "optimizer": {
        "lr": "encoder_rate",
        "head_lr": "head_rate",
        "layerwise_lr_decay": "layer_decay",
        "warmup_ratio": "warmup",
        "lr_schedule": "decay",
        "max_grad_norm": "clip_norm",
    },
    "sampling": {"gradient_accumulation_steps": "accumulation", "size_exponent": "alpha", "size_cap": "cap"},
    "smart": {"ascent_steps": "steps", "dropout_masks": "dropout", "bregman_update_steps": "bregman_every"},
    "surgery": {"frequency": "when"},
    "average": {"ema_decay": "decay", "tail_start": "start"},
    "evaluation": {
        "eval_steps": "every",
        "early_stopping_patience": "patience",
        "final_weights": "keep",
        "max_interim_samples": "limit",
        "max_eval_samples": "dev_limit",
    },
    "checkpoint": {"save_minutes": "minutes", "save_total_limit": "keep"},
    "log": {"logging_steps": "every", "diagnostics_steps": "diagnostics"},
}
"""Table of the configuration -> present name -> first name."""

OLD_NAMES = {table: {old: new for new, old in names.items()} for table, names in FIRST_NAMES.items()}
"""Table of the configuration -> former name -> present name."""

ADDED: RawValues = {
    "tasks.NAME.label_separator": None,
    "tasks.NAME.absent_labels": [],
    "tasks.NAME.class_weights": [],
    "tasks.NAME.label_smoothing": 0.0,
    "tasks.NAME.temperature": 1.0,
    "tasks.NAME.thresholds": [],
    "distill": {"teachers": [], "gold_weight": [0.0, 1.0], "temperature": 1.0},
    "tasks.NAME.extra": [],
    "tasks.NAME.extra.match_labels": False,
    "tasks.NAME.unlabelled": [],
    "sampling.first_task": None,
    "surgery.gradients": "packed",
    "split": {"dev_share": 0.2, "seed": 0, "keep_together": "texts"},
}
"""Fields that came after the first records, by dotted name (``tasks.NAME.field``), with their first default."""


OLD_OPTIONS = {"--dev-limit": "--max-eval-samples"}
"""Former names of command-line options that are no fields of the configuration."""


class OldNameWarning(FutureWarning):
    """A former name was used where a user can replace it by the present one."""


def warn(names: Iterable[tuple[str, str]]) -> None:
    """Warn of former names, one warning each.

    Args:
        names: former and present name of each field or option.
    """
    for old, new in names:
        warnings.warn(f"{old} is the old name of {new}", OldNameWarning, stacklevel=1)


def present_name(dotted: str) -> str:
    """The present dotted name of a field, for a present or former one."""
    *path, name = dotted.split(".")
    table = ""
    for part in path:
        table = _table_below(table, part)
    return ".".join([*path, OLD_NAMES.get(table, {}).get(name, name)])


def present_options(words: Iterable[str]) -> list[str]:
    """The words of a command line with present names of options, with a warning for each former one."""
    split = [word.partition("=") for word in words]
    warn((name, OLD_OPTIONS[name]) for name, _, _ in split if name in OLD_OPTIONS)
    return [f"{OLD_OPTIONS.get(name, name)}{equals}{value}" for name, equals, value in split]


def renamed(values: Mapping[str, Any]) -> RawValues:
    """The tables of a configuration, or a part of them, with present names.

    Raises:
        ConfigError: a field is set under both its names.
    """
    return _map_tables(values, OLD_NAMES)


def former_names(values: Mapping[str, Any], table: str = "") -> Iterator[tuple[str, str]]:
    """Dotted former and present names of the fields that `values` has under a former name."""
    for name, value in values.items():
        if new := OLD_NAMES.get(table, {}).get(name):
            prefix = f"{table}." if table else ""
            yield f"{prefix}{name}", f"{prefix}{new}"
        if isinstance(value, Mapping):
            yield from former_names(value, _table_below(table, name))


def canonical(values: Mapping[str, Any]) -> RawValues:
    """All tables of a configuration in the form that is hashed: first names, without added fields at their default."""
    return _map_tables(_without_defaults(values), FIRST_NAMES)


def _map_tables(values: Mapping[str, Any], names: Mapping[str, Mapping[str, str]], table: str = "") -> RawValues:
    mapped = {
        name: _map_tables(value, names, _table_below(table, name)) if isinstance(value, Mapping) else value
        for name, value in values.items()
    }
    return _map_names(mapped, names.get(table, {}), table)


def _map_names(values: Mapping[str, Any], names: Mapping[str, str], table: str) -> RawValues:
    prefix = f"{table}." if table else ""
    for name, new_name in names.items():
        if name in values and new_name in values:
            raise ConfigError([f"{prefix}{name} is the old name of {prefix}{new_name}; set only {prefix}{new_name}"])
    return {names.get(name, name): value for name, value in values.items()}


def _without_defaults(values: Mapping[str, Any], table: str = "") -> RawValues:
    prefix = f"{table}." if table else ""
    return {
        name: _without_defaults(value, _table_below(table, name)) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if f"{prefix}{name}" not in ADDED or value != ADDED[f"{prefix}{name}"]
    }


def _table_below(table: str, name: str) -> str:
    if table == "tasks":
        return "tasks.NAME"
    return f"{table}.{name}" if table else name
