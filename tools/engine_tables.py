"""The table of a record of engines beside their peers."""

from tools.markdown import Record, host, milliseconds, multiple, table

KINDS = ("one text", "batches of 32")


def engine_tables(record: Record) -> str:
    """The table of all engines, and what was not measured."""
    versions = " · ".join(f"{package} {number}" for package, number in record["versions"].items())
    parts = [f"{host(record)} · {versions}", f"{record['sentences']:,} sentences, {record['rounds']} rounds"]
    heads = ["", *(f"{kind}: {what}" for kind in KINDS for what in ("speed", "ms")), "cosine"]
    rows = [
        [
            name,
            *(cell for kind in KINDS for cell in _cells(record[kind][name])),
            f"{record['agreement'][name]:.4f}" if name in record["agreement"] else "",
        ]
        for name in record[KINDS[0]]
    ]
    skipped = [f"- not measured: {name}: {reason}" for name, reason in record["skipped"].items()]
    return "\n\n".join([*parts, table(heads, rows), *(["\n".join(skipped)] if skipped else [])])


def _cells(figures: Record) -> tuple[str, str]:
    return multiple(figures["speed"]), milliseconds({key: value / 1000 for key, value in figures["ms"].items()})
