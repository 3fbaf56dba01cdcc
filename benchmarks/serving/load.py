"""A server under load: throughput with and without batching, hostile requests, and stopping.

Every server is a process of its own on the loopback address, and so is the load: so many connections, each of which
sends its next request when it has the answer to the last one.

    python -m benchmarks.serving RUN                60 s, 16 clients, all four parts; writes the record
    python -m benchmarks.serving RUN --seconds 5 --parts load --out trial.json
    python -m benchmarks.serving RUN --parts mixed,largest --out trial.json     memory after 20,000 mixed requests,
                                                    and small requests beside the largest one
    python -m tools.pages                           puts the record into docs/serving.md
"""

import argparse
import json
import random
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import hypothesis
import schemathesis
from schemathesis import GenerationMode

from benchmarks.common import machine
from benchmarks.common.records import ROOT, now, versions, write
from benchmarks.serving.clients import Tally, load_with, request
from benchmarks.serving.hostile import send_hostile
from benchmarks.serving.server import Server, serving

PACKAGES = ("bertram", "torch", "fastapi", "uvicorn", "schemathesis")
RECORD = ROOT / "results" / "serving" / "record.json"
BATCH_SIZES = {"batching": "64", "alone": "1"}


@dataclass(frozen=True)
class Settings:
    """The server, and how much it is loaded.

    Attributes:
        run: directory of the run to serve.
        tasks: tasks to ask for; ``sst`` reads one text, ``quora`` and ``sts`` read two.
        clients: number of connections.
        seconds: time of each load.
        turns: number of loads with batching and without, in turns.
        hostile: number of hostile requests.
        stops: number of servers told to stop under load.
        mixed: number of requests, three quarters of them friendly, after which the memory is read.
        seconds_to_stop: time from the begin of the load until a server is told to stop.
    """

    run: Path
    tasks: tuple[str, ...] = ("sst", "quora", "sts")
    clients: int = 16
    seconds: float = 60.0
    turns: int = 1
    hostile: int = 2000
    stops: int = 5
    mixed: int = 20_000
    seconds_to_stop: float = 2.0

    def load(self, server: Server, seconds: float, terminate_after: float | None = None) -> Tally:
        """Load a server with all clients."""
        return load_with(server, self.tasks, self.clients, seconds, terminate_after)


def load(settings: Settings) -> dict[str, Any]:
    """Throughput and latency, batching on and off, in turns so that a change of the machine meets both."""
    figures: dict[str, Any] = {name: [] for name in BATCH_SIZES}
    for turn in range(settings.turns):
        for name, size in BATCH_SIZES.items():
            with serving(settings.run, "--batch-size", size) as server:
                settings.load(server, min(3.0, settings.seconds))  # warm up
                begin, used = time.perf_counter(), server.processor_seconds()
                tally = settings.load(server, settings.seconds)
                summary = summarize(tally, time.perf_counter() - begin)
                used = server.processor_seconds() - used
                summary["processor_ms_per_request"] = round(1000 * used / max(1, summary["answered"]), 2)
                summary["resident_mib"] = round(server.resident_mib())
            figures[name].append(summary)
            print(f"turn {turn + 1}, {name}: {summary}")
    batching, alone = (max(summary["per_second"] for summary in figures[name]) for name in BATCH_SIZES)
    return figures | {"ratio": round(batching / alone, 2)}


def summarize(tally: Tally, seconds: float) -> dict[str, Any]:
    """Requests answered and failed, requests per second, and waiting times."""
    cuts = quantiles(tally.seconds, n=100)
    answered = tally.statuses[200]
    return {
        "answered": answered,
        "failed": sum(tally.statuses.values()) - answered + len(tally.lost),
        "per_second": round(answered / seconds, 1),
        "p50_ms": round(1000 * cuts[49], 1),
        "p99_ms": round(1000 * cuts[98], 1),
    }


def hostile(settings: Settings) -> dict[str, Any]:
    """Hostile requests, some sent slowly; afterwards the server must answer as before."""
    generator, tally = random.Random(0), Tally()
    quarter = settings.hostile // 4
    with serving(settings.run) as server:
        send_hostile(server, settings.tasks, quarter, generator, tally)
        before = server.resident_mib()
        send_hostile(server, settings.tasks, settings.hostile - quarter, generator, tally)
        after = server.resident_mib()
        friendly = load_with(server, settings.tasks, clients=4, seconds=min(2.0, settings.seconds))
        alive = server.runs()
    return {
        "sent": settings.hostile,
        "statuses": _by_status(tally.statuses),
        "status_500": tally.statuses[500],
        "alive": alive and friendly.statuses[200] > 0 and not friendly.lost,
        "resident_mib": {"after a quarter": round(before), "after all": round(after)},
    }


def _by_status(statuses: Counter[int]) -> dict[str, int]:
    return {str(status): count for status, count in sorted(statuses.items())}


def schema(settings: Settings) -> dict[str, Any]:
    """Requests made from the server's own description, valid and invalid."""
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    examples = settings.hostile // (2 * len(settings.tasks))
    with serving(settings.run, "--max-characters", "200", "--max-texts", "8") as server:
        api = schemathesis.openapi.from_url(f"http://{server.host}:{server.port}/openapi.json")
        for task in settings.tasks:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                cases = api[f"/predict/{task}"]["POST"].as_strategy(generation_mode=mode)
                faults += _faults(cases, examples, statuses)
        alive = server.runs()
    return {"statuses": _by_status(statuses), "faults": faults, "alive": alive}


