"""The server over real connections: slow and hostile senders, a port in use, and stopping under load."""

import http.client
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from tests.common.models import random_model, study_tasks
from tests.common.servers import exchange_bytes, running_server

from bertram.errors import BertramError, RunError
from bertram.runs.directory import Run
from bertram.serving import batching
from bertram.serving.app import create_app
from bertram.serving.batched_predict import predict_rows
from bertram.serving.messages import Limits
from bertram.serving.server import CONNECTIONS, listen, serve

JSON = {"Content-Type": "application/json"}
LIMITS = Limits(body_bytes=20_000, body_seconds=0.5, characters=500, texts=8)


@pytest.fixture(scope="module")
def address(tiny_encoder: Path) -> Iterator[str]:
    app = create_app(random_model(tiny_encoder, study_tasks()), {"version": "0", "tasks": []}, LIMITS)
    with running_server(app, LIMITS) as where:
        yield where


def post(body: bytes, path: bytes = b"/predict/sst", head: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    fixed = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return b"POST " + path + fixed + length + head + b"\r\n" + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def is_well(address: str) -> bool:
    return status(exchange_bytes(address, post(b'{"text": "a fine film"}'))) == 200


HOSTILE = {
    "nothing": (b"", None),
    "no HTTP": (b"\x00\x01\x02 hello\r\n\r\n", 400),
    "an endless head": (b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 400),
    "a head that never ends": (b"GET / HTTP/1.1\r\nHost: he", None),
    "a body that never comes": (post(b"")[:-2].replace(b"Length: 0", b"Length: 99") + b"\r\n", 408),
    "half a body": (post(b'{"text": "a"}').replace(b"Length: 13", b"Length: 99"), 408),
    "two lengths": (post(b"{}", head=b"Content-Length: 3\r\n"), 400),
    "a negative length": (post(b"").replace(b"Length: 0", b"Length: -1"), 400),
    "too large": (post(b"a" * 30_000), 413),
    "far too large": (post(b"a" * 2_000_000), 413),
    "too large in chunks": (
        post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"fa0\r\n%s\r\n" % (b"a" * 4000) * 9
        + b"0\r\n\r\n", 413),
    "deep JSON": (post(b"[" * 19_000), 400),
    "a deep field": (post(b'{"text": ' + b'{"a": ' * 2000 + b"1" + b"}" * 2001), 400),
    "broken UTF-8": (post(b'{"text": "\xc3\x28"}'), 400),
    "a path that is no UTF-8": (post(b"{}", b"/predict/%ff%fe"), 404),
    "no host": (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "no host in HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n", 421),
    "another host": (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    "a form": (post(b'{"text": "a"}').replace(b"application/json", b"text/plain"), 415),
    "an upgrade": (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n", None),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "wanted"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_answered_or_dropped_in_time_and_harm_nobody(
    sent: bytes, wanted: int | None, address: str
) -> None:
    try:
        answer = exchange_bytes(address, sent)
    except ConnectionError:  # closed while we were still sending
        answer = b""
    if wanted is not None and answer:
        assert status(answer) == wanted
    assert not answer or status(answer) < 500
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-type: application/json" in head
        assert list(json.loads(body)) == ["detail"]
    assert is_well(address)


@pytest.mark.slow
def test_a_slow_head_does_not_hold_a_connection(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        deadline = time.monotonic() + 20
        for byte in b"GET /health HTTP/1.1\r\nX-Slow: " + b"a" * 1000:
            try:
                slow.sendall(bytes([byte]))
            except ConnectionError:
                break
            time.sleep(0.02)
            assert time.monotonic() < deadline, "the server lets a head take forever"
        else:
            raise AssertionError("a whole slow head was taken")


def test_others_are_served_while_many_send_slowly(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(50)]
    for one in slow:
        one.sendall(b"POST /predict/sst HTTP/1.1\r\nContent-Length: 50\r\n")
    assert is_well(address)
    for one in slow:
        one.close()


def test_health_and_others_are_served_while_one_client_opens_more_connections_than_there_may_be(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    held = [socket.create_connection((host, int(port))) for _ in range(CONNECTIONS)]
    try:
        for number in range(100):
            held.append(socket.create_connection((host, int(port))))
            held[-1].sendall(b"POST /predict/sst HTTP/1.1\r\nContent-Le")
            if number % 20 == 0:
                assert is_well(address)
                assert status(exchange_bytes(address, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")) == 200
        held[0].settimeout(10)
        assert held[0].recv(1) == b""  # the one that waited longest was closed
    finally:
        for connection in held:
            connection.close()


def test_head_is_answered_without_a_body(address: str) -> None:
    answer = exchange_bytes(address, b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\n")


def test_a_request_whose_client_is_gone_is_dropped(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest request, and a client that does not wait for the answer."""
    passes: list[int] = []

    def predict_slowly(model: Any, rows: Any) -> Any:
        passes.append(len(rows))
        time.sleep(0.2)
        return predict_rows(model, rows)

    monkeypatch.setattr(batching, "predict_rows", predict_slowly)
    limits = Limits()
    model = random_model(tiny_encoder, study_tasks())
    app = create_app(model, {"version": "0", "tasks": []}, limits)
    with running_server(app, limits) as where:
        host, port = where.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as hasty:
            hasty.sendall(post(json.dumps({"texts": ["good film " * 190] * 256}).encode()))
            while not passes:
                time.sleep(0.005)
        while b'path="/predict/sst",status="499"} 1' not in (metrics := metrics_of(where)):
            assert len(passes) < 16, "the whole request was computed"
            time.sleep(0.005)
    assert b"bertram_waiting_texts 0" in metrics


def metrics_of(address: str) -> bytes:
    return exchange_bytes(address, b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")


def test_a_connection_is_kept_for_several_requests(address: str) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    for text in ("one", "two", "three"):
        connection.request("POST", "/predict/sst", json.dumps({"text": text}), JSON)
        answer = connection.getresponse()
        assert (answer.status, answer.will_close) == (200, False)
        answer.read()
    connection.close()


@pytest.fixture(scope="module")
def api(tiny_encoder: Path) -> Iterator[Any]:
    import schemathesis

    limits = Limits(characters=50, texts=4)  # so small that a body beyond them is still within its own limit
    app = create_app(random_model(tiny_encoder, study_tasks()), {"version": "0", "tasks": []}, limits)
    with running_server(app, limits) as where:
        yield schemathesis.openapi.from_url(f"{where}/openapi.json")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize("path", ["/predict/sst", "/predict/sts"])
def test_every_request_gets_an_answer_that_the_interface_describes(path: str, kind: str, api: Any) -> None:
    from schemathesis import GenerationMode

    mode = GenerationMode[kind]

    @given(case=api[path]["POST"].as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        case.call_and_validate()

    ask()


def test_an_upgrade_that_is_not_offered_is_ignored_without_a_line_in_the_log(address: str) -> None:
    lines: SimpleQueue[logging.LogRecord] = SimpleQueue()
    log = QueueHandler(lines)
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(log)
    try:
        upgrade = b"Connection: upgrade, close\r\nUpgrade: websocket\r\n"
        answer = exchange_bytes(address, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n")
    finally:
        logger.removeHandler(log)
    assert status(answer) == 200
    assert lines.empty()


def test_a_port_in_use_is_said_before_the_model_is_loaded(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(BertramError, match="in use; choose another --port"):
        serve(tmp_path / "no run", "127.0.0.1", taken.getsockname()[1], LIMITS)


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(BertramError, match=host):
        listen(host, 0)


HASHES = ("files", "sha256")


def test_what_is_no_sound_run_is_refused(run: Run, tmp_path: Path) -> None:
    def broken(name: str, file: str, content: bytes) -> Path:
        path = tmp_path / name
        shutil.copytree(run.path, path)
        (path / file).write_bytes(content)
        if file == "model/config.json":  # of a run of before there were hashes
            record = json.loads((path / "record.json").read_text())
            (path / "record.json").write_text(json.dumps({k: record[k] for k in record if k not in HASHES}))
        return path

    half = (run.path / "model" / "model.safetensors").read_bytes()[:5000]
    config = json.loads((run.path / "model" / "config.json").read_text())
    config["bertram"]["format"] = 99
    (tmp_path / "empty").mkdir()
    for path, says in [
        (tmp_path / "nowhere", "there is no such run directory"),
        (tmp_path / "empty", "not a run"),
        (broken("damaged", "model/model.safetensors", half), "model.safetensors: damaged"),
        (broken("newer", "model/config.json", json.dumps(config).encode()), "format version 99 is unknown"),
        (broken("record", "record.json", b'{"format": 99}'), "format version 99 is unknown"),
    ]:
        with pytest.raises(RunError, match=says):
            serve(path, "127.0.0.1", 0, LIMITS)


class Caller(threading.Thread):
    """Asks again and again over one connection at a time; notes each request that was sent and not answered."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self.answered, self.lost = address, 0, list[str]()

    def run(self) -> None:
        while True:
            connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=60)
            try:
                connection.connect()
            except ConnectionRefusedError:
                return  # the server takes no more: that is no loss
            self._ask(connection)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        closing = False
        while not closing:
            try:
                connection.request("POST", "/predict/sts", json.dumps({"pair": ["a fine film " * 5, "a film"]}), JSON)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                return
            closing = answer.will_close
            self.answered += 1
            if answer.status != 200:
                self.lost.append(f"status {answer.status}")
        connection.close()


@pytest.mark.slow
def test_terminated_under_load_the_server_loses_no_request(run: Run) -> None:
    command = [sys.executable, "-m", "bertram", "serve", str(run.path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        where = next(word for word in line.split() if word.startswith("http://"))
        callers = [Caller(where) for _ in range(8)]
        for caller in callers:
            caller.start()
        while sum(caller.answered for caller in callers) < 40:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.join(60)
        errors = process.communicate(timeout=60)[1]
    assert [lost for caller in callers for lost in caller.lost] == []
    assert (process.returncode, errors) == (0, "")
