"""Origin of a run: its configuration, the differences from its recipe, and how the run was made."""

from collections.abc import Iterator
from typing import Any

from bertram import options
from bertram.errors import BertramError
from bertram.minbert import catalogue
from bertram.report.outcomes import RunView
from bertram.report.page import Column, Section, Table, Text
from bertram.runs.record import Record


def config_section(run: RunView) -> Section:
    """The configuration, how it differs from its recipe, and where the run was made."""
    texts = [Text("The whole configuration, as TOML", options.to_toml(run.config))]
    changed = _changed(run)
    tables = []
    if changed:
        columns = [Column("field"), Column("recipe"), Column("this run")]
        tables.append(Table(columns, changed, title=f"What differs from the recipe {run.config.recipe}"))
    if run.record is not None:
        tables.append(Table([Column("what"), Column("is")], list(_provenance(run.record)), title="How it was made"))
    return Section("config", "Configuration", tables=tables, texts=texts)


def _changed(run: RunView) -> list[list[str]]:
    try:
        base = dict(options.leaves(options.dump(catalogue.recipe(run.config.recipe))))
    except BertramError:
        return []
    values = dict(options.leaves(options.dump(run.config)))
    fields = [name for name in {**base, **values} if base.get(name) != values.get(name)]
    return [[name, _text(base.get(name)), _text(values.get(name))] for name in fields]


def _text(value: Any) -> str:
    return "–" if value is None else ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _provenance(record: Record) -> Iterator[list[str]]:
    provenance, size, memory = record.provenance, record.parameters, record.peak_memory_mib
    facts = {
        "config hash": record.config_hash,
        "git commit": provenance.git_commit,
        "parameters": None if size is None else f"{size.all:,}, of which {size.trained:,} trained",
        "examples seen": ", ".join(f"{name} {count:,}" for name, count in record.examples_seen.items()),
        "an epoch is": None if record.steps is None else record.steps.epoch,
        "precision": record.precision,
        "peak memory": None if memory is None else f"{memory:,} MiB",
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions.items()),
        "host": ", ".join(f"{name} {value}" for name, value in vars(provenance.host).items()),
        "finished": provenance.finished,
    }
    yield from ([name, value] for name, value in facts.items() if value)
