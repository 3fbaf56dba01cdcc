"""Records as Markdown, and into docs/performance.md and docs/serving.md between their marks.

python -m tools.pages [RECORD]
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
SERVING_PAGE = ROOT / "docs" / "serving.md"
SERVING_RECORD = ROOT / "results" / "serving" / "record.json"
NAMES = {
    "plain": "plain step",
    "smart": "with SMART on SST",
    "pcgrad": "with PCGrad",
    "smart+pcgrad": "with SMART and PCGrad",
    "cross": "plain step, pairs in one pass",
    "smart on all": "with SMART on all three tasks",
}

Record = Mapping[str, Any]


def main(arguments: Sequence[str]) -> None:
    """Put the newest records into the pages."""
    if not arguments:
        _fill_serving()
    results = ROOT / "results" / "benchmarks"
    chosen = [Path(one) for one in arguments] or [*_newest(results, "growth-*"), *_newest(results, "[0-9]*")]
    text = PAGE.read_text(encoding="utf-8")
    for path in chosen:
        record = json.loads(path.read_text(encoding="utf-8"))
        growth = path.name.startswith("growth")
        text = between(
            text, "growth" if growth else "benchmark", (growth_tables if growth else benchmark_tables)(record)
        )
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE.name}: {', '.join(path.name for path in chosen) or 'no record'}")


def _fill_serving() -> None:
    if SERVING_RECORD.is_file():
        new = serving_tables(json.loads(SERVING_RECORD.read_text(encoding="utf-8")))
        SERVING_PAGE.write_text(between(SERVING_PAGE.read_text(encoding="utf-8"), "serving", new), encoding="utf-8")
    print(f"{SERVING_PAGE.name}: {SERVING_RECORD.name if SERVING_RECORD.is_file() else 'no record'}")


def _newest(results: Path, pattern: str) -> list[Path]:
    """The newest record, a full one before a quick one."""
    found = sorted(results.glob(f"{pattern}.json"), key=lambda path: (not path.stem.endswith("quick"), path.stem))
    return found[-1:]


def between(text: str, mark: str, new: str) -> str:
    """The text with what stands between a pair of marks replaced.

    Raises:
        ValueError: the marks are missing.
    """
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no marks {begin} … {end}")
    return f"{before}{begin}\n{new.strip()}\n{end}{after}"


def benchmark_tables(record: Record) -> str:
    """Everything of a benchmark's record."""
    host, floor = record["host"], record["steps"]["floor"]
    parts = [
        f"{record['finished'][:10]} · {host['processor']} ({host['instructions']}), {host['threads']} threads · "
        f"torch {record['versions']['torch']} · {record['data']} · encoder {record['encoder']} · "
        f"{record['steps']['rounds']} rounds{' (quick)' if record.get('quick') else ''} · "
        f"default precision here: {record['default_precision']}",
        *(f"{precision}: {reason}." for precision, reason in record["not_timed"].items()),
        _steps(record),
        *(_floor(precision, found) for precision, found in floor.items()),
        _own_costs(record),
        _inference(record),
        _memory(record) if "memory" in record else "",
        _targets(record),
        _agreement(record),
    ]
    return "\n\n".join(part for part in parts if part)


def _steps(record: Record) -> str:
    rows = []
    for variant, found in record["steps"]["variants"].items():
        for precision in ("fp32", "bf16"):
            if "theirs" in found.get(precision, {}):
                one = found[precision]
                rows.append([NAMES[variant], precision, _ms(one["ours"]), _ms(one["theirs"]), _times(one["ratio"])])
        if found.get("default", {}).get("ours") == "bf16":
            rows.append([NAMES[variant], "ours bf16, theirs fp32", "", "", _times(found["default"]["ratio"])])
    text = _table(["step", "precision", "ours, ms", "theirs, ms", "ratio"], rows)
    ways = "; ".join(f"{where}: {way}" for where, way in record["steps"]["torchjd"].items())
    return f"{text}\n\nMedian [quartiles]. torchjd in its fastest documented way ({ways})."


