"""Runs of a study elsewhere are copied without what is large, and what cannot be computed again says so by itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bertram.experiments.request import REQUEST
from tools import ROOT
from tools.collect import collect, size


def study(folder: Path) -> Path:
    for name in ("done", "begun"):
        (folder / name / "predictions" / "dev").mkdir(parents=True)
        (folder / name / "config.toml").write_text("seed = 0\n")
        (folder / name / "metrics.jsonl").write_text("{}\n" * 100)
        (folder / name / "predictions" / "dev" / "sst.jsonl.gz").write_bytes(b"predictions")
    (folder / "done" / "record.json").write_text("{}")
    (folder / REQUEST).write_text(json.dumps({"seeds": [0, 1], "power": "new"}))
    (folder / "ablation.json").write_text("{}")
    return folder


def test_finished_runs_and_the_request_are_copied_without_logs_and_the_first_forecast_stays(tmp_path: Path) -> None:
    target = tmp_path / "results"
    target.mkdir()
    (target / REQUEST).write_text(json.dumps({"seeds": [0], "power": "first"}))
    assert collect(study(tmp_path / "study"), target) == ["done"]
    copied = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    run = {"done/config.toml", "done/record.json", "done/predictions/dev/sst.jsonl.gz"}
    assert copied == {REQUEST, "ablation.json", *run}
    assert json.loads((target / REQUEST).read_text()) == {"seeds": [0, 1], "power": "first"}
    assert size(target) == (target / REQUEST).stat().st_size + len("{}") * 2 + len("seed = 0\n") + len("predictions")


def test_without_predictions_the_table_is_made_from_its_own_values(tmp_path: Path) -> None:
    target = tmp_path / "results"
    assert collect(study(tmp_path / "study"), target, predictions=False) == ["done"]
    assert not (target / REQUEST).exists()
    assert (target / "ablation.json").exists()
    assert not (target / "done" / "predictions").exists()
    assert collect(tmp_path / "study", target) == ["done"]
    assert json.loads((target / REQUEST).read_text())["power"] == "new"


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["tools.collect", "tools.findings", "tools.last_task", "tools.pages", "tools.tables"]
)
def test_help_writes_no_page(module: str) -> None:
    command = [sys.executable, "-m", module, "--help"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout.startswith("usage: ")
    assert "filled" not in process.stdout
