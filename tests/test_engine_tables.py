"""The tables of engines show the figures of their records, and what was not measured."""

from typing import Any

from tools.engine_tables import engine_tables
from tools.int8_tables import int8_tables
from tools.serving_engine_tables import serving_engine_tables

HOST = {
    "finished": "2026-01-02T03:04:05+00:00",
    "host": {"processor": "P", "instructions": "I", "threads": 2},
    "versions": {"torch": "2", "onnxruntime": "1"},
}


def quartiles(median: float) -> dict[str, float]:
    return {"median": median, "low": median - 0.5, "high": median + 0.5}


def test_engines_are_shown_beside_their_peers() -> None:
    figures = {
        "SentenceTransformer": {"ms": quartiles(10), "speed": quartiles(1)},
        "bertram, onnx": {"ms": quartiles(5), "speed": quartiles(2)},
    }
    tables = engine_tables(
        HOST
        | {"sentences": 1024, "rounds": 9, "one text": figures, "batches of 32": figures}
        | {"agreement": {"SentenceTransformer": 1.0}, "skipped": {"OpenVINO": "not installed"}}
    )
    assert "| bertram, onnx | 2.00 [1.50–2.50] | 5 [4.5–5.5] | 2.00 [1.50–2.50] | 5 [4.5–5.5] |  |" in tables
    assert "1,024 sentences, 9 rounds" in tables
    assert "- not measured: OpenVINO: not installed" in tables


def test_servers_are_shown_beside_that_of_pytorch() -> None:
    engine: dict[str, Any] = {
        "answered": 6000, "failed": 1, "per_second": 100.0, "p50_ms": 50.0, "p99_ms": 99.0,
        "processor_ms_per_request": 12.0, "resident_mib": 500.0, "largest_difference": 0.0,
        "ratios": {"per_second": quartiles(2), "p50_ms": quartiles(1), "p99_ms": quartiles(1)},
    }  # fmt: skip
    tables = serving_engine_tables(HOST | {"clients": 16, "turns": 5, "seconds": 10.0, "engines": {"onnx": engine}})
    assert "| `onnx` | 6,000 | 1 | 100.0 (2.00 [1.50–2.50]) | 50.0 (1.00 [0.50–1.50]) |" in tables
    assert tables.rstrip().endswith("| 12.0 | 500 | 0 |")


def test_price_of_int8_has_a_row_for_each_task_and_names_the_parts_in_fp32() -> None:
    difference = {
        "task": "sst",
        "n": 1101,
        "baseline_value": 0.51,
        "value": 0.515,
        "difference": 0.005,
        "ci95": [-0.003, 0.013],
        "verdict": {"decision": "undecided"},
    }
    tables = int8_tables({"differences": [difference], "fp32_parts": ["feed-forward down 1"]})
    assert "| sst | 1,101 | 0.5100 | 0.5150 | +0.0050 [-0.0030, +0.0130] | undecided |" in tables
    assert tables.endswith("Parts in fp32: feed-forward down 1.")
