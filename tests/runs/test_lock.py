"""A run directory is claimed by one process at a time, and a claim ends with its process."""

import signal
import sys
import time
from pathlib import Path

import pytest
from tests.common.child_processes import FORKSERVER

from bertram.errors import RunError
from bertram.runs.lock import claimed, exclusive, run_lock
from bertram.runs.provenance import peak_memory_mib


def hold(path: Path, ready: Path) -> None:
    with claimed(path) as mine:
        ready.write_text(str(mine))
        time.sleep(600)


def test_outputs_can_be_kept_in_the_directory_of_the_run_itself(tmp_path: Path) -> None:
    with run_lock(tmp_path), exclusive(tmp_path):
        (tmp_path / "outputs").touch()
    with exclusive(tmp_path):
        assert (tmp_path / "outputs").is_file()


def test_a_claim_excludes_others_until_it_is_given_back(tmp_path: Path) -> None:
    with claimed(tmp_path / "run") as mine, claimed(tmp_path / "run") as other, claimed(tmp_path / "second") as second:
        assert (mine, other, second) == (True, False, True)
    with claimed(tmp_path / "run") as mine:
        assert mine
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_claim_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = FORKSERVER.Process(target=hold, args=(tmp_path / "run", ready))
    process.start()
    while not (ready.exists() and ready.read_text()):
        time.sleep(0.01)
    with claimed(tmp_path / "run") as mine:
        assert ready.read_text() == "True"
        assert not mine
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with claimed(tmp_path / "run") as mine:
        assert mine


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file: cannot be written"), claimed(tmp_path / "file" / "run"):
        pass


def test_a_system_without_locks_or_memory_figures_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (peak_memory_mib() or 0) > 0
    for module in ("fcntl", "resource"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RunError, match="only Linux and macOS have"), claimed(tmp_path / "run"):
        pass
    assert peak_memory_mib() is None
