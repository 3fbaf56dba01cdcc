"""Metrics of a server in the text format of Prometheus (version 0.0.4)."""

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TEXTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """Counts of values at or below each bound.

    Args:
        bounds: upper bounds in ascending order.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str) -> Iterator[str]:
        """The lines of the histogram, with cumulative counts."""
        so_far = 0
        for bound, count in zip([*self.bounds, float("inf")], self.counts, strict=True):
            so_far += count
            yield f"{_line(f'{name}_bucket', {'le': '+Inf' if bound == float('inf') else f'{bound:g}'})} {so_far}"
        yield f"{name}_sum {self.total:.6f}"
        yield f"{name}_count {so_far}"


class Metrics:
    """Metrics of a server; the event loop and the computing thread write to different parts."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()  # by path and status
        self.seconds = Histogram(SECONDS)
        self.texts: Counter[str] = Counter()  # by task
        self.batch_texts = Histogram(TEXTS)
        self.batch_seconds = Histogram(SECONDS)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self.requests[path, status] += 1
        self.seconds.add(seconds)

    def batch(self, texts: int, seconds: float) -> None:
        """Count a computed batch."""
        self.batch_texts.add(texts)
        self.batch_seconds.add(seconds)

    def render(self, waiting: int, waiting_tokens: int) -> str:
        """All metrics as text.

        Args:
            waiting: number of texts in the queue.
            waiting_tokens: number of their tokens.
        """
        return "\n".join(self._lines(waiting, waiting_tokens)) + "\n"

    def _lines(self, waiting: int, waiting_tokens: int) -> Iterator[str]:
        yield from _head("bertram_requests_total", "counter", "Requests answered.")
        for (path, status), count in sorted(self.requests.items()):
            yield f"{_line('bertram_requests_total', {'path': path, 'status': str(status)})} {count}"
        yield from _head("bertram_request_seconds", "histogram", "Time from the head of a request to its answer.")
        yield from self.seconds.lines("bertram_request_seconds")
        yield from _head("bertram_texts_total", "counter", "Texts and pairs predicted.")
        for task, count in sorted(self.texts.items()):
            yield f"{_line('bertram_texts_total', {'task': task})} {count}"
        yield from _head("bertram_batch_texts", "histogram", "Texts and pairs computed together.")
        yield from self.batch_texts.lines("bertram_batch_texts")
        yield from _head("bertram_batch_seconds", "histogram", "Time to compute a batch.")
        yield from self.batch_seconds.lines("bertram_batch_seconds")
        yield from _head("bertram_waiting_texts", "gauge", "Texts and pairs in the queue.")
        yield f"bertram_waiting_texts {waiting}"
        yield from _head("bertram_waiting_tokens", "gauge", "Tokens in the queue.")
        yield f"bertram_waiting_tokens {waiting_tokens}"
        yield from _head("process_resident_memory_bytes", "gauge", "Resident memory.")
        yield f"process_resident_memory_bytes {resident_bytes()}"


def resident_bytes() -> int:
    """Resident memory of this process in bytes; 0 if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _line(name: str, labels: Mapping[str, str]) -> str:
    escaped = {
        key: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for key, value in labels.items()
    }
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"
