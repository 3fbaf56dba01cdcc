"""The JSON API, spoken to as an ASGI application."""

import asyncio
import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from fastapi import FastAPI
from tests.common.models import PAIRS, TEXTS, changed_task, random_model, study_tasks

from bertram.prediction.model import Model
from bertram.serving import batching
from bertram.serving.about import encoder_name
from bertram.serving.app import create_app
from bertram.serving.messages import NOT_EMPTY, Limits
from bertram.tasks import SST

JSON = {"content-type": "application/json"}
ABOUT = {"version": "0", "tasks": []}
LIMITS = Limits(body_bytes=5000, texts=4, characters=100, body_seconds=0.3)


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> Model:
    return random_model(tiny_encoder, study_tasks() | {"ranks": changed_task(SST, name="ranks", loss="coral")})


class Client:
    """A client of an application on one event loop, within the application's life."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self.loop = app, asyncio.new_event_loop()
        self.life = app.router.lifespan_context(app)
        self.loop.run_until_complete(self.life.__aenter__())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.inner = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=JSON)

    def ask(self, method: str, path: str, **sent: Any) -> httpx.Response:
        return self.loop.run_until_complete(self.inner.request(method, path, **sent))

    def close(self) -> None:
        self.loop.run_until_complete(self.inner.aclose())
        self.loop.run_until_complete(self.life.__aexit__(None, None, None))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@pytest.fixture(scope="module")
def client(model: Model) -> Iterator[Client]:
    one = Client(create_app(model, ABOUT, LIMITS))
    yield one
    one.close()


@pytest.mark.parametrize("task", ["sst", "ranks", "quora", "sts"])
def test_one_and_many_are_what_the_model_predicts(task: str, client: Client, model: Model) -> None:
    one, many = ("pair", "pairs") if model.tasks[task].pair else ("text", "texts")
    examples = PAIRS if model.tasks[task].pair else TEXTS
    alone = client.ask("POST", f"/predict/{task}", json={one: examples[0]})
    together = client.ask("POST", f"/predict/{task}", json={many: examples})
    assert (alone.status_code, together.status_code) == (200, 200)
    found = together.json()["predictions"]
    assert alone.json()["predictions"][0]["value"] == pytest.approx(found[0]["value"], abs=1e-5)
    for entry, wanted in zip(found, model.predict(task, examples), strict=True):
        assert entry["value"] == pytest.approx(wanted.value, abs=1e-5)
        if wanted.probabilities is not None:
            assert list(entry["probabilities"]) == list(model.tasks[task].class_names)
            assert list(entry["probabilities"].values()) == pytest.approx(wanted.probabilities, abs=1e-5)
            assert entry["label"] == model.tasks[task].class_names[int(wanted.value)]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("sst", b"", 400, "not JSON"),
        ("sst", b'{"text": "a"', 400, "not JSON"),
        ("sst", b'{"text": "\xff\xfe"}', 400, "not JSON"),
        ("sst", b'{"text": "\\ud800"}', 400, "not JSON"),
        ("sst", b"[" * 4000, 400, "not JSON"),
        ("sst", b'{"text": NaN}', 422, "input 0: not a text"),
        ("sst", b"[]", 422, 'task sst takes {"text": "…"} or {"texts": ["…", …]} and no other field'),
        ("sst", b"{}", 422, "task sst takes"),
        ("sst", b'{"text": "a", "texts": ["b"]}', 422, "and no other field"),
        ("sst", b'{"text": "a", "task": "sst"}', 422, "and no other field"),
        ("sst", b'{"pair": ["a", "b"]}', 422, "one text, not a pair"),
        ("sts", b'{"text": "a"}', 422, "a pair of texts, not one"),
        ("sst", b'{"text": ["a"]}', 422, "input 0: not a text"),
        ("sst", b'{"texts": [["a", "b"]]}', 422, "input 0: not a text"),
        ("sts", b'{"pair": ["a"]}', 422, "input 0: must be a list of two texts"),
        ("sts", b'{"pair": "ab"}', 422, "input 0: must be a list of two texts"),
        ("sts", b'{"pairs": [["a", "b"], ["a", 1]]}', 422, "input 1: not a text"),
        ("sst", b'{"texts": []}', 422, "at least one entry"),
        ("sst", b'{"texts": "abc"}', 422, "at least one entry"),
        ("sst", b'{"texts": ["a", "b", "c", "d", "e"]}', 422, "5 entries; at most 4 in one request"),
        ("sst", b'{"text": ""}', 422, "input 0: text is empty"),
        ("sts", b'{"pair": ["a", " \\n "]}', 422, "input 0: text is empty"),
        ("sst", b'{"text": "a\\u0000b"}', 422, "NUL"),
        ("sst", json.dumps({"text": "a" * 101}).encode(), 422, "input 0: 101 characters; at most 100 in one text"),
        ("sst", json.dumps({"text": "a" * 6000}).encode(), 413, "larger than 5000 bytes"),
        ("nli", b'{"text": "a"}', 404, "unknown task; choose one of sst, quora, sts, ranks"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_explained(path: str, body: bytes, status: int, says: str, client: Client) -> None:
    answer = client.ask("POST", f"/predict/{path}", content=body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_several_tasks_of_one_text_are_one_request(client: Client) -> None:
    found = client.ask("POST", "/predict", json={"tasks": ["sst", "ranks"], "text": TEXTS[0]})
    assert found.status_code == 200
    for name in ("sst", "ranks"):
        [alone] = client.ask("POST", f"/predict/{name}", json={"text": TEXTS[0]}).json()["predictions"]
        [entry] = found.json()["predictions"][name]
        assert entry["value"] == alone["value"]
        assert entry["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-5)
    for wrong, says in (
        ({"text": "a"}, "the tasks are sst, quora, sts, ranks"),
        ({"tasks": ["sst", "nli"], "text": "a"}, "unknown task 'nli'"),
        ({"tasks": ["sst", "sst"], "text": "a"}, "a name is there twice"),
        ({"tasks": ["sst", "quora"], "text": "a"}, "send a pair of texts, not one"),
    ):
        refused = client.ask("POST", "/predict", json=wrong)
        assert (refused.status_code, says in refused.json()["detail"]) == (422, True)


def test_all_faults_of_a_request_are_told_at_once(client: Client) -> None:
    answer = client.ask("POST", "/predict/sst", json={"texts": ["", 1, "good", "a" * 101]})
    assert all(f"input {number}" in answer.json()["detail"] for number in (0, 1, 3))
    assert "input 2" not in answer.json()["detail"]


def test_other_methods_and_paths_are_refused_in_json(client: Client) -> None:
    assert client.ask("GET", "/predict/sst").status_code == 405
    assert client.ask("GET", "/nowhere").json() == {"detail": "Not Found"}


def test_a_body_that_comes_too_slowly_is_given_up(client: Client) -> None:
    async def slowly() -> Any:
        yield b'{"text": '
        await asyncio.sleep(30)

    answer = client.ask("POST", "/predict/sst", content=slowly())
    assert answer.status_code == 408
    assert "within 0.3 s" in answer.json()["detail"]
    assert answer.headers["connection"] == "close"


def test_who_waits_for_leave_to_send_too_much_is_refused_at_once(client: Client) -> None:
    headers = {"expect": "100-continue", "content-length": "1000000"}

    async def never() -> Any:
        raise AssertionError("the body was asked for")
        yield b""

    assert client.ask("POST", "/predict/sst", content=never(), headers=headers).status_code == 413


def test_a_full_queue_and_a_late_answer_have_statuses_of_their_own(model: Model, monkeypatch: Any) -> None:
    client = Client(create_app(model, ABOUT, Limits(seconds=0.05)))
    monkeypatch.setattr(batching, "predict_rows", lambda *_: __import__("time").sleep(0.3))
    late = client.ask("POST", "/predict/sst", json={"text": "a"})
    assert (late.status_code, late.json()["detail"]) == (504, "no answer within 0.05 s; try again with fewer texts")

    async def refuse(*_: Any) -> None:
        raise batching.FullError(7)

    monkeypatch.setattr(batching.Batcher, "predict", refuse)
    full = client.ask("POST", "/predict/sst", json={"text": "a"})
    assert (full.status_code, full.headers["retry-after"]) == (503, "7")
    client.close()


def test_a_failure_of_the_model_is_500_for_that_request_only(model: Model, monkeypatch: Any) -> None:
    client = Client(create_app(model, ABOUT))
    with monkeypatch.context() as patch:
        patch.setattr(batching, "predict_rows", lambda *_: 1 / 0)
        failed = client.ask("POST", "/predict/sst", json={"text": "a"})
    assert (failed.status_code, failed.json()) == (500, {"detail": "the server failed; its log says why"})
    assert failed.headers["x-content-type-options"] == "nosniff"
    client.app.state.stopping = True
    with monkeypatch.context() as patch:
        patch.setattr(batching, "predict_rows", lambda *_: 1 / 0)
        assert client.ask("POST", "/predict/sst", json={"text": "a"}).headers["connection"] == "close"
    client.app.state.stopping = False
    lines = client.ask("GET", "/metrics").text.splitlines()
    assert 'bertram_requests_total{path="/predict/sst",status="500"} 2' in lines
    assert client.ask("POST", "/predict/sst", json={"text": "a"}).status_code == 200
    client.close()


def test_a_target_without_a_token_is_a_fault_of_the_request(tiny_encoder: Path, monkeypatch: Any) -> None:
    model = random_model(tiny_encoder, {"sst": changed_task(SST, pooling="target")})
    client = Client(create_app(model, ABOUT))
    for target, says in (("\u200b", "no visible character"), ("x", "its target has no token")):
        answer = client.ask("POST", "/predict/sst", json={"text": f"a <t>{target}</t> b"})
        assert (answer.status_code, says in answer.json()["detail"]) == (422, True)
        monkeypatch.setattr(model.tokenizer, "encode_with_spans", lambda texts: [([7], [(0, 1)]) for _ in texts])
    client.close()


def test_metrics_count_requests_texts_and_batches(model: Model) -> None:
    client = Client(create_app(model, ABOUT))
    client.ask("POST", "/predict/sst", json={"texts": TEXTS})
    client.ask("POST", "/predict/sst", json={"text": ""})
    client.ask("POST", "/predict/nothing", json={"text": "a"})
    lines = client.ask("GET", "/metrics").text.splitlines()
    assert 'bertram_requests_total{path="/predict/sst",status="200"} 1' in lines
    assert 'bertram_requests_total{path="/predict/sst",status="422"} 1' in lines
    assert 'bertram_requests_total{path="/predict/{task}",status="404"} 1' in lines
    assert 'bertram_texts_total{task="sst"} 3' in lines
    assert 'bertram_batch_texts_bucket{le="2"} 0' in lines
    assert 'bertram_batch_texts_bucket{le="4"} 1' in lines
    assert 'bertram_batch_texts_bucket{le="+Inf"} 1' in lines
    assert "bertram_waiting_texts 0" in lines
    memory = next(line for line in lines if line.startswith("process_resident_memory_bytes "))
    assert int(memory.split()[1]) > 10_000_000
    client.close()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("minilm", "minilm"),
        ("org/name", "org/name"),
        ("/home/me/secret/bert", "bert"),
        ("~/bert", "bert"),
        ("secret/plans/bert", "bert"),
        ("here/bert", "bert"),
    ],
)
def test_paths_are_not_published(source: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "bert").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert encoder_name(source) == name


def test_health_says_when_the_server_is_stopping(model: Model) -> None:
    client = Client(create_app(model, ABOUT))
    assert client.ask("GET", "/health").json() == {"status": "ok"}
    client.app.state.stopping = True
    stopping = client.ask("GET", "/health")
    assert (stopping.status_code, stopping.headers["connection"]) == (503, "close")
    client.close()


def test_the_interface_is_described_for_each_task(client: Client) -> None:
    described = client.ask("GET", "/openapi.json").json()["paths"]
    assert {"/predict/sst", "/predict/quora", "/predict/sts", "/predict/ranks", "/tasks"} <= set(described)
    post = described["/predict/sst"]["post"]
    one, many = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert one["properties"]["text"]["maxLength"] == 100
    assert many["properties"]["texts"]["maxItems"] == 4
    entry = post["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]["items"]
    assert entry["properties"]["label"]["enum"] == list(SST.label_names)
    assert {"400", "408", "413", "422", "503", "504"} <= set(post["responses"])


def test_the_interface_is_described_for_several_tasks(client: Client) -> None:
    post = client.ask("GET", "/openapi.json").json()["paths"]["/predict"]["post"]
    bodies = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    named = {tuple(body["required"]): body["properties"]["tasks"]["items"]["enum"] for body in bodies}
    assert named["tasks", "pair"] == named["tasks", "pairs"]
    assert {"quora", "sts"} <= set(named["tasks", "pair"])
    assert "sst" in named["tasks", "text"]
    judge = pytest.importorskip("jsonschema_rs")
    request = {"tasks": ["quora", "sts"], "pair": ["a dog", "a cat"]}
    assert judge.is_valid(post["requestBody"]["content"]["application/json"]["schema"], request)
    answer = client.ask("POST", "/predict", json=request).json()
    assert judge.is_valid(post["responses"]["200"]["content"]["application/json"]["schema"], answer)


def test_the_description_calls_empty_what_the_server_does() -> None:
    """Judged by another language's idea of a space: the pattern must not lean on it."""
    judge = pytest.importorskip("jsonschema_rs")
    pattern = {"type": "string", "pattern": NOT_EMPTY}
    spaces = "".join(map(chr, filter(lambda code: chr(code).isspace(), range(sys.maxunicode))))
    assert not any(judge.is_valid(pattern, text) for text in (*spaces, spaces, "a\0"))
    assert all(judge.is_valid(pattern, text) for text in ("a", f"{spaces}a{spaces}"))


