"""What every request passes first: its body is read whole, within a size and a time; and it is counted."""

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
DISCARDED = 16  # times the limit that is still read, and thrown away, so that the sender gets to read the answer
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
CLOSE = (b"connection", b"close")


class Gate:
    """ASGI middleware.

    Args:
        app: what is behind it.
        limits: of a body's size and time.
        metrics: where requests are counted, by the path of the route that answered.
    """

    def __init__(self, app: App, limits: Limits, metrics: Metrics) -> None:
        self.app, self.limits, self.metrics = app, limits, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                closing = [CLOSE] if scope["app"].state.stopping or status in (408, 413) else []
                message["headers"] = [*message.get("headers", []), *HEADERS, *closing]
            await send(message)

        try:
            body = await self._body(scope, receive)
            await self.app(scope, _replayed(body, receive), noted)
        except BadRequestError as error:
            await _refuse(error, noted)
        except ConnectionResetError:
            status = 499  # nobody is there to be answered; a number that nginx made usual
        finally:
            route = scope.get("route")
            self.metrics.request(getattr(route, "path", "other"), status, time.perf_counter() - begun)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        most = self.limits.body_bytes
        headers = dict(scope["headers"])
        too_large = BadRequestError(413, f"the body is larger than {most} bytes")
        if headers.get(b"expect", b"").lower() == b"100-continue" and _declared(headers) > most:
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionResetError
                    more = message.get("more_body", False)
                    size += len(message.get("body", b""))
                    if size > most * DISCARDED:
                        raise too_large
                    if size <= most:
                        parts.append(message.get("body", b""))
        except TimeoutError:
            raise BadRequestError(
                408, f"the request did not arrive whole within {self.limits.body_seconds:g} s"
            ) from None
        if size > most:
            raise too_large
        return b"".join(parts)


def _declared(headers: dict[bytes, bytes]) -> int:
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Give the body as one message, then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(error: BadRequestError, send: Send) -> None:
    body = json.dumps({"detail": error.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
