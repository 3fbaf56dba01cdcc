"""Uploads, against a local server that stands in for the Hub."""

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.common.commands import spawn

from bertram.export.write import export

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub's protocol as an upload needs: create, preupload, LFS and commit."""

    server: "HubServer"

    def do_GET(self) -> None:
        self.answer(200, {"id": "you/model", "sha": COMMIT, "siblings": [], "private": False})

    def do_PUT(self) -> None:
        self.server.objects[self.path.rpartition("/")[2]] = self.body()
        self.answer(200, {})

    def do_POST(self) -> None:
        body = self.body()
        if self.server.status is not None:
            self.answer(self.server.status, {"error": "no room left"})
        elif self.headers.get("Authorization") != "Bearer hf_secret":
            self.answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self.answer(200, {"url": f"{self.server.address}/you/model"})
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                 "shouldIgnore": False} for file in json.loads(body)["files"]
            ]  # fmt: skip
            self.answer(200, {"files": files})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.address}/store/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self.answer(200, {"transfer": "basic", "objects": objects})
        elif "/branch/" in self.path:
            self.server.branches.append(self.path.rpartition("/")[2])
            self.answer(200, {})
        elif "/commit/" in self.path:
            self.server.commits.append([json.loads(line) for line in body.splitlines()])
            self.answer(200, {"commitOid": COMMIT, "commitUrl": f"{self.server.address}/you/model/commit/{COMMIT}"})
        else:
            self.answer(200, {})

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, values: Any) -> None:
        data = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


class HubServer(http.server.ThreadingHTTPServer):
    """What the server was given.

    Attributes:
        created: bodies of the requests to create a repository.
        branches: branches that were created.
        commits: lines of each commit.
        objects: SHA-256 -> content of the large files.
        status: status of every answer in place of success; None for success.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.created: list[dict[str, Any]] = []
        self.branches: list[str] = []
        self.commits: list[list[dict[str, Any]]] = []
        self.objects: dict[str, bytes] = {}
        self.status: int | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def exported(tiny_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny_runs / "cross-0", "hf", tmp_path_factory.mktemp("push") / "encoder")


def environment(hub: HubServer, home: Path, token: str = "hf_secret") -> dict[str, Any]:
    return {
        "HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip


@pytest.mark.slow
def test_every_file_arrives_as_it_is(hub: HubServer, exported: Path, tmp_path: Path) -> None:
    outcome = spawn("push", exported, "you/model", "--private", "--revision", "first", **environment(hub, tmp_path))
    assert outcome.code == 0, outcome.err
    assert "you/model" in outcome.out
    assert COMMIT[:12] in outcome.out
    (created,) = hub.created
    assert created["name"] == "model"
    assert created["organization"] == "you"
    assert created.get("private") is True or created.get("visibility") == "private"
    assert hub.branches == ["first"]
    (lines,) = hub.commits
    arrived: dict[str, bytes] = {}
    for line in lines:
        if line["key"] == "file":
            assert line["value"]["encoding"] == "base64"
            arrived[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        elif line["key"] == "lfsFile":
            arrived[line["value"]["path"]] = hub.objects[line["value"]["oid"]]
    sent = {path.relative_to(exported).as_posix(): path.read_bytes() for path in exported.rglob("*") if path.is_file()}
    assert arrived == sent
    assert hashlib.sha256(sent["model.safetensors"]).hexdigest() in hub.objects


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "token", "reason"),
    [
        (None, "hf_wrong", "the token is missing or unknown"),
        pytest.param(403, "hf_secret", "the token may not write there", marks=pytest.mark.slow),
        pytest.param(413, "hf_secret", "no room left", marks=pytest.mark.slow),
    ],
)
def test_refusals_are_one_line(
    status: int | None, token: str, reason: str, hub: HubServer, exported: Path, tmp_path: Path
) -> None:
    hub.status = status
    outcome = spawn("push", exported, "you/model", **environment(hub, tmp_path, token))
    assert outcome.code == 1
    assert reason in outcome.err
    assert "Traceback" not in outcome.err
    assert token not in outcome.err
    assert not hub.commits


@pytest.mark.slow
def test_a_hub_that_does_not_answer(exported: Path, hub: HubServer, tmp_path: Path) -> None:
    nobody = environment(hub, tmp_path) | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    outcome = spawn("push", exported, "you/model", **nobody)
    assert outcome.code == 1
    assert "http://127.0.0.1:9 does not answer" in outcome.err


@pytest.mark.slow
def test_only_exports_are_pushed(tiny_runs: Path, exported: Path, hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for directory, repo, reason in (
        (tiny_runs / "cross-0", "you/model", "a run; write an export"),
        (tmp_path / "other", "you/model", "not written by bertram export"),
        (tmp_path / "none", "you/model", "there is no such directory"),
        (exported, "a/b/c", "is not the id of a model repository"),
    ):
        outcome = spawn("push", directory, repo, **environment(hub, tmp_path))
        assert outcome.code == 1
        assert reason in outcome.err
    assert not hub.created