def test_the_page_asks_nobody_but_this_server(client: Client) -> None:
    answer = client.ask("GET", "/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "/* style */" not in answer.text
    assert "/* script */" not in answer.text
    links = [part.split('"')[0] for part in answer.text.split('="http')[1:]]
    assert links == []


FAULTS = {
    "an unknown path": ("GET", "/nowhere", {}, 404),
    "an unknown task": ("POST", "/predict/nli", {"json": {"text": "a"}}, 404),
    "a wrong method": ("GET", "/predict/sst", {}, 405),
    "an unknown method": ("BREW", "/tasks", {}, 405),
    "too large": ("POST", "/predict/sst", {"content": b"a" * 6000}, 413),
    "no content type": ("POST", "/predict/sst", {"content": b'{"text": "a"}', "headers": {"content-type": ""}}, 415),
    "another host": ("GET", "/tasks", {"headers": {"host": "evil.example"}}, 421),
    "another field": ("POST", "/predict/sst", {"json": {"words": "a"}}, 422),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "sent", "status"), FAULTS.values(), ids=FAULTS)
def test_every_fault_has_the_same_form(
    method: str, path: str, sent: dict[str, Any], status: int, client: Client
) -> None:
    answer = client.ask(method, path, **sent)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert list(answer.json()) == ["detail"]
    assert answer.json()["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_web_page_can_send_without_permission_is_refused(content_type: str, client: Client) -> None:
    answer = client.ask("POST", "/predict/sst", content=b'{"text": "a"}', headers={"content-type": content_type})
    assert answer.status_code == 415
    assert "send application/json" in answer.json()["detail"]


def test_json_may_name_its_encoding(client: Client) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.ask("POST", "/predict/sst", content=b'{"text": "a"}', headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/tasks", "/health", "/metrics", "/openapi.json"])
def test_head_is_get_without_a_body(path: str, client: Client) -> None:
    head, get = client.ask("HEAD", path), client.ask("GET", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("path", ["/", "/tasks", "/health", "/predict/sst"])
def test_other_hosts_reach_nothing(path: str, client: Client) -> None:
    answer = client.ask("GET", path, headers={"host": "evil.example:8000"})
    assert (answer.status_code, answer.headers["connection"]) == (421, "close")
    assert "--allowed-hosts" in answer.json()["detail"]


def test_an_output_that_is_not_finite_is_an_error_of_its_request(model: Model, monkeypatch: Any) -> None:
    client = Client(create_app(model, ABOUT))
    damaged = damaged_copy(model)
    with monkeypatch.context() as patch:
        patch.setattr(model, "network", damaged)
        answer = client.ask("POST", "/predict/sst", json={"text": "a"})
    assert answer.status_code == 500
    assert answer.json()["detail"] == "task sst: the model's output is not finite; its weights are damaged"
    assert client.ask("POST", "/predict/sst", json={"text": "a"}).status_code == 200
    client.close()


def damaged_copy(model: Model) -> Any:
    """A copy of a model's network whose weights are not numbers."""
    network = copy.deepcopy(model.network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(float("nan"))
    return network


def test_a_client_that_is_gone_is_not_computed_for(model: Model, monkeypatch: Any) -> None:
    cancelled: list[bool] = []

    async def wait(*_: Any) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    monkeypatch.setattr(batching.Batcher, "predict", wait)
    client = Client(create_app(model, ABOUT))
    messages = [{"type": "http.request", "body": b'{"text": "a"}'}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/predict/sst", "headers": headers, "query_string": b""}
    client.loop.run_until_complete(client.app(scope, receive, send))
    assert (cancelled, sent) == ([True], [])
    lines = client.ask("GET", "/metrics").text.splitlines()
    assert 'bertram_requests_total{path="/predict/sst",status="499"} 1' in lines
    client.close()


def test_requests_in_progress_are_limited_by_client_and_in_all_but_health_is_answered(
    model: Model, monkeypatch: Any
) -> None:
    waiting = asyncio.Event()

    async def wait(*_: Any) -> Any:
        await waiting.wait()
        return {"sst": model.predict("sst", ["a"])}

    monkeypatch.setattr(batching.Batcher, "predict", wait)
    client = Client(create_app(model, ABOUT, Limits(requests=3, client_requests=2)))

    def caller(host: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(client.app, client=(host, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://localhost")

    async def all_of_it() -> None:
        first, second, third = caller("192.0.2.1"), caller("192.0.2.2"), caller("192.0.2.3")
        body = {"text": "a"}
        asked = [asyncio.create_task(one.post("/predict/sst", json=body)) for one in (first, first, second)]
        await asyncio.sleep(0.1)
        own, others = await first.post("/predict/sst", json=body), await third.get("/tasks")
        assert (own.status_code, own.headers["retry-after"]) == (429, "1")
        assert (others.status_code, others.headers["retry-after"]) == (503, "1")
        assert "at once" in own.json()["detail"]
        assert "at once" in others.json()["detail"]
        for path in ("/health", "/metrics"):
            assert (await first.get(path)).status_code == 200
        waiting.set()
        assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200] * 3
        assert (await third.get("/tasks")).status_code == 200

    client.loop.run_until_complete(all_of_it())
    client.close()
