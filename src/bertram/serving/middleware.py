"""Middleware: admits each request, reads it within its limits of size and time, and counts it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from bertram.serving.hosts import Hosts
from bertram.serving.messages import BadRequestError, Limits, problem
from bertram.serving.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
DISCARDED = 16  # multiple of the limit that is read and discarded, so that the sender can read the answer
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
CLOSE = (b"connection", b"close")
ALWAYS = ("/health", "/metrics")  # paths that are answered under any load
CLIENT_GONE = 499  # the status code of nginx for a client that closed the connection


class Gate:
    """ASGI middleware.

    Args:
        app: wrapped application.
        limits: limits on number, size and time of requests.
        metrics: counters of requests, by the path of the route.
        hosts: hosts under which the server answers.
    """

    def __init__(self, app: App, limits: Limits, metrics: Metrics, hosts: Hosts) -> None:
        self.app, self.limits, self.metrics, self.hosts = app, limits, metrics, hosts
        self.in_progress: Counter[str] = Counter()  # requests by client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status: int | None = None  # of the answer, once it has begun
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope  # the server sends no body for HEAD
        refused = False  # here, so that the body may not have been read; the connection must then end

        async def tracked_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                closing = [CLOSE] if scope["app"].state.stopping or refused else []
                message["headers"] = [*message.get("headers", []), *HEADERS, *closing]
            await send(message)

        try:
            self._check_host(scope)
            with self._admitted(scope):
                body = await self._body(scope, receive)
                await self.app(inner, _replayed(body, receive), tracked_send)
        except BadRequestError as error:
            refused = True
            await error.response()(scope, receive, tracked_send)
        except ConnectionResetError:
            status = CLIENT_GONE
        except Exception:
            if status is None:
                await problem(500, "the server failed; its log says why")(scope, receive, tracked_send)
            raise  # to the server's log
        finally:
            route = inner.get("route")
            self.metrics.request(getattr(route, "path", "other"), status or 500, time.perf_counter() - start)

    def _check_host(self, scope: Scope) -> None:
        names = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(names) != 1 or not self.hosts.allow(names[0]):
            host = names[0][:100] if names else "missing"
            raise BadRequestError(421, f"host {host}: not allowed here; the server's --allowed-hosts names others")

    @contextmanager
    def _admitted(self, scope: Scope) -> Iterator[None]:
        """Count a request as in progress."""
        if scope["path"] in ALWAYS:
            yield
            return
        client = scope["client"][0] if scope.get("client") else ""
        if self.in_progress[client] >= self.limits.client_requests:
            raise BadRequestError(429, f"more than {self.limits.client_requests} requests of one client at once", 1)
        if self.in_progress.total() >= self.limits.requests:
            raise BadRequestError(503, f"more than {self.limits.requests} requests at once", 1)
        self.in_progress[client] += 1
        try:
            yield
        finally:
            self.in_progress[client] -= 1
            if not self.in_progress[client]:
                del self.in_progress[client]

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        limit = self.limits.body_bytes
        headers = dict(scope["headers"])
        too_large = BadRequestError(413, f"the body is larger than {limit} bytes")
        if headers.get(b"expect", b"").lower() == b"100-continue" and _declared(headers) > limit:
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                more_body = True
                while more_body:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionResetError
                    more_body = message.get("more_body", False)
                    size += len(message.get("body", b""))
                    if size > limit * DISCARDED:
                        raise too_large
                    if size <= limit:
                        parts.append(message.get("body", b""))
        except TimeoutError:
            raise BadRequestError(
                408, f"the request did not arrive completely within {self.limits.body_seconds:g} s"
            ) from None
        if size > limit:
            raise too_large
        return b"".join(parts)


def _declared(headers: dict[bytes, bytes]) -> int:
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body as one message, then what follows."""
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
