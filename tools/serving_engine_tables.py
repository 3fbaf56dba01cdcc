"""The table of a record of servers on different engines."""

from tools.markdown import Record, host, multiple, table

RATIOS = ("per_second", "p50_ms", "p99_ms")


def serving_engine_tables(record: Record) -> str:
    """Requests per second and waiting times of each engine, beside those of PyTorch."""
    versions = record["versions"]
    facts = (
        f"{host(record)}, shared by server and clients · torch {versions['torch']} · onnxruntime "
        f"{versions['onnxruntime']} · {record['clients']} clients on loopback, {record['turns']} turns of "
        f"{record['seconds']:g} s, one request each at a time, its task drawn"
    )
    rows = [
        [
            f"`{engine}`",
            f"{figures['answered']:,}",
            f"{figures['failed']:,}",
            *(f"{figures[name]:.1f} ({multiple(figures['ratios'][name])})" for name in RATIOS),
            f"{figures['processor_ms_per_request']:.1f}",
            f"{figures['resident_mib']:,.0f}",
            f"{figures['largest_difference']:.1g}",
        ]
        for engine, figures in record["engines"].items()
    ]
    heads = ["engine", "answered", "failed", "a second", "p50, ms", "p99, ms", "processor, ms", "MiB", "difference"]
    return f"{facts}\n\n{table(heads, rows)}"
