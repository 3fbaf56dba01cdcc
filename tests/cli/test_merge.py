"""``bertram soup`` and ``bertram ensemble``: what is shown, and what is refused before anything is written."""

from pathlib import Path

import pytest
from tests.common.commands import call

from bertram.runs.directory import Run


@pytest.mark.slow
@pytest.mark.parametrize("command", ["soup", "ensemble"])
def test_the_result_is_shown_beside_its_members(command: str, tiny_runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "merged"
    code, shown, err = call(command, tiny_runs / "cross-0", tiny_runs / "cross-1", "--out", out)
    assert (code, err) == (0, "")
    assert f"The {command} and its members" in shown
    for path in (tiny_runs / "cross-0", tiny_runs / "cross-1", out):
        overall = Run(path).record["scores"]["dev"]["overall"]["value"]
        rows = [line for line in shown.splitlines() if line.split()[:1] == [str(path)]]
        assert f" {overall:.4f} " in rows[0]
        assert len(rows) == 1 + (command == "ensemble" and path != out)  # what each member adds
    assert shown.endswith(f"run: {out}\n")
    assert call("evaluate", out)[0] == 0


def test_a_greedy_soup_tells_what_it_tries(tiny_runs: Path, tmp_path: Path) -> None:
    words = ("soup", tiny_runs / "cross-0", tiny_runs / "cross-1", "--greedy", "--out", tmp_path / "soup")
    code, out, err = call(*words)
    assert code == 0
    first, second = err.splitlines()
    assert ": dev overall 0." in first
    assert second.startswith("with ")
    assert second.endswith((", kept", ", left out"))
    assert "so this soup's own dev scores are optimistic" in out


@pytest.mark.parametrize("command", ["soup", "ensemble"])
def test_an_existing_directory_is_refused_and_stays_as_it_is(command: str, tiny_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    code, _, err = call(command, tiny_runs / "cross-0", tiny_runs / "cross-1", "--out", tmp_path)
    assert (code, err) == (1, f"bertram: {tmp_path}: exists already; choose another --out\n")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize("command", ["soup", "ensemble"])
def test_one_run_is_not_enough(command: str, tiny_runs: Path, tmp_path: Path) -> None:
    code, _, err = call(command, tiny_runs / "cross-0", "--out", tmp_path / "x")
    assert (code, err) == (1, f"bertram: name at least 2 runs; there is only {tiny_runs / 'cross-0'}\n")


def test_other_data_without_the_files_leaves_nothing_behind(tiny_runs: Path, tmp_path: Path) -> None:
    words = ("soup", tiny_runs / "cross-0", tiny_runs / "cross-1", "--out", tmp_path / "soup", "--data")
    code, _, err = call(*words, tmp_path / "none")
    assert code == 1
    assert "there is no such directory; --data takes a directory, hub or sample" in err
    assert list(tmp_path.iterdir()) == []
