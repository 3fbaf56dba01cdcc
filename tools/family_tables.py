"""The table of a record of encoder families: the padded form's time over that of the packed form."""

from tools.markdown import Record, host, multiple, table

PASSES = {"training": "training pass", "prediction": "prediction pass"}


def family_tables(record: Record) -> str:
    """The table, and what it was measured on."""
    settings, results = record["settings"], record["results"]
    precisions = [precision for precision in ("fp32", "bf16") if precision in next(iter(results.values()))]
    heads = [f"{title}, {precision}" for precision in precisions for title in PASSES.values()]
    rows = [
        [
            name,
            f"{figures['parameters'] / 1e6:.1f} M",
            *(multiple(figures[precision][kind]["ratio"]) for precision in precisions for kind in PASSES),
        ]
        for name, figures in results.items()
    ]
    clock = "processor time" if settings["cpu_time"] else "time"
    tokens, padded = sum(settings["tokens"]), sum(settings["padded_tokens"])
    steps = len(settings["tokens"])
    return "\n\n".join([
        f"{host(record)} · transformers {record['versions']['transformers']}, torch {record['versions']['torch']} · "
        f"{settings['data']} · {settings['rounds']} rounds",
        table(["encoder", "parameters", *heads], rows),
        f"Ratios of {clock}, padded over packed: median [quartiles]. {steps} steps of {tokens // steps:,} real tokens "
        f"({padded // steps:,} padded) on average.",
    ])  # fmt: skip
