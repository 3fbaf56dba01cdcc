"""The table of what int8 costs a run: the ``int8.json`` of its export."""

from tools.markdown import Record, table


def int8_tables(record: Record) -> str:
    """The paired difference of each task's score on dev, and the parts that stay in fp32."""
    rows = [
        [
            one["task"],
            "" if one["n"] is None else f"{one['n']:,}",
            f"{one['baseline_value']:.4f}",
            f"{one['value']:.4f}",
            f"{one['difference']:+.4f} [{one['ci95'][0]:+.4f}, {one['ci95'][1]:+.4f}]",
            one["verdict"]["decision"],
        ]
        for one in record["differences"]
    ]
    parts = ", ".join(record["fp32_parts"]) or "none"
    return "\n\n".join([table(["", "n", "fp32", "int8", "difference", "verdict"], rows), f"Parts in fp32: {parts}."])
