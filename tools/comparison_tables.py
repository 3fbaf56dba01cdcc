"""The tables of a record of the comparison with the peers."""

from tools.markdown import Record, host, milliseconds, multiple, scaled, table

VARIANTS = {
    "plain": "plain step",
    "smart": "with SMART on SST",
    "pcgrad": "with PCGrad",
    "smart+pcgrad": "with SMART and PCGrad",
    "cross": "plain step, pairs in one pass",
    "smart on all": "with SMART on all three tasks",
}
PRECISIONS = ("fp32", "bf16")


def comparison_tables(record: Record) -> str:
    """All tables of a record; a record of training or of prediction alone has the tables of what it holds."""
    parts = [
        f"{host(record)} · torch {record['versions']['torch']} · {record['data']} · encoder {record['encoder']} · "
        f"{_rounds(record)}default precision here: {record['default_precision']}",
        *(f"{precision}: {reason}." for precision, reason in record["not_timed"].items()),
    ]
    if "steps" in record:
        parts += [
            _steps(record["steps"]),
            *(_floor(precision, floor) for precision, floor in record["steps"]["floor"].items()),
            _over_plain_step(record["steps"]),
        ]
    if "prediction" in record:
        parts.append(_prediction(record["evaluation"], record["prediction"]))
    if "memory" in record:
        parts.append(_memory(record["memory"]))
    parts.append(_targets(record))
    if "agreement" in record:
        parts.append(_agreement(record))
    return "\n\n".join(parts)


def _rounds(record: Record) -> str:
    if "steps" not in record:
        return ""
    return f"{record['steps']['rounds']} rounds{' (quick)' if record.get('quick') else ''} · "


def _steps(steps: Record) -> str:
    rows = []
    for variant, figures in steps["variants"].items():
        for precision in PRECISIONS:
            if "theirs" in figures.get(precision, {}):
                times = figures[precision]
                rows.append([
                    VARIANTS[variant], precision, milliseconds(times["ours"]), milliseconds(times["theirs"]),
                    multiple(times["ratio"]),
                ])  # fmt: skip
        if figures.get("default", {}).get("ours") == "bf16":
            ratio = multiple(figures["default"]["ratio"])
            rows.append([VARIANTS[variant], "ours bf16, theirs fp32", "", "", ratio])
    options = "; ".join(f"{step}: {choice}" for step, choice in steps["torchjd"].items())
    return (
        f"{table(['step', 'precision', 'ours, ms', 'theirs, ms', 'ratio'], rows)}\n\n"
        f"Median [quartiles]. torchjd in its fastest documented way ({options})."
    )


def _floor(precision: str, floor: Record) -> str:
    return (
        f"Floor in {precision}: {floor['tokens']:,} real tokens ({floor['padded_tokens']:,} padded) make "
        f"{floor['gflop']} GFLOP of matrix products, {floor['gflop_of_our_step']} where the last layer serves [CLS] "
        f"only; measured at {floor['gflop_per_second']} GFLOP/s they take {milliseconds(floor['seconds'])} ms. Our "
        f"plain step is {multiple(floor['ours'])} that, theirs {multiple(floor['theirs'])}."
    )


def _over_plain_step(steps: Record) -> str:
    rows = [
        [VARIANTS[variant], precision, multiple(ratio)]
        for precision, figures in steps["ours"].items()
        for variant, ratio in figures.items()
    ]
    return table(["ours", "precision", "over our plain step"], rows)


def _prediction(evaluation: Record, prediction: Record) -> str:
    sets = ", ".join(f"{name} {count:,}" for name, count in evaluation["examples"].items())
    phases = [
        (f"evaluation ({sets})", evaluation, 1.0, "s"),
        (f"{prediction['sentences']:,} sentences", prediction["throughput"], 1.0, "s"),
        ("one sentence", prediction["latency"], 1000.0, "ms"),
    ]
    rows = []
    for name, figures, scale, unit in phases:
        for precision in PRECISIONS:
            if f"ours {precision}" not in figures:
                continue
            peer, ratio = figures.get(f"theirs {precision}"), figures.get(f"ratio {precision}")
            if peer is None:
                peer, ratio = figures["theirs fp32"], figures["ratio default"]
            times = [scaled(seconds, scale, unit) for seconds in (figures[f"ours {precision}"], peer)]
            rows.append([name, precision, *times, multiple(ratio)])
    return table(["prediction", "our precision", "ours", "theirs", "ratio"], rows)


def _memory(memory: Record) -> str:
    rows = [[side, f"{figures['before']:,}", f"{figures['peak']:,}"] for side, figures in memory.items()]
    return table(["SMART and PCGrad", "before the first step, MiB", "peak, MiB"], rows)


def _targets(record: Record) -> str:
    states = {True: "yes", False: "no", None: "not measured"}
    rows = [
        [
            target["what"],
            f"at {target['at']} {target['wanted']:g}",
            "–" if target["found"] is None else f"{target['found']:.2f}",
            states[target["reached"]],
        ]
        for target in record["targets"]
    ]
    return table(["figure (ours in the default precision of training)", "target", "found", "reached"], rows)


def _agreement(record: Record) -> str:
    before, after = (
        max(losses[name] for losses in record["agreement"].values()) for name in ("apart", "apart_after_update")
    )
    return (
        f"Losses of both sides without dropout in fp32 differ by at most {before:.1g} (relative), and by {after:.1g} "
        f"after one update; bf16 moves ours by {record['bf16_loss_difference']:.1g}."
    )
