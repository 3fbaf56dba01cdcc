"""A server for a run: start, connections, shutdown."""

import asyncio
import math
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from ipaddress import ip_address
from pathlib import Path

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from bertram.errors import BertramError
from bertram.model.linear import Precision
from bertram.prediction import abstention
from bertram.prediction.engines.load import engine_name, load
from bertram.prediction.engines.reading import Engine
from bertram.runs.directory import open_run
from bertram.serving.about import describe
from bertram.serving.app import create_app
from bertram.serving.hosts import allowed_hosts
from bertram.serving.messages import Limits, problem

DRAIN_SECONDS = 1.0  # time to answer requests that are already arriving on open connections
CONNECTIONS = 512  # open at once; one more closes the connection that has waited longest without a request


def serve(
    run: Path,
    host: str,
    port: int,
    limits: Limits,
    precision: Precision = "fp32",
    engine: Engine = "auto",
    hosts: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> None:
    """Serve a run until the process is told to stop; requests accepted by then are answered.

    Args:
        run: run directory.
        host: address to listen on.
        port: port to listen on; 0 for a free one.
        limits: limits on requests.
        precision: precision of the matrix multiplications of PyTorch.
        engine: software that computes, see `bertram.prediction.engines.load`.
        hosts: further names and addresses under which the server answers; ``*`` for all.
        say: called with the messages for the user.

    Raises:
        BertramError: the port cannot be used.
        RunError: the run is missing, unfinished or damaged.
    """
    with listen(host, port) as sock:  # before the slow loading of the model, so that a port in use is reported at once
        opened = open_run(run)
        model = load(opened, engine, precision, notify=say, calls="single")
        abstention.check(list(model.tasks.values()), limits.abstain_below)
        app = create_app(
            model, describe(opened, model.tasks, limits, engine_name(model)), limits, allowed_hosts(host, hosts)
        )
        say(f"{run}: {', '.join(model.tasks)} at {address(sock)} (Ctrl+C stops)")
        if not _is_loopback(sock):
            say("warning: no authentication; anyone who can reach this address can send requests")
        Server(app, limits).run(sockets=[sock])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        BertramError: the port is in use, or the address does not belong to this machine.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise BertramError(f"--host {host} --port {port}: invalid address: {error}") from None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(place)
        sock.listen()  # fails if another server has the port
    except OSError as error:
        sock.close()
        remedy = "; choose another --port, or 0 for a free one"
        raise BertramError(f"{host}:{port}: cannot listen: {error.strerror}{remedy}") from None
    return sock


def _is_loopback(sock: socket.socket) -> bool:
    return ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback


def address(sock: socket.socket) -> str:
    """URL of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Connection(H11Protocol):
    """An HTTP connection that is closed if the head of a request does not arrive in time.

    Faults of the protocol are answered as JSON, like all others.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0  # on the clock of the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first request."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._watch()
        if len(self.connections) > CONNECTIONS:
            close_idle([connection for connection in self.connections if isinstance(connection, Connection)])

    def data_received(self, data: bytes) -> None:
        """Handle received bytes."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer."""
        super().connection_lost(exc)
        self._forget()

    def on_response_complete(self) -> None:
        """Note since when the connection is idle."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: an upgrade that is not offered, WebSocket included, is ignored, as HTTP allows."""

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP, and close the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = problem(400, msg, {"Connection": "close"})
            headers = [(name, value) for name, value in response.raw_headers]
            head = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def idle(self) -> bool:
        """True while no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def client_host(self) -> str:
        """Address of the client."""
        return self.client[0] if self.client else ""

    @property
    def idle_since(self) -> float:
        """Begin of the wait for a request, on the clock of the event loop."""
        return self._idle_since

    def _watch(self) -> None:
        if not self.idle:  # a whole head has arrived
            self._forget()
        elif self._head_timer is None:
            seconds = self.config.app.state.limits.body_seconds  # type: ignore[union-attr]
            self._head_timer = self.loop.call_later(seconds, self._late)

    def _forget(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _late(self) -> None:
        self._head_timer = None
        if self.idle:
            self.transport.close()


def close_idle(connections: Collection[Connection]) -> None:
    """Close the connection that has waited longest for a request, of the client that has the most connections."""
    count = Counter(connection.client_host for connection in connections)
    idle = [connection for connection in connections if connection.idle and not connection.transport.is_closing()]
    if idle:
        longest = max(idle, key=lambda connection: (count[connection.client_host], -connection.idle_since))
        longest.transport.close()


class Server(uvicorn.Server):
    """A server that answers requests already being sent before it stops.

    Uvicorn closes idle connections at once, and a request that is just arriving on one of them would be lost. Here
    no new connection is taken, each answer tells its client that the connection ends, and only then is it closed.

    Args:
        app: application to serve.
        limits: limits on requests.
    """

    def __init__(self, app: FastAPI, limits: Limits) -> None:
        self.app = app
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=math.ceil(limits.seconds + limits.body_seconds),
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, answer the open ones, then stop."""
        for server in self.servers:
            server.close()
        self.app.state.stopping = True
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        self._captured_signals.clear()  # stopping in order is success, not death by a signal
