"""Checkpoints: what was saved comes back, damage is found, and the disk is neither trusted nor filled."""

import json
import os
import signal
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.common.child_processes import kill_at, run_in_child

from bertram.errors import RunError
from bertram.runs import checkpoint
from bertram.runs.checkpoint import FORMAT, DamagedCheckpointWarning, newest, save


def state_of(step: int) -> dict[str, Any]:
    """A nest of everything that a state may hold; one tensor stands in it twice."""
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
    return {
        "network": {"encoder.words": weight, "tied": weight.t(), "scalar": torch.tensor(0.5)},
        "optimizer": [{}, {"step": torch.tensor(3.0), "m": weight.double()}],
        "generator": torch.Generator().manual_seed(step).get_state(),
        "targets": None,
        "best": {"score": float("-inf"), "step": step},
        "said": ["é"],
        "third": 1 / 3,
    }


def assert_equal(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_equal(found[key], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    else:
        assert found == expected


def assert_newest(directory: Path, step: int) -> None:
    found = newest(directory)
    assert found is not None
    assert found[0] == step
    assert_equal(found[1], state_of(step))


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))  # noqa: PTH208 (hidden ones too)


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    save(tmp_path, 7, state_of(7), keep=1)
    assert_newest(tmp_path, 7)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_no_more_are_kept_than_asked_for_and_the_newest_is_found(keep: int, tmp_path: Path) -> None:
    for step in (1, 2, 9, 10, 11, 100):
        save(tmp_path, step, state_of(step), keep)
        assert_newest(tmp_path, step)
    assert names(tmp_path) == ["step-000000010", "step-000000011", "step-000000100"][-keep:]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "tensors cut": lambda path: os.truncate(path / "state.safetensors", 100),
    "tensors empty": lambda path: os.truncate(path / "state.safetensors", 0),
    "tensors missing": lambda path: (path / "state.safetensors").unlink(),
    "last byte of the tensors": lambda path: flip(path / "state.safetensors", -1),
    "header of the tensors": lambda path: flip(path / "state.safetensors", 20),
    "json cut": lambda path: os.truncate(path / "state.json", 30),
    "json missing": lambda path: (path / "state.json").unlink(),
    "json of another kind": lambda path: (path / "state.json").write_text("[1, 2]"),
    "json null": lambda path: (path / "state.json").write_text("null"),
    "json not text": lambda path: (path / "state.json").write_bytes(b"\xff\xfe\x00"),
    "a plain value": lambda path: change(path, '"third": 0.333', '"third": 0.334'),
    "a name": lambda path: change(path, '"network"', '"netwark"'),
    "a reference": lambda path: change(path, "/optimizer/1/m", "/optimizer/1/x"),
    "the step": lambda path: change(path, '"step": 3', '"step": 4'),
    "the digest": lambda path: change(path, '"sha256": "', '"sha256": "0'),
}


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def change(path: Path, old: str, new: str) -> None:
    text = (path / "state.json").read_text()
    assert old in text
    (path / "state.json").write_text(text.replace(old, new))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(damage: str, tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step, state_of(step), keep=3)
    DAMAGES[damage](tmp_path / "step-000000003")
    with pytest.warns(DamagedCheckpointWarning, match="step-000000003 is damaged"):
        assert_newest(tmp_path, 2)


@pytest.mark.slow
def test_every_single_flipped_byte_of_the_plain_part_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path, 1, state_of(1), keep=1) / "state.json"
    sound = path.read_bytes()
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if sound[:place].endswith(b'"format": '):  # refused by name
                with pytest.raises(RunError, match=f"checkpoint format version {FORMAT ^ 1} is unknown"):
                    newest(tmp_path)
                continue
            found = newest(tmp_path)
        if found is not None:
            assert_equal(found[1], state_of(1))  # é by another escape, a space for another
        else:
            assert len(caught) == 1


