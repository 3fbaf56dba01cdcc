"""A server under load: throughput with and without batching, hostile requests, and stopping.

Every server is a process of its own on the loopback address, and so is the load: so many connections, each of which
sends its next request when it has the answer to the last one.

    python -m benchmarks.serving RUN                     60 s, 16 clients, all four parts; writes the record
    python -m benchmarks.serving RUN --seconds 5 --parts load --out /tmp/trial.json
    python -m tools.pages                                   puts the record into docs/serving.md
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import hypothesis
import schemathesis
from schemathesis import GenerationMode

from benchmarks.common import timing
from benchmarks.common.records import ROOT, now, versions, write

TEXT = """the a of and to in it is was film plot this but with an on for that as not from actors story about light good
bad slow funny clever dull warm long short scene music ending people how do i learn play piano best way"""
PARTS = ("load", "hostile", "schema", "stop")
PACKAGES = ("bertram", "torch", "fastapi", "uvicorn", "schemathesis")
RECORD = ROOT / "results" / "serving" / "record.json"


@dataclass
class Tally:
    """What the clients saw."""

    seconds: list[float] = field(default_factory=list)  # of each answered request
    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)  # sent and not answered


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    host: str
    port: int


@contextmanager
def serving(run: Path, *options: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "bertram", "serve", str(run), "--port", "0", *options]
    with (
        tempfile.TemporaryFile("w+") as errors,  # not a pipe: one that nobody reads would stop the server when full
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        address = next((word for word in line.split() if word.startswith("http://")), None)
        if address is None:
            process.wait(60)
            errors.seek(0)
            raise SystemExit(f"the server did not start: {errors.read()}")
        host, _, port = address.removeprefix("http://").partition(":")
        try:
            yield Server(process, host, int(port))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)


def texts(generator: random.Random) -> dict[str, bytes]:
    """A request for each task of the study, with texts about as long as its corpus has them: 19, 11 and 11 words."""

    def text(least: int, most: int) -> str:
        return " ".join(generator.choices(TEXT.split(), k=generator.randint(least, most)))

    return {
        "sst": json.dumps({"text": text(8, 30)}).encode(),
        "quora": json.dumps({"pair": [text(5, 17), text(5, 17)]}).encode(),
        "sts": json.dumps({"pair": [text(5, 17), text(5, 17)]}).encode(),
    }


def request(path: str, body: bytes) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status of an answer, and whether the connection ends with it; the rest is read and thrown away."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    await reader.readexactly(int(fields.get(b"content-length", b"0")))
    return int(head.split(b" ", 2)[1]), fields.get(b"connection") == b"close"


async def client(server: Server, names: list[str], seed: int, until: float, tally: Tally) -> None:
    """Ask until it is time, or until the server takes no more connections."""
    generator = random.Random(seed)
    while time.perf_counter() < until:
        try:
            reader, writer = await asyncio.open_connection(server.host, server.port)
        except ConnectionRefusedError:
            return
        closing = False
        while not closing and time.perf_counter() < until:
            name = generator.choice(names)
            sent = request(f"/predict/{name}", texts(generator)[name])
            begun = time.perf_counter()
            try:
                writer.write(sent)
                status, closing = await answer(reader)
            except (OSError, asyncio.IncompleteReadError) as error:
                tally.lost.append(repr(error))
                break
            tally.seconds.append(time.perf_counter() - begun)
            tally.statuses[status] += 1
        writer.close()


def ask_all(server: Server, names: list[str], clients: int, seconds: float, terminate_after: float = 0.0) -> Tally:
    tally = Tally()

    async def everybody() -> None:
        until = time.perf_counter() + seconds
        asking = [asyncio.create_task(client(server, names, seed, until, tally)) for seed in range(clients)]
        if terminate_after:
            await asyncio.sleep(terminate_after)
            server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*asking)

    asyncio.run(everybody())
    return tally


def resident_mib(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def processor_seconds(server: Server) -> float:
    """Time of all its threads, in user and system mode."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(run: Path, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Throughput and latency, batching on and off, in turns so that a change of the machine meets both."""
    found: dict[str, Any] = {}
    for turn in range(options.turns):
        for name, size in (("batching", "64"), ("alone", "1")):
            with serving(run, "--batch-size", size) as server:
                ask_all(server, names, options.clients, min(3.0, options.seconds))  # warm up
                begun, used = time.perf_counter(), processor_seconds(server)
                tally = ask_all(server, names, options.clients, options.seconds)
                figures = summary(tally, time.perf_counter() - begun)
                used = processor_seconds(server) - used
                figures["processor_ms_per_request"] = round(1000 * used / max(1, figures["answered"]), 2)
                found.setdefault(name, []).append(figures | {"resident_mib": round(resident_mib(server))})
            print(f"turn {turn + 1}, {name}: {found[name][-1]}")
    best = [max(one["per_second"] for one in found[name]) for name in ("batching", "alone")]
    return found | {"ratio": round(best[0] / best[1], 2)}


def summary(tally: Tally, took: float) -> dict[str, Any]:
    cuts = quantiles(tally.seconds, n=100)
    good = tally.statuses[200]
    return {
        "answered": good,
        "failed": sum(tally.statuses.values()) - good + len(tally.lost),
        "per_second": round(good / took, 1),
        "p50_ms": round(1000 * cuts[49], 1),
        "p99_ms": round(1000 * cuts[98], 1),
    }


