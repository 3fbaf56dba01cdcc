"""TOML files: read, and written from a configuration."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bertram.errors import ConfigError
from bertram.options import old_names
from bertram.options.raw_values import RawValues
from bertram.standard_streams import open_bytes


def read(path: Path) -> RawValues:
    """The values of a TOML file, or of standard input (-), under their present names; former ones give a warning.

    A relative data directory is looked up beside the file first, then in the working directory (the config.toml of a
    run has it that way).

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    try:
        with open_bytes(path) as file:
            text = file.read().decode("utf-8-sig")
        values = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not a TOML file: {error}"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    old_names.warn(old_names.former_names(values))
    values = old_names.renamed(values)
    data = values.get("data")
    if isinstance(data, str) and data not in ("hub", "sample") and not Path(data).is_absolute():
        beside = path.parent / Path(data).expanduser()
        values["data"] = str(beside) if beside.exists() or not Path(data).exists() else data
    return values


def to_toml(config: BaseModel) -> str:
    """The configuration as TOML text.

    Fields that are None are written as "none", so that the value of a recipe does not take their place.
    """
    return "\n".join(_tables(_with_none_as_text(config.model_dump(mode="json")), ())) + "\n"


def inline(value: object) -> str:
    """A value as TOML on one line."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(str(key))} = {inline(part)}" for key, part in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    return _literal(value)


def _with_none_as_text(values: Mapping[str, Any]) -> RawValues:
    return {key: _none_as_text(value) for key, value in values.items()}


def _none_as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _with_none_as_text(value)
    if isinstance(value, list):
        return [_none_as_text(part) for part in value]
    return "none" if value is None else value


def _tables(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    if path and (plain or not values):
        yield f"\n[{'.'.join(_key(part) for part in path)}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {inline(value)}"
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _tables(value, (*path, key))


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else _literal(key)


def _literal(value: object) -> str:
    """A string, number or boolean; JSON and TOML write these alike, except for the character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