def _faults(cases: Any, examples: int, statuses: Counter[int]) -> list[str]:
    """The first answer that the description does not allow, if there is one; counts the statuses."""

    @hypothesis.given(case=cases)
    @hypothesis.settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    def check(case: Any) -> None:
        response = case.call()
        statuses[response.status_code] += 1
        case.validate_response(response)

    try:
        check()
    except Exception as error:
        return [str(error)[:500]]
    return []


def stop(settings: Settings) -> dict[str, Any]:
    """`kill -TERM` under load: the number of requests that were sent and not answered."""
    answered, lost, exit_codes = 0, [], []
    for _ in range(settings.stops):
        with serving(settings.run) as server:
            tally = settings.load(server, 60.0, settings.seconds_to_stop)
            exit_codes.append(server.process.wait(60))
        answered += tally.statuses[200]
        lost += tally.lost + [f"status {status}" for status in tally.statuses.elements() if status != 200]
    return {
        "stops": settings.stops, "answered": answered, "lost": len(lost), "how": lost[:5], "exit_codes": exit_codes,
    }  # fmt: skip


def mixed(settings: Settings) -> dict[str, Any]:
    """Friendly and hostile requests: resident memory after each quarter of them."""
    generator, tally, memory = random.Random(0), Tally(), []
    with serving(settings.run) as server:
        for _ in range(4):
            send_hostile(server, settings.tasks, settings.mixed // 4, generator, tally, friendly=0.75)
            memory.append(round(server.resident_mib()))
        alive = server.runs()
    return {
        "sent": settings.mixed // 4 * 4, "statuses": _by_status(tally.statuses), "alive": alive, "resident_mib": memory,
    }  # fmt: skip


def largest(settings: Settings) -> dict[str, Any]:
    """Latency of small requests while one client sends the largest request again and again.

    The status 0 counts connections that the server closed without an answer.
    """
    texts = ["film " * 780] * 256
    sent = request(f"/predict/{settings.tasks[0]}", json.dumps({"texts": texts}).encode())
    statuses: Counter[int] = Counter()
    ended = threading.Event()

    def send_largest(server: Server) -> None:
        while not ended.is_set():
            with socket.create_connection((server.host, server.port)) as connection:
                connection.sendall(sent)
                while not ended.is_set():
                    if select.select([connection], [], [], 0.1)[0]:
                        answer = connection.recv(1024)
                        statuses[int(answer.split(b" ")[1]) if answer else 0] += 1
                        break

    with serving(settings.run) as server:
        sender = threading.Thread(target=send_largest, args=(server,))
        sender.start()
        begin = time.perf_counter()
        tally = settings.load(server, settings.seconds)
        summary = summarize(tally, time.perf_counter() - begin)
        ended.set()
        sender.join()
    return {"small": summary, "largest": _by_status(statuses)}


PARTS: Mapping[str, Callable[[Settings], dict[str, Any]]] = {
    "load": load, "hostile": hostile, "schema": schema, "stop": stop, "mixed": mixed, "largest": largest,
}  # fmt: skip


def run(settings: Settings, parts: Sequence[str] = tuple(PARTS)) -> dict[str, Any]:
    """Measure some parts; gives the record."""
    record: dict[str, Any] = {
        "host": machine.host(),
        "versions": versions(PACKAGES),
        "run": settings.run.resolve().name,
        "clients": settings.clients,
        "seconds": settings.seconds,
    }
    for part in parts:
        record[part] = PARTS[part](settings)
        print(f"{part}: {json.dumps(record[part], indent=2)}")
    return record | {"finished": now()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the record."""
    default = Settings(Path())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="directory of the run to serve")
    parser.add_argument("--parts", default=",".join(PARTS), help="parts to measure, separated by commas")
    parser.add_argument("--clients", type=int, default=default.clients, help="number of connections")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="time of each load")
    parser.add_argument("--turns", type=int, default=default.turns, help="loads with batching and without, in turns")
    parser.add_argument("--hostile", type=int, default=default.hostile, help="number of hostile requests")
    parser.add_argument("--stops", type=int, default=default.stops, help="servers told to stop under load")
    parser.add_argument("--mixed", type=int, default=default.mixed, help="number of mixed requests")
    parser.add_argument("--tasks", default=",".join(default.tasks), help="tasks of the run, separated by commas")
    parser.add_argument("--out", type=Path, default=RECORD, help="file of the record")
    chosen = parser.parse_args(arguments)
    parts = chosen.parts.split(",")
    if chosen.out == RECORD and set(parts) != set(PARTS):
        parser.error("the record has all parts; write those of some parts elsewhere with --out")
    tasks = tuple(chosen.tasks.split(","))
    settings = Settings(
        chosen.run, tasks, chosen.clients, chosen.seconds, chosen.turns, chosen.hostile, chosen.stops,
        chosen.mixed,
    )  # fmt: skip
    write(chosen.out, run(settings, parts))


if __name__ == "__main__":
    main()