def hostile_bytes(generator: random.Random, path: str) -> bytes:
    """One request that should not be there."""
    junk = generator.randbytes(generator.randint(1, 400))
    values = [None, 1, -0.0, 1e999, True, [], {}, "", " ", "\0", "a" * 20_000, ["a"], [["a", "b"]], {"text": "a"}]
    field_name = generator.choice(["text", "texts", "pair", "pairs", "x", ""])
    bodies = [
        junk,
        b'{"text": "' + junk + b'"}',
        b"[" * generator.randint(1, 100_000),
        b'{"text":' * generator.randint(1, 20_000),
        json.dumps({field_name: generator.choice(values)}).encode(),
        json.dumps({field_name: [generator.choice(values) for _ in range(generator.randint(0, 300))]}).encode(),
        b'{"text": "\\ud800\\u0000"}',
        b"9" * generator.randint(1, 50_000),
        b"a" * generator.choice([1_100_000, 3_000_000]),
    ]
    body = generator.choice(bodies)
    whole = request(generator.choice([path, path, path, "/predict/%ff", "/nowhere", "/predict/"]), body)
    return generator.choice([whole, whole, whole, whole.replace(b"Length", b"Length: 5\r\nX"), whole[:-1], junk,
                             whole.replace(b"POST", b"BREW"), whole.replace(b"1.1", b"9.9")])  # fmt: skip


async def throw(server: Server, sent: bytes, tally: Tally, *, slowly: bool) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        for piece in [sent[i : i + 7] for i in range(0, min(len(sent), 70), 7)] if slowly else [sent]:
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), 30)
            await asyncio.sleep(0.05 if slowly else 0)
        status, _ = await asyncio.wait_for(answer(reader), 15)
        tally.statuses[status] += 1
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        tally.statuses[0] += 1  # no answer: dropped, or rightly waited for
    finally:
        writer.close()


def hostile(run: Path, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Requests that should not be there, some sent slowly; afterwards the server must answer as before."""
    generator = random.Random(0)
    tally = Tally()
    with serving(run) as server:

        async def everything(count: int) -> None:
            for _ in range(0, count, 100):
                path = f"/predict/{generator.choice(names)}"
                await asyncio.gather(
                    *(
                        throw(server, hostile_bytes(generator, path), tally, slowly=generator.random() < 0.05)
                        for _ in range(100)
                    )
                )

        asyncio.run(everything(options.hostile // 4))
        before = resident_mib(server)
        asyncio.run(everything(options.hostile - options.hostile // 4))
        after = resident_mib(server)
        well = ask_all(server, names, 4, 2.0)
        alive = server.process.poll() is None
    return {
        "sent": options.hostile,
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "status_500": tally.statuses[500],
        "alive": alive and well.statuses[200] > 0 and not well.lost,
        "resident_mib": {"after a quarter": round(before), "after all": round(after)},
    }


def schema(run: Path, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Requests made from the server's own description, fitting and not fitting it."""
    asked: Counter[int] = Counter()
    faults: list[str] = []
    with serving(run, "--max-characters", "200", "--max-texts", "8") as server:
        api = schemathesis.openapi.from_url(f"http://{server.host}:{server.port}/openapi.json")
        for name in names:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @hypothesis.given(case=api[f"/predict/{name}"]["POST"].as_strategy(generation_mode=mode))
                @hypothesis.settings(max_examples=options.hostile // (2 * len(names)), deadline=None, database=None,
                                     suppress_health_check=list(hypothesis.HealthCheck))  # fmt: skip
                def ask(case: Any) -> None:
                    answered = case.call()
                    asked[answered.status_code] += 1
                    case.validate_response(answered)

                try:
                    ask()
                except Exception as error:
                    faults.append(str(error)[:500])
        alive = server.process.poll() is None
    return {"statuses": {str(s): n for s, n in sorted(asked.items())}, "faults": faults, "alive": alive}


def stop(run: Path, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """`kill -TERM` under load, several times: how many requests were sent and not answered?"""
    answered, lost, codes = 0, [], []
    for _ in range(options.stops):
        with serving(run) as server:
            tally = ask_all(server, names, options.clients, 60.0, terminate_after=2.0)
            codes.append(server.process.wait(60))
        answered += tally.statuses[200]
        lost += tally.lost + [f"status {status}" for status in tally.statuses.elements() if status != 200]
    return {"stops": options.stops, "answered": answered, "lost": len(lost), "how": lost[:5], "exit_codes": codes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--hostile", type=int, default=2000)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--tasks", default="sst,quora,sts", help="of the run; sst reads one text, the others two")
    parser.add_argument("--out", type=Path, default=RECORD, help="a JSON file for the figures")
    options = parser.parse_args()
    names, parts = options.tasks.split(","), options.parts.split(",")
    if options.out == RECORD and set(parts) != set(PARTS):
        parser.error("the record has all parts; give the figures of some another --out")
    found: dict[str, Any] = {
        "host": timing.host(),
        "versions": versions(PACKAGES),
        "run": options.run.resolve().name,
        "clients": options.clients,
        "seconds": options.seconds,
    }
    for part in parts:
        found[part] = {"load": load, "hostile": hostile, "schema": schema, "stop": stop}[part](
            options.run, names, options
        )
        print(f"{part}: {json.dumps(found[part], indent=2)}")
    found["finished"] = now()
    write(options.out, found)


if __name__ == "__main__":
    main()
