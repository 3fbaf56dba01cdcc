"""Files are whole or not there, whenever the process is killed and however full the disk is."""

import gzip
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.common.child_processes import kill_at, run_in_child

from bertram.errors import RunError
from bertram.runs.files import (
    disk_errors,
    replace_directory,
    restore_directory,
    write_bytes,
    write_json,
    write_json_lines_gz,
    write_text,
)

MOST_OPERATIONS = 40  # file operations of one write


def fill(version: str) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        directory.mkdir()
        for name in ("weights", "shape"):
            (directory / name).write_text(f"{name} {version}" * 1000)

    return write


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def replace_until_killed(directory: Path, version: str, operation: int) -> None:
    kill_at(directory.parent, operation)
    replace_directory(directory, fill(version))


def write_until_killed(path: Path, text: str, operation: int) -> None:
    kill_at(path.parent, operation)
    write_text(path, text)


@pytest.mark.slow
def test_a_directory_is_the_old_or_the_new_one_wherever_its_replacement_is_killed(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    replace_directory(directory, fill("old"))
    old = contents(directory)
    replace_directory(tmp_path / "other", fill("new"))
    new, found = contents(tmp_path / "other"), []
    for operation in range(1, MOST_OPERATIONS):
        code = run_in_child(replace_until_killed, directory, "new", operation)
        restore_directory(directory)
        found.append(contents(directory))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert found[-1] in (old, new)
        replace_directory(directory, fill("old"))  # and what a kill has left is no obstacle
        assert {path.name for path in tmp_path.iterdir()} == {"model", "other"}
    assert found[-1] == new
    assert old in found[:-1]
    assert new in found[:-1]


@pytest.mark.slow
def test_a_file_is_the_old_or_the_new_one_wherever_its_replacement_is_killed(tmp_path: Path) -> None:
    path, found = tmp_path / "record.json", []
    for operation in range(1, MOST_OPERATIONS):
        write_text(path, "old")
        code = run_in_child(write_until_killed, path, "new" * 100_000, operation)
        found.append(path.read_text())
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert found[-1] in ("old", "new" * 100_000)
    assert found[0] == "old"
    assert found[-1] == "new" * 100_000
    write_text(path, "newest")
    assert os.listdir(tmp_path) == ["record.json"]  # noqa: PTH208 (hidden ones too)


def test_of_two_that_write_one_file_at_once_both_succeed_and_the_second_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, second = tmp_path / "asked.json", Thread(target=lambda: write_text(tmp_path / "asked.json", "second"))

    def begin_second(_: int) -> None:
        if second.ident is None:
            second.start()
            second.join(0.1)

    monkeypatch.setattr(os, "fsync", begin_second)
    write_text(path, "first" * 100)
    second.join()
    assert path.read_text() == "second"
    assert os.listdir(tmp_path) == ["asked.json"]  # noqa: PTH208 (hidden ones too)


def test_the_same_values_give_the_same_compressed_bytes_in_a_directory_that_is_made(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_json_lines_gz(tmp_path / name / "dev" / "sst.jsonl.gz", [{"id": "é", "value": 1}, {"id": "2"}])
    first, second = ((tmp_path / name / "dev" / "sst.jsonl.gz").read_bytes() for name in ("a", "b"))
    assert first == second
    assert gzip.decompress(first).decode() == '{"id": "é", "value": 1}\n{"id": "2"}\n'


def test_a_number_that_json_has_not_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "record.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------ full disks


@contextmanager
def writes_fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Iterator[None]:
    """What is written arrives on no disk: the error comes when the file is to be made safe."""

    def fail(_: int) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        yield


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "the disk is full; free some space and continue with --resume"),
        (OSError(30, "Read-only file system"), "Read-only file system"),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), "the disk is full"),
        (Exception("I/O error: File too large (os error 27)"), "File too large"),
    ],
)
def test_a_failed_write_says_where_and_why_and_leaves_what_was_there(
    error: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "record.json", "old")
    replace_directory(tmp_path / "model", fill("old"))
    before = contents(tmp_path / "model")
    writes: list[Callable[[], Any]] = [
        lambda: write_bytes(tmp_path / "record.json", b"new"),
        lambda: write_json_lines_gz(tmp_path / "record.json", [1]),
        lambda: replace_directory(tmp_path / "model", fill("new")),
    ]
    for write in writes:
        with writes_fail(monkeypatch, error), pytest.raises(RunError) as failed:
            write()
        assert reason in str(failed.value)
        assert str(tmp_path) in str(failed.value)
    assert (tmp_path / "record.json").read_text() == "old"
    assert contents(tmp_path / "model") == before
    assert {path.name for path in tmp_path.iterdir()} == {"record.json", "model"}


def test_a_directory_that_cannot_be_made_is_an_error_of_the_same_kind(tmp_path: Path) -> None:
    (tmp_path / "predictions").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        write_json_lines_gz(tmp_path / "predictions" / "dev" / "sst.jsonl.gz", [])


def test_faults_that_are_not_the_disk_s_pass_through(tmp_path: Path) -> None:
    with pytest.raises(KeyError), disk_errors(tmp_path):
        raise KeyError("a bug")