def _floor(precision: str, found: Record) -> str:
    return (
        f"Floor in {precision}: {found['tokens']:,} real tokens ({found['padded_tokens']:,} padded) make "
        f"{found['gflop']} GFLOP of matrix products, {found['gflop_of_our_step']} where the last layer serves [CLS] "
        f"only; measured at {found['gflop_per_second']} GFLOP/s they take {_ms(found['seconds'])} ms. Our plain step "
        f"is {_times(found['ours'])} that, theirs {_times(found['theirs'])}."
    )


def _own_costs(record: Record) -> str:
    rows = [
        [NAMES[variant], precision, _times(ratio)]
        for precision, found in record["steps"]["ours"].items()
        for variant, ratio in found.items()
    ]
    return _table(["ours", "precision", "over our plain step"], rows)


def _inference(record: Record) -> str:
    evaluation, prediction = record["evaluation"], record["prediction"]
    sets = ", ".join(f"{name} {count:,}" for name, count in evaluation["examples"].items())
    phases = [
        (f"evaluation ({sets})", evaluation, 1.0, "s"),
        (f"{prediction['sentences']:,} sentences", prediction["throughput"], 1.0, "s"),
        ("one sentence", prediction["latency"], 1000.0, "ms"),
    ]
    rows = []
    for name, found, scale, unit in phases:
        for precision in ("fp32", "bf16"):
            if f"ours {precision}" not in found:
                continue
            theirs, ratio = found.get(f"theirs {precision}"), found.get(f"ratio {precision}")
            if theirs is None:
                theirs, ratio = found["theirs fp32"], found["ratio default"]
            rows.append([
                name, precision, _scaled(found[f"ours {precision}"], scale, unit), _scaled(theirs, scale, unit),
                _times(ratio),
            ])  # fmt: skip
    return _table(["prediction", "our precision", "ours", "theirs", "ratio"], rows)


def _memory(record: Record) -> str:
    rows = [[side, f"{found['before']:,}", f"{found['peak']:,}"] for side, found in record["memory"].items()]
    return _table(["SMART and PCGrad", "before the first step, MiB", "peak, MiB"], rows)


def _targets(record: Record) -> str:
    words = {True: "yes", False: "no", None: "not measured"}
    rows = [
        [one["what"], f"at {one['at']} {one['wanted']:g}", _or_dash(one["found"]), words[one["reached"]]]
        for one in record["targets"]
    ]
    return _table(["figure (our default precision against theirs)", "target", "found", "reached"], rows)


def _agreement(record: Record) -> str:
    worst = max(one["apart"] for one in record["agreement"].values())
    updated = max(one["apart_after_update"] for one in record["agreement"].values())
    return (
        f"Losses of both sides without dropout in fp32 differ by at most {worst:.1g} (relative), and by {updated:.1g} "
        f"after one update; bf16 moves ours by {record['bf16_loss_difference']:.1g}."
    )


def growth_tables(record: Record) -> str:
    """Everything of a growth record."""
    host = record["host"]
    parts = [
        f"{record['finished'][:10]} · {host['processor']} ({host['instructions']}), {host['threads']} threads · "
        f"torch {record['versions']['torch']} · precision {record['precision']}",
        "![Seconds a step against batch size, length and number of tasks](growth.png)",
    ]
    for name, series in record["series"].items():
        encoders = list(series["points"])
        sizes = [point["size"] for point in series["points"][encoders[0]]]
        rows = []
        for size in sizes:
            row = [f"{size}"]
            for encoder in encoders:
                point = next((p for p in series["points"][encoder] if p["size"] == size), None)
                row += ["", "", ""] if point is None else [
                    f"{point['tokens']:,}", _ms(point["seconds"]), f"{point['gflop_per_second']:.0f}",
                ]  # fmt: skip
            rows.append(row)
        heads = [f"{encoder}: {unit}" for encoder in encoders for unit in ("tokens", "ms", "GFLOP/s")]
        parts.append(f"**{series['title']}**\n\n" + _table([name, *heads], rows))
    parts += [_prediction(record["prediction"]), _communication(record["communication"])]
    return "\n\n".join(parts)


