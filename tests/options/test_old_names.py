"""Former names: read everywhere, answered with the present name where a user can change it, same hash."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.common.commands import call

from bertram import options
from bertram.errors import ConfigError
from bertram.options import old_names
from bertram.options.old_names import OldNameWarning
from bertram.runs.directory import read_config

ROOT = Path(__file__).resolve().parents[2]
HASHES = Path(__file__).with_name("record_hashes.json")


def records() -> dict[str, Path]:
    return {str(path.parent.relative_to(ROOT)): path for path in sorted((ROOT / "results").glob("*/*/record.json"))}


def read(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def test_the_configurations_of_all_records_keep_their_hashes() -> None:
    """The hashes were written by the code before the options were renamed."""
    expected = json.loads(HASHES.read_text(encoding="utf-8"))
    current = {name: options.digest(options.make(read(path)["config"])) for name, path in records().items()}
    assert {name: current.get(name) for name in expected} == expected
    assert len(expected) > 100
    later = {name: read(path) for name, path in records().items() if name not in expected}
    own = {name: record["config_hash"] for name, record in later.items() if record.get("merged") is None}
    assert {name: current[name] for name in own} == own  # that of an ensemble is one of its members


def test_the_configuration_files_beside_the_records_are_read() -> None:
    for path in records().values():
        if (path.parent / "config.toml").exists():
            assert read_config(path.parent).tasks


def test_every_present_name_with_a_former_one_is_a_field() -> None:
    known = {option.name for option in options.fields()}
    for table, names in old_names.OLD_NAMES.items():
        prefix = f"{table}." if table else ""
        assert {f"{prefix}{new}" for new in names.values()} <= known
        assert not {f"{prefix}{old}" for old in names if old not in names.values()} & known


@pytest.mark.filterwarnings("ignore::bertram.options.old_names.OldNameWarning")
def test_a_former_name_on_the_command_line_is_answered_in_one_line() -> None:
    code, out, err = call("train", "--dry-run", "--optimizer.clip-norm", "-1")
    assert (code, out) == (1, "")
    first, second = err.splitlines()
    assert first == "bertram: optimizer.clip_norm is the old name of optimizer.max_grad_norm"
    assert second.startswith("bertram: optimizer.max_grad_norm = -1: input should be greater")


def test_a_former_name_in_a_file_is_answered_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[optimizer]\nencoder_rate = 0.5\n")
    with pytest.warns(OldNameWarning, match=r"^optimizer\.encoder_rate is the old name of optimizer\.lr$"):
        assert options.read(path) == {"optimizer": {"lr": 0.5}}


def test_both_names_of_a_field_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.encoder_rate is the old name of optimizer\.lr; set only"):
        options.make({"tasks": {}, "optimizer": {"encoder_rate": 0.5, "lr": 0.5}})
