"""Where files are looked for, and what is said when they are not there."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bertram.data.sources import files_of, locate, locate_further
from bertram.errors import DataError
from bertram.task_files import Extra, Files
from bertram.tasks import SST, STS, Task

ROWS = b'{"text": "good", "label": 3}\n{"text": "bad", "label": 1}\n'
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub's protocol as a download needs, for one file of one data set."""

    def do_HEAD(self) -> None:
        self.answer(body=b"")

    def do_GET(self) -> None:
        self.answer(body=ROWS)

    def answer(self, body: bytes) -> None:
        if self.path == "/datasets/SetFit/sst5/resolve/main/train.jsonl":
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", '"etag"')
            self.send_header("Content-Length", str(len(ROWS)))
        else:
            body = b""
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if "/SetFit/sst5/" in self.path else "RepoNotFound")
            self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a process for which a local server is the Hub, with an empty cache."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield environment(tmp_path, server.server_port)
        server.shutdown()


def environment(cache: Path, port: int, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return {
        **kept,
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
        **more,
    }


def located(env: dict[str, str], repo: str = "SetFit/sst5", name: str = "train.jsonl") -> dict[str, str]:
    """What a fresh process says of a file on the Hub."""
    program = (
        "import json, sys\n"
        "from bertram.errors import DataError\n"
        "from bertram.data.sources import from_hub\n"
        "try:\n    print(json.dumps({'path': str(from_hub(*sys.argv[1:]))}))\n"
        "except DataError as error:\n    print(json.dumps({'kind': type(error).__name__, 'error': str(error)}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, repo, name], env=env, capture_output=True, text=True, timeout=100, check=True
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_a_hub_file_is_downloaded_once_and_needs_no_network_afterwards(hub: dict[str, str]) -> None:
    path = Path(located(hub)["path"])
    assert path.read_bytes() == ROWS
    assert located({**hub, "HF_ENDPOINT": "http://127.0.0.1:9"}) == {"path": str(path)}
    assert located({**hub, "HF_HUB_OFFLINE": "1"}) == {"path": str(path)}


@pytest.mark.slow
def test_what_the_hub_does_not_have_is_told_apart(hub: dict[str, str]) -> None:
    assert "no file dev.jsonl" in located(hub, name="dev.jsonl")["error"]
    assert "no public dataset" in located(hub, repo="SetFit/nothing")["error"]
    assert "not the id" in located(hub, repo="a/b/c")["error"]


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"HF_HUB_OFFLINE": "1"}], ids=["no network", "offline by choice"])
def test_without_the_hub_two_lines_say_what_to_do(tmp_path: Path, more: dict[str, str]) -> None:
    said = located(environment(tmp_path, 9, **more))
    assert said["kind"] == "HubUnreachableError"
    assert len(said["error"].splitlines()) <= 2
    assert "SetFit/sst5" in said["error"]
    assert "HF_HUB_OFFLINE" in said["error"]


def test_a_data_directory_holds_the_files_by_name(tmp_path: Path) -> None:
    (tmp_path / "ids-sst-train.csv").touch()
    assert locate(SST, str(tmp_path), "train") == tmp_path / "ids-sst-train.csv"
    assert files_of(SST, str(tmp_path)) == SST.files
    assert files_of(SST, "hub") == SST.hub
    assert locate(SST.model_copy(update={"files": Files(texts=("sentence",))}), str(tmp_path), "dev") is None


@pytest.mark.parametrize("task", [SST, STS], ids=["sst", "sts"])
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_the_sample_has_every_file(task: Task, split: str) -> None:
    path = locate(task, "sample", split)  # type: ignore[arg-type]
    assert path is not None
    assert path.is_file()


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "ids-sst-trian.csv").touch()
    with pytest.raises(
        DataError, match=r"ids-sst-train\.csv: there is no such file; did you mean ids-sst-trian\.csv\?"
    ):
        locate(SST, str(tmp_path), "train")
    with pytest.raises(DataError, match=r"sts-train\.csv: there is no such file; .* holds ids-sst-trian\.csv"):
        locate(STS, str(tmp_path), "train")


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: there is no such directory; --data takes"):
        locate(SST, str(tmp_path / "nowhere"), "train")


def test_a_task_without_a_hub_data_set_says_so() -> None:
    with pytest.raises(DataError, match=r"tasks\.sst\.hub\.repo"):
        locate(SST.model_copy(update={"hub": None}), "hub", "train")


def test_extra_rows_stand_below_the_data_directory(tmp_path: Path) -> None:
    extra = Extra(file="extra/phrases.tsv", texts=("phrase",), label="sentiment")
    task = SST.model_copy(update={"extra": (extra,)})
    with pytest.raises(
        DataError, match=r"extra.phrases\.tsv: there is no such file.*leave it out with --tasks\.sst\.extra none"
    ):
        locate_further(task, "extra", str(tmp_path))
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "phrases.tsv").touch()
    assert locate_further(task, "extra", str(tmp_path)) == tmp_path / "extra" / "phrases.tsv"
    with pytest.raises(DataError, match=r"tasks\.sst\.extra\.file"):
        locate_further(task, "extra", "hub")