def test_where_all_are_damaged_there_is_none(tmp_path: Path) -> None:
    for step in (1, 2):
        flip(save(tmp_path, step, state_of(step), keep=2) / "state.safetensors", -1)
    with pytest.warns(DamagedCheckpointWarning) as told:
        assert newest(tmp_path) is None
    assert len(told) == 2


@pytest.mark.parametrize("version", [FORMAT + 1, str(FORMAT), None])
def test_an_unknown_format_version_is_refused_by_name(version: object, tmp_path: Path) -> None:
    save(tmp_path, 1, state_of(1), keep=2)
    path = save(tmp_path, 2, state_of(2), keep=2) / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": version}))
    with pytest.raises(RunError, match="step-000000002: checkpoint format version") as refused:
        newest(tmp_path)
    assert f"version {version!r} is unknown; this BERTram reads {FORMAT}" in str(refused.value)


@pytest.mark.parametrize("keep", [1, 2])
def test_later_checkpoints_that_were_passed_over_do_not_push_out_sound_ones(keep: int, tmp_path: Path) -> None:
    for step in (1, 8, 9):
        save(tmp_path, step, state_of(step), keep=3)
    for step in (8, 9):
        flip(tmp_path / f"step-{step:09d}" / "state.safetensors", -1)
    save(tmp_path, 2, state_of(2), keep)
    assert names(tmp_path) == ["step-000000001", "step-000000002"][-keep:]
    assert_newest(tmp_path, 2)


def test_a_damaged_checkpoint_is_replaced_when_the_run_comes_by_again(tmp_path: Path) -> None:
    flip(save(tmp_path, 5, state_of(5), keep=2) / "state.safetensors", -1)
    save(tmp_path, 5, state_of(5), keep=2)
    assert_newest(tmp_path, 5)


# ------------------------------------------------------------------------------------------ kills and full disks


def save_until_killed(directory: Path, step: int, operation: int) -> None:
    kill_at(directory, operation)
    save(directory, step, state_of(step), keep=1)


@pytest.mark.slow
def test_a_kill_at_any_file_operation_leaves_the_last_good_one(tmp_path: Path) -> None:
    save(tmp_path, 1, state_of(1), keep=1)
    step, found = 2, []
    for operation in range(1, 60):
        before = newest(tmp_path)
        assert before is not None
        code = run_in_child(save_until_killed, tmp_path, step, operation)
        after = newest(tmp_path)  # no warning: nothing half written is taken for a checkpoint
        assert after is not None
        found.append(after[0] - before[0])
        assert_newest(tmp_path, after[0])
        assert len([name for name in names(tmp_path) if name.startswith("step-")]) <= 2
        assert len([name for name in names(tmp_path) if name.startswith(".")]) <= 1  # what kills leave does not pile up
        if code == 0:
            break
        assert code == -signal.SIGKILL
        step = after[0] + 1
    assert 0 in found[:-1]  # killed before it was whole
    assert 1 in found[:-1]  # killed while the older ones were removed
    assert len(names(tmp_path)) == 1


def keeps_the_last_good_one(directory: Path, full: str) -> None:
    """A checkpoint of 4 MB that the disk cannot take."""
    save(directory, 1, state_of(1), keep=1)
    large = state_of(2) | {"more": torch.zeros(1_000_000)}
    with pytest.raises(RunError, match="cannot be written") as failed:
        save(directory, 2, large, keep=1)
    assert full in str(failed.value)
    assert names(directory) == ["step-000000001"]
    assert_newest(directory, 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_a_clear_error_and_leaves_the_last_good_one(small_disk: Path) -> None:
    keeps_the_last_good_one(small_disk, "the disk is full; free some space and continue with --resume")


def limited(directory: Path) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    keeps_the_last_good_one(directory, "File too large")


@pytest.mark.slow
def test_so_does_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    assert run_in_child(limited, tmp_path) == 0


def test_a_state_that_json_cannot_hold_is_a_bug_and_leaves_no_half_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save(tmp_path, 1, {"object": object()}, keep=1)
    assert names(tmp_path) == []
    assert checkpoint.newest(tmp_path) is None
