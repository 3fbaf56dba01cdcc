"""The tables of a server under load show the figures of its record."""

from typing import Any

import pytest

from tools.serving_tables import serving_tables


@pytest.fixture
def record() -> dict[str, Any]:
    turn = {"answered": 6000, "failed": 0, "per_second": 100.0, "p50_ms": 50.0, "p99_ms": 99.0,
           "processor_ms_per_request": 12.0, "resident_mib": 500}  # fmt: skip
    return {
        "finished": "2026-01-02T03:04:05+00:00",
        "host": {"processor": "P", "instructions": "I", "threads": 2},
        "versions": {"torch": "2"},
        "clients": 16,
        "seconds": 60.0,
        "load": {"batching": [turn], "alone": [turn | {"failed": 7, "per_second": 40.0}], "ratio": 2.5},
        "hostile": {"sent": 10, "statuses": {"0": 3, "422": 6, "500": 1}, "status_500": 1, "alive": True,
                    "resident_mib": {"after a quarter": 500, "after all": 501}},
        "schema": {"statuses": {"200": 5}, "faults": ["a fault"], "alive": False},
        "stop": {"stops": 2, "answered": 99, "lost": 4, "how": [], "exit_codes": [0, 1]},
        "largest": {"small": turn | {"failed": 3, "p99_ms": 912.3}, "largest": {"503": 1, "504": 2}},
        "mixed": {"sent": 40, "statuses": {"200": 30, "404": 10}, "alive": True, "resident_mib": [400, 401, 1402, 403]},
    }  # fmt: skip


def test_failures_are_shown_as_they_are(record: dict[str, Any]) -> None:
    tables = serving_tables(record)
    assert "| alone (`--batch-size 1`) | 6,000 | 7 | 40.0 |" in tables
    assert "best turn together over best turn alone: 2.50." in tables
    assert "| by hand | 10 | 0: 3, 422: 6, 500: 1 | 1 | runs on |" in tables
    assert "| from the interface | 5 | 200: 5 | 0 | **has ended** |" in tables
    assert "with 1 answers that it does not describe" in tables
    assert "99 requests answered, 4 lost; exit codes 0, 1." in tables
    assert "6,000 small requests were answered and 3 failed: p50 50 ms, p99 912 ms." in tables
    assert "by status: 503: 1, 504: 2." in tables
    assert "40 mixed requests, a quarter of them hostile: 400, 401, 1,402, 403 MiB." in tables
    assert "By status: 200: 30, 404: 10." in tables
