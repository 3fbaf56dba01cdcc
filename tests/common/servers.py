"""A server in a thread of this process, and raw bytes over its connections."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI

from bertram.serving.messages import Limits
from bertram.serving.server import Server, address, listen


@contextmanager
def running_server(app: FastAPI, limits: Limits) -> Iterator[str]:
    """Serve an app on a free port; yields its address, and stops it in order at the end."""
    sock = listen("127.0.0.1", 0)
    server = Server(app, limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    url = address(sock)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield url
    finally:
        server.should_exit = True
        thread.join(60)


def exchange_bytes(url: str, request: bytes, timeout: float = 30.0) -> bytes:
    """Send these bytes and return the answer, read until the server closes the connection."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        connection.sendall(request)
        answer = b""
        while block := connection.recv(1 << 16):
            answer += block
    return answer
