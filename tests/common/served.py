"""Models with random weights and runs made of them, for tests of what is done with a finished run."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bertram.data.tokenizer import load_tokenizer
from bertram.model.multitask import Multitask
from bertram.model.pretrained import read_encoder
from bertram.prediction.model import Model
from bertram.tasks import QUORA, SST, STS, Task

TEXTS = ["A fine film.", "no", "It was filmed in Lisbon in the autumn of last year, and nobody has seen it since then."]
PAIRS = [(TEXTS[0], TEXTS[2]), (TEXTS[1], TEXTS[1]), (TEXTS[2], TEXTS[1])]


def tasks(**pair: Any) -> dict[str, Task]:
    """The tasks of the study, with the same changes to both pair tasks."""
    return {task.name: changed(task, **(pair if task.pair else {})) for task in (SST, QUORA, STS)}


def changed(task: Task, **changes: Any) -> Task:
    return Task.model_validate(task.model_dump() | changes)


def random_model(
    encoder: Path, its: Mapping[str, Task], pooling: str = "mean", *, both_orders: bool = False, max_tokens: int = 64
) -> Model:
    """An untrained model whose outputs differ visibly between texts."""
    network = Multitask(read_encoder(encoder), its, pooling)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith(("heads", "encoder.layers", "encoder.pooler")) and parameter.ndim == 2:
                parameter.normal_(0.0, 0.2, generator=generator)
    return Model(network.eval(), load_tokenizer(encoder), max_tokens, both_orders=both_orders)


def inputs(task: Task) -> list[Any]:
    return list(PAIRS if task.pair else TEXTS)


@contextmanager
def listening(app: Any, limits: Any) -> Iterator[str]:
    """A server in a thread of its own; gives its address, and stops it in order."""
    from bertram.serving.server import Server, address, listen

    sock = listen("127.0.0.1", 0)
    server = Server(app, limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    where = address(sock)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield where
    finally:
        server.should_exit = True
        thread.join(60)


def raw(address: str, sent: bytes, patience: float = 30.0) -> bytes:
    """Everything a server answers to these bytes until it closes the connection."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=patience) as connection:
        connection.sendall(sent)
        answer = b""
        while more := connection.recv(1 << 16):
            answer += more
    return answer
