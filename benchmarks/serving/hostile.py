"""Requests that a server must refuse, some sent slowly."""

import asyncio
import json
import random
from collections.abc import Sequence

from benchmarks.serving.clients import Tally, bodies, read_answer, request
from benchmarks.serving.server import Server

AT_ONCE = 100  # requests
SLOW_SHARE = 0.05  # of the requests
PATIENCE = 40  # seconds until an answer, more than the server takes
NO_ANSWER = 0  # status of a connection that ended without an answer, or that nobody waited for any longer


def hostile_bytes(generator: random.Random, path: str) -> bytes:
    """One hostile request."""
    junk = generator.randbytes(generator.randint(1, 400))
    values = [None, 1, -0.0, 1e999, True, [], {}, "", " ", "\0", "a" * 20_000, ["a"], [["a", "b"]], {"text": "a"}]
    field = generator.choice(["text", "texts", "pair", "pairs", "x", ""])
    bodies = [
        junk,
        b'{"text": "' + junk + b'"}',
        b"[" * generator.randint(1, 100_000),
        b'{"text":' * generator.randint(1, 20_000),
        json.dumps({field: generator.choice(values)}).encode(),
        json.dumps({field: [generator.choice(values) for _ in range(generator.randint(0, 300))]}).encode(),
        b'{"text": "\\ud800\\u0000"}',
        b"9" * generator.randint(1, 50_000),
        b"a" * generator.choice([1_100_000, 3_000_000]),
    ]
    body = generator.choice(bodies)
    whole = request(generator.choice([path, path, path, "/predict/%ff", "/nowhere", "/predict/"]), body)
    return generator.choice([whole, whole, whole, whole.replace(b"Length", b"Length: 5\r\nX"), whole[:-1], junk,
                             whole.replace(b"POST", b"BREW"), whole.replace(b"1.1", b"9.9")])  # fmt: skip


async def _send(server: Server, sent: bytes, tally: Tally, *, slowly: bool) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        for piece in [sent[i : i + 7] for i in range(0, min(len(sent), 70), 7)] if slowly else [sent]:
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), 30)
            await asyncio.sleep(0.05 if slowly else 0)
        status, _ = await asyncio.wait_for(read_answer(reader), PATIENCE)
        tally.statuses[status] += 1
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        tally.statuses[NO_ANSWER] += 1
    finally:
        writer.close()


def send_hostile(
    server: Server, tasks: Sequence[str], count: int, generator: random.Random, tally: Tally, friendly: float = 0.0
) -> None:
    """Send hostile requests, some at once; `friendly` is the share of requests that are answered instead."""

    async def send_all() -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def send(sent: bytes, *, slowly: bool) -> None:
            try:
                await _send(server, sent, tally, slowly=slowly)
            finally:
                room.release()

        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                await room.acquire()
                task = generator.choice(tasks)
                if generator.random() < friendly:
                    group.create_task(send(request(f"/predict/{task}", bodies(generator)[task]), slowly=False))
                else:
                    sent = hostile_bytes(generator, f"/predict/{task}")
                    group.create_task(send(sent, slowly=generator.random() < SLOW_SHARE))

    asyncio.run(send_all())
