"""The tables and the picture of a record of growth."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

from tools.markdown import Record, host, milliseconds, table

PICTURE = "growth.png"
PCGRAD = ", PCGrad"  # end of the name of a series of steps with surgery


def growth_tables(record: Record) -> str:
    """All tables of a record of growth."""
    parts = [
        f"{host(record)} · torch {record['versions']['torch']} · precision {record['precision']}",
        f"![Seconds a step against batch size, length and number of tasks]({PICTURE})",
        *(_series(name, series) for name, series in record["series"].items()),
        _forecast(record["prediction"]),
        _communication(record["communication"]),
    ]
    return "\n\n".join(parts)


def _series(name: str, series: Record) -> str:
    by_size = {encoder: {point["size"]: point for point in points} for encoder, points in series["points"].items()}
    sizes = next(iter(by_size.values()))
    rows = [[f"{size}", *(cell for points in by_size.values() for cell in _cells(points.get(size)))] for size in sizes]
    heads = [f"{encoder}: {unit}" for encoder in by_size for unit in ("tokens", "ms", "GFLOP/s")]
    return f"**{series['title']}**\n\n{table([name, *heads], rows)}"


def _cells(point: Record | None) -> list[str]:
    if point is None:
        return ["", "", ""]
    return [f"{point['tokens']:,}", milliseconds(point["seconds"]), f"{point['gflop_per_second']:.0f}"]


def _forecast(forecast: Record) -> str:
    heads = [
        "device", "step", "tokens", "TFLOP", "products, ms", "memory, ms", "launches, ms", "**predicted step, ms**",
    ]  # fmt: skip
    rows = [
        [
            row["device"],
            row["step"],
            f"{row['tokens']:,}",
            f"{row['gflop'] / 1000:.2f}",
            *(f"{row[part]:.1f}" for part in ("products_ms", "memory_ms", "launches_ms", "step_ms")),
        ]
        for row in forecast["rows"]
    ]
    return f"**{forecast['title']}**\n\n{table(heads, rows)}\n\n{forecast['assumptions']}"


def _communication(messages: Sequence[Record]) -> str:
    rows = [
        [row["encoder"], f"{row['word_rows']:,}", f"{row['rows_bytes'] / 1e6:.1f}", f"{row['dense_bytes'] / 1e6:.1f}"]
        for row in messages
    ]
    heads = ["encoder", "distinct words of a step", "`embedding_update = rows`, MB", "`dense`, MB"]
    return f"**One gradient of the study's step, as it is summed over processes (counted)**\n\n{table(heads, rows)}"


def draw(record: Record, path: Path) -> None:
    """Draw the time of a step against size, one panel a series."""
    with style.context("default"):
        figure = Figure(figsize=(10, 3.2), layout="constrained")
        panels = figure.subplots(1, len(record["series"]), sharey=True)
        colors: dict[str, str] = {}
        for panel, (name, series) in zip(panels, record["series"].items(), strict=True):
            for label, points in series["points"].items():
                sizes = [point["size"] for point in points]
                encoder, dashes = label.removesuffix(PCGRAD), "--" if label.endswith(PCGRAD) else "-"
                color = colors.setdefault(encoder, f"C{len(colors)}")
                low, median, high = ([point["seconds"][key] for point in points] for key in ("low", "median", "high"))
                panel.plot(sizes, median, dashes, color=color, marker="o", markersize=3, linewidth=1, label=label)
                panel.fill_between(sizes, low, high, alpha=0.2, color=color)
            panel.set(xscale="log", yscale="log", xlabel=name)
            ticks = sorted({point["size"] for points in series["points"].values() for point in points})
            panel.set_xticks(ticks, labels=[str(size) for size in ticks])
            panel.minorticks_off()
            panel.grid(visible=True, linewidth=0.3)
        panels[0].set_ylabel("seconds a step")
        panels[-1].legend(fontsize=7, frameon=False)
        figure.savefig(path, dpi=90)
