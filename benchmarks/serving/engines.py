"""A server on each engine under the same load, in turns: requests per second, waiting times, and the answers.

    python -m benchmarks.serving.engines RUN     16 clients, 5 turns of 10 s for each engine; writes the record
    python -m tools.pages                        puts it into docs/serving.md

The servers of all engines run at the same time, and one of them is loaded while the others wait. RUN has the tasks of
the study.
"""

import argparse
import http.client
import json
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import machine
from benchmarks.common.records import ROOT, now, versions, write
from benchmarks.common.timing import ratio
from benchmarks.serving.clients import bodies
from benchmarks.serving.load import Settings, summarize
from benchmarks.serving.server import Server, serving
from bertram.prediction.engines.load import load
from bertram.prediction.engines.reading import Engine
from bertram.serving.messages import answer
from tools.serving_engine_tables import serving_engine_tables

ENGINES: tuple[Engine, ...] = ("torch", "onnx", "onnx-int8")
PACKAGES = ("bertram", "torch", "onnxruntime", "fastapi", "uvicorn")
RECORD = ROOT / "results" / "serving" / "engines.json"
CHECKED = 20  # requests of each task whose answers are compared with those of `predict`
WARM_UP = 2.0  # seconds


def measure(settings: Settings) -> dict[str, Any]:
    """Load the servers of all engines in turns, and compare their answers with those of `predict`."""
    with ExitStack() as stack:
        servers = {engine: stack.enter_context(serving(settings.run, "--engine", engine)) for engine in ENGINES}
        differences = {engine: largest_difference(settings, engine, server) for engine, server in servers.items()}
        for server in servers.values():
            settings.load(server, min(WARM_UP, settings.seconds))
        turns: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
        for turn in range(settings.turns):
            first = turn % len(ENGINES)
            for engine in ENGINES[first:] + ENGINES[:first]:
                turns[engine].append(loaded(settings, servers[engine]))
                print(f"turn {turn + 1}, {engine}: {turns[engine][-1]}", flush=True)
    return {engine: figures(turns, engine) | {"largest_difference": differences[engine]} for engine in ENGINES}


def loaded(settings: Settings, server: Server) -> dict[str, Any]:
    """Figures of one turn of a server."""
    begin, used = time.perf_counter(), server.processor_seconds()
    summary = summarize(settings.load(server, settings.seconds), time.perf_counter() - begin)
    used = server.processor_seconds() - used
    return summary | {
        "processor_ms_per_request": round(1000 * used / max(1, summary["answered"]), 2),
        "resident_mib": round(server.resident_mib()),
    }


def figures(turns: Mapping[str, Sequence[Mapping[str, Any]]], engine: str) -> dict[str, Any]:
    """Medians over the turns of an engine, and its ratios to PyTorch turn by turn."""

    def values(name: str, of: str = engine) -> list[float]:
        return [turn[name] for turn in turns[of]]

    return {
        "answered": sum(turn["answered"] for turn in turns[engine]),
        "failed": sum(turn["failed"] for turn in turns[engine]),
        **{name: round(median(values(name)), 1) for name in (
            "per_second", "p50_ms", "p99_ms", "processor_ms_per_request", "resident_mib"
        )},
        "ratios": {name: ratio(values(name), values(name, "torch")) for name in ("per_second", "p50_ms", "p99_ms")},
    }  # fmt: skip


def largest_difference(settings: Settings, engine: Engine, server: Server) -> float:
    """The largest difference between a number in the server's answers to concurrent requests and `predict`'s."""
    model = load(settings.run, engine)
    generator = random.Random(0)
    requests = [(task, bodies(generator)[task]) for _ in range(CHECKED) for task in settings.tasks]

    def expected(task: str, body: bytes) -> Any:
        content = json.loads(body)
        text = content["text"] if "text" in content else tuple(content["pair"])
        return answer(model.tasks[task], model.predict(task, [text]))["predictions"][0]

    def served(request: tuple[str, bytes]) -> Any:
        connection = http.client.HTTPConnection(server.host, server.port)
        connection.request("POST", f"/predict/{request[0]}", request[1], {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = json.loads(response.read())
        connection.close()
        if response.status != HTTPStatus.OK:
            raise RuntimeError(f"{engine}: {response.status}: {content['detail']}")
        return content["predictions"][0]

    with ThreadPoolExecutor(settings.clients) as clients:
        answers = list(clients.map(served, requests))
    return max(_difference(one, expected(*request)) for one, request in zip(answers, requests, strict=True))


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Largest difference of a probability, or of a score where there are none."""
    mine, theirs = (part.get("probabilities") or {"": part["value"]} for part in (one, other))
    return float(max(abs(mine[label] - theirs[label]) for label in theirs))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="directory of the run to serve")
    parser.add_argument("--clients", type=int, default=16, help="number of connections")
    parser.add_argument("--seconds", type=float, default=10.0, help="time of each turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each engine")
    parser.add_argument("--out", type=Path, default=RECORD, help="file of the record")
    chosen = parser.parse_args(arguments)
    settings = Settings(chosen.run, clients=chosen.clients, seconds=chosen.seconds, turns=chosen.turns)
    record = {
        "host": machine.host(),
        "versions": versions(PACKAGES),
        "run": settings.run.resolve().name,
        "clients": settings.clients,
        "seconds": settings.seconds,
        "turns": settings.turns,
        "engines": measure(settings),
        "finished": now(),
    }
    print(serving_engine_tables(record))
    write(chosen.out, record)


if __name__ == "__main__":
    main()
