"""The tables of a record of a server under load."""

from tools.markdown import Record, host, table


def serving_tables(record: Record) -> str:
    """All tables of a record of a server under load."""
    parts = [
        f"{host(record)}, shared by server and clients · torch {record['versions']['torch']} · {record['clients']} "
        f"clients on loopback for {record['seconds']:g} s, one request each at a time, its task drawn",
        _load(record["load"]),
        f"Throughput, best turn together over best turn alone: {record['load']['ratio']:.2f}.",
        _hostile(record["hostile"], record["schema"]),
        _stops(record["stop"]),
        _largest(record["largest"]),
        _mixed(record["mixed"]),
    ]
    return "\n\n".join(parts)


def _load(load: Record) -> str:
    rows = [
        [
            name,
            f"{turn['answered']:,}",
            f"{turn['failed']:,}",
            *(f"{turn[key]:.1f}" for key in ("per_second", "p50_ms", "p99_ms", "processor_ms_per_request")),
            f"{turn['resident_mib']:,}",
        ]
        for name, turns in (("together", load["batching"]), ("alone (`--batch-size 1`)", load["alone"]))
        for turn in turns
    ]
    heads = ["requests computed", "answered", "failed", "a second", "p50, ms", "p99, ms", "processor, ms", "MiB"]
    return table(heads, rows)


def _hostile(by_hand: Record, from_schema: Record) -> str:
    rows = [
        [
            origin,
            f"{sum(requests['statuses'].values()):,}",
            _counts(requests["statuses"]),
            f"{requests['statuses'].get('500', 0)}",
            "runs on" if requests["alive"] else "**has ended**",
        ]
        for origin, requests in (("by hand", by_hand), ("from the interface", from_schema))
    ]
    memory = by_hand["resident_mib"]
    return (
        table(["hostile requests", "sent", "status: how many", "500", "afterwards"], rows)
        + "\n\nBy hand: wrong types, bodies of megabytes, deep JSON, broken UTF-8, wrong lengths, slow senders; "
        "status 0 is a connection that ended without an answer, or whose sender gave up. The server's memory was "
        f"{memory['after a quarter']:,} MiB after a quarter of them and {memory['after all']:,} MiB after all. From "
        "the interface: made by schemathesis from the server's own description, fitting it and not, with "
        f"{len(from_schema['faults'])} answers that it does not describe."
    )


def _stops(stops: Record) -> str:
    return (
        f"`kill -TERM` under this load, {stops['stops']} times: {stops['answered']:,} requests answered, "
        f"{stops['lost']} lost; exit codes {', '.join(map(str, stops['exit_codes']))}."
    )


def _largest(largest: Record) -> str:
    small = largest["small"]
    return (
        "Beside one client that sends the largest request (256 texts of 3,900 characters) again and again, "
        f"{small['answered']:,} small requests were answered and {small['failed']:,} failed: p50 {small['p50_ms']:.0f} "
        f"ms, p99 {small['p99_ms']:.0f} ms. The largest requests by status: {_counts(largest['largest'])}."
    )


def _mixed(mixed: Record) -> str:
    memory = ", ".join(f"{quarter:,}" for quarter in mixed["resident_mib"])
    return (
        f"Memory after each quarter of {mixed['sent']:,} mixed requests, a quarter of them hostile: {memory} MiB. By "
        f"status: {_counts(mixed['statuses'])}."
    )


def _counts(statuses: Record) -> str:
    return ", ".join(f"{status}: {count:,}" for status, count in statuses.items())
