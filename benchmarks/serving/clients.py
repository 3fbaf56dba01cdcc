"""Clients of a server: each connection sends its next request when it has the answer to the last one."""

import asyncio
import itertools
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.serving.server import Server

TEXT = (
    "the a of and to in it is was film plot this but with an on for that as not from actors story about light "
    "good bad slow funny clever dull warm long short scene music ending people how do i learn play piano best way"
)
LEAST_REQUESTS = 2  # of each client, however slow the server is


@dataclass
class Tally:
    """What clients have counted.

    Attributes:
        seconds: time of each request with the status 200; refusals are faster.
        statuses: number of answers with each status.
        lost: reasons of the requests that were sent and not answered.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)


def bodies(generator: random.Random) -> dict[str, bytes]:
    """A request body for each task of the study, with texts of the lengths of its corpus: 19, 11 and 11 words."""

    def text(least: int, most: int) -> str:
        return " ".join(generator.choices(TEXT.split(), k=generator.randint(least, most)))

    return {
        "sst": json.dumps({"text": text(8, 30)}).encode(),
        "quora": json.dumps({"pair": [text(5, 17), text(5, 17)]}).encode(),
        "sts": json.dumps({"pair": [text(5, 17), text(5, 17)]}).encode(),
    }


def request(path: str, body: bytes) -> bytes:
    """The bytes of a request."""
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (path.encode(), len(body)) + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status of an answer, and whether the connection ends with it; the rest is dropped."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    await reader.readexactly(int(fields.get(b"content-length", b"0")))
    return int(head.split(b" ", 2)[1]), fields.get(b"connection") == b"close"


async def _client(server: Server, tasks: Sequence[str], seed: int, until: float, tally: Tally) -> None:
    """Send requests until a time, or until the server takes no more connections."""
    generator, numbers = random.Random(seed), itertools.count()
    number = next(numbers)
    while number < LEAST_REQUESTS or time.perf_counter() < until:
        try:
            reader, writer = await asyncio.open_connection(server.host, server.port)
        except ConnectionRefusedError:
            return
        closing = False
        while not closing and (number < LEAST_REQUESTS or time.perf_counter() < until):
            task = generator.choice(tasks)
            begin = time.perf_counter()
            try:
                writer.write(request(f"/predict/{task}", bodies(generator)[task]))
                status, closing = await read_answer(reader)
            except (OSError, asyncio.IncompleteReadError) as error:
                tally.lost.append(repr(error))
                break
            tally.statuses[status] += 1
            if status == 200:
                tally.seconds.append(time.perf_counter() - begin)
            number = next(numbers)
        writer.close()


def load_with(
    server: Server, tasks: Sequence[str], clients: int, seconds: float, terminate_after: float | None = None
) -> Tally:
    """Let some clients send requests for some seconds.

    Args:
        server: server to load.
        tasks: tasks to draw from.
        clients: number of connections.
        seconds: time until they stop.
        terminate_after: seconds until the server is told to stop; None: it is not.
    """
    tally = Tally()

    async def send_all() -> None:
        until = time.perf_counter() + seconds
        running = [asyncio.create_task(_client(server, tasks, seed, until, tally)) for seed in range(clients)]
        if terminate_after is not None:
            await asyncio.sleep(terminate_after)
            server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*running)

    asyncio.run(send_all())
    return tally
