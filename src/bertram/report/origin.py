"""Where a run comes from: its configuration, how that differs from its recipe, and how the run was made."""

from collections.abc import Iterator
from typing import Any

from bertram import options
from bertram.errors import BertramError
from bertram.minbert import catalogue
from bertram.report.outcomes import Shown
from bertram.report.page import Column, Section, Table, Text


def config_section(run: Shown) -> Section:
    """The configuration, how it differs from its recipe, and where the run was made."""
    texts = [Text("The whole configuration, as TOML", options.to_toml(run.config))]
    changed = _changed(run)
    tables = []
    if changed:
        columns = [Column("field"), Column("recipe"), Column("this run")]
        tables.append(Table(columns, changed, title=f"What differs from the recipe {run.config.recipe}"))
    if run.record:
        tables.append(Table([Column("what"), Column("is")], list(_provenance(run.record)), title="How it was made"))
    return Section("config", "Configuration", tables=tables, texts=texts)


def _changed(run: Shown) -> list[list[str]]:
    try:
        base = dict(options.leaves(options.dump(catalogue.recipe(run.config.recipe))))
    except BertramError:
        return []
    mine = dict(options.leaves(options.dump(run.config)))
    fields = [name for name in {**base, **mine} if base.get(name) != mine.get(name)]
    return [[name, _text(base.get(name)), _text(mine.get(name))] for name in fields]


def _text(value: Any) -> str:
    return "–" if value is None else ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _parameters(counts: dict[str, int] | None) -> str | None:
    return None if counts is None else f"{counts['all']:,}, of which {counts['trained']:,} trained"


def _provenance(record: dict[str, Any]) -> Iterator[list[str]]:
    known = {
        "config hash": record.get("config_hash"),
        "git commit": record.get("git_commit"),
        "parameters": _parameters(record.get("parameters")),
        "examples seen": ", ".join(f"{name} {count:,}" for name, count in record.get("examples_seen", {}).items()),
        "an epoch is": record.get("steps", {}).get("epoch"),
        "precision": record.get("precision"),
        "peak memory": f"{record['peak_memory_mib']:,} MiB" if record.get("peak_memory_mib") else None,
        "versions": ", ".join(f"{name} {one}" for name, one in record.get("versions", {}).items()),
        "host": ", ".join(f"{name} {one}" for name, one in record.get("host", {}).items()),
        "finished": record.get("finished"),
    }  # fmt: skip
    yield from ([name, str(value)] for name, value in known.items() if value)