def _prediction(found: Record) -> str:
    rows = [
        [one["device"], one["step"], f"{one['tokens']:,}", f"{one['gflop'] / 1000:.2f}", f"{one['products_ms']:.1f}",
         f"{one['memory_ms']:.1f}", f"{one['launches_ms']:.1f}", f"{one['step_ms']:.1f}"]
        for one in found["rows"]
    ]  # fmt: skip
    heads = [
        "device",
        "step",
        "tokens",
        "TFLOP",
        "products, ms",
        "memory, ms",
        "launches, ms",
        "**predicted step, ms**",
    ]
    return f"**{found['title']}**\n\n{_table(heads, rows)}\n\n{found['assumptions']}"


def _communication(found: Sequence[Record]) -> str:
    rows = [
        [one["encoder"], f"{one['word_rows']:,}", f"{one['rows_bytes'] / 1e6:.1f}", f"{one['dense_bytes'] / 1e6:.1f}"]
        for one in found
    ]
    heads = ["encoder", "distinct words of a step", "`embedding_update = rows`, MB", "`dense`, MB"]
    return f"**One gradient of the study's step, as it is summed over processes (counted)**\n\n{_table(heads, rows)}"


def serving_tables(record: Record) -> str:
    """Everything of a record of a server under load."""
    host, load = record["host"], record["load"]
    rows = [
        [words, f"{one['answered']:,}", f"{one['failed']:,}", f"{one['per_second']:.1f}", f"{one['p50_ms']:.1f}",
         f"{one['p99_ms']:.1f}", f"{one['processor_ms_per_request']:.1f}", f"{one['resident_mib']:,}"]
        for name, words in (("batching", "together"), ("alone", "alone (`--batch-size 1`)")) for one in load[name]
    ]  # fmt: skip
    heads = ["requests computed", "answered", "failed", "a second", "p50, ms", "p99, ms", "processor, ms", "MiB"]
    parts = [
        f"{record['finished'][:10]} · {host['processor']} ({host['instructions']}), {host['threads']} threads, shared "
        f"by server and clients · torch {record['versions']['torch']} · {record['clients']} clients on loopback for "
        f"{record['seconds']:g} s, one request each at a time, its task drawn",
        _table(heads, rows),
        f"Throughput together over alone: {load['ratio']:.2f}.",
        _hostile(record["hostile"], record["schema"]),
        _stops(record["stop"]),
    ]
    return "\n\n".join(parts)


def _hostile(thrown: Record, made: Record) -> str:
    rows = [
        [
            how,
            f"{sum(one['statuses'].values()):,}",
            _statuses(one),
            f"{one['statuses'].get('500', 0)}",
            _afterwards(one),
        ]
        for how, one in (("by hand", thrown), ("from the interface", made))
    ]
    memory = thrown["resident_mib"]
    return (
        _table(["hostile requests", "sent", "status: how many", "500", "afterwards"], rows)
        + "\n\nBy hand: wrong types, bodies of megabytes, deep JSON, broken UTF-8, wrong lengths, slow senders; "
        "status 0 is a connection that ended without an answer, or whose sender gave up. The server's memory was "
        f"{memory['after a quarter']:,} MiB after a quarter of them and {memory['after all']:,} MiB after all. From "
        "the interface: made by schemathesis from the server's own description, fitting it and not, with "
        f"{len(made['faults'])} answers that it does not describe."
    )


def _statuses(found: Record) -> str:
    return ", ".join(f"{status}: {count:,}" for status, count in found["statuses"].items())


def _afterwards(found: Record) -> str:
    return "runs on" if found["alive"] else "**has ended**"


def _stops(found: Record) -> str:
    return (
        f"`kill -TERM` under this load, {found['stops']} times: {found['answered']:,} requests answered, "
        f"{found['lost']} lost; exit codes {', '.join(map(str, found['exit_codes']))}."
    )


def _ms(found: Record) -> str:
    return _scaled(found, 1000.0, "")


def _scaled(found: Record, scale: float, unit: str) -> str:
    low, median, high = (_digits(found[name] * scale) for name in ("low", "median", "high"))
    return f"{median}{f' {unit}' if unit else ''} [{low}–{high}]"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(found: Record) -> str:
    return f"{found['median']:.2f} [{found['low']:.2f}–{found['high']:.2f}]"


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


if __name__ == "__main__":
    main(sys.argv[1:])
