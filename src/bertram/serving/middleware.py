"""Middleware: reads each request within its limits of size and time, and counts it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bertram.serving.messages import BadRequestError, Limits
from bertram.serving.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
DISCARDED = 16  # multiple of the limit that is read and discarded, so that the sender can read the answer
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
CLOSE = (b"connection", b"close")


class Gate:
    """ASGI middleware.

    Args:
        app: wrapped application.
        limits: limits on size and time of a body.
        metrics: counters of requests, by the path of the route.
    """

    def __init__(self, app: App, limits: Limits, metrics: Metrics) -> None:
        self.app, self.limits, self.metrics = app, limits, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def tracked_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                closing = [CLOSE] if scope["app"].state.stopping or status in (408, 413) else []
                message["headers"] = [*message.get("headers", []), *HEADERS, *closing]
            await send(message)

        try:
            body = await self._body(scope, receive)
            await self.app(scope, _replayed(body, receive), tracked_send)
        except BadRequestError as error:
            await _refuse(error, tracked_send)
        except ConnectionResetError:
            status = 499  # the client is gone; the status code of nginx for that
        finally:
            route = scope.get("route")
            self.metrics.request(getattr(route, "path", "other"), status, time.perf_counter() - start)

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


async def _refuse(error: BadRequestError, send: Send) -> None:
    body = json.dumps({"detail": error.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
