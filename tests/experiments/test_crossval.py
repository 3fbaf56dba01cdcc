"""Cross-validation: every row is scored once, finished folds are skipped, and the interval is the corrected one."""

import json
from pathlib import Path

import numpy as np
import polars
import pytest
from scipy import stats
from tests.common.commands import call
from tests.common.trainings import tiny_config

import bertram
from bertram import options
from bertram.config import Config
from bertram.data.sources import source_of
from bertram.data.splits import run_source
from bertram.errors import ConfigError
from bertram.experiments.crossval import cross_validate, interval, make_jobs
from bertram.experiments.schedule import Job
from bertram.runs.directory import Run


def toml_of(encoder: Path, directory: Path, rows: int = 36) -> Path:
    texts = [f"sentence {n} by {n // 2}" if n % 4 > 1 else f"both by {n // 2}" for n in range(rows)]  # some are shared
    lines = [f"r{n},{texts[n]},{'ab'[n % 2] if n % 6 else ''},{n % 5},w{n // 2}" for n in range(rows)]
    (directory / "posts.csv").write_text("\n".join(["nr,text,mood,stars,writer", *lines]) + "\n")
    files = {"train": "posts.csv", "dev": "posts.csv", "texts": ["text"], "id": "nr", "group": "writer"}
    tasks = {
        "mood": {"kind": "class", "files": {**files, "label": "mood"}},
        "stars": {"kind": "score", "range": [0, 4], "files": {**files, "label": "stars"}},
    }
    base = options.dump(tiny_config(encoder, sampling={"epochs": 1, "steps_per_epoch": 2}))
    config = options.make({**base, "evaluation": {}, "tasks": tasks, "data": str(directory)})
    path = directory / "mine.toml"
    path.write_text(options.to_toml(config))
    return path


@pytest.mark.slow
def test_every_row_is_predicted_once_and_the_predictions_can_be_scored(tiny_encoder: Path, tmp_path: Path) -> None:
    toml, out = toml_of(tiny_encoder, tmp_path), tmp_path / "cv"
    words = ("crossval", "--config", toml, "--folds", "3", "--out", out)
    code, shown, err = call(*words)
    assert code == 0, err
    assert "Main scores of 3 folds" in shown
    result = json.loads((out / "crossval.json").read_text())
    runs = [Run(path) for path in sorted(out.glob("fold-*"))]
    values = [run.record.scores.dev.overall.value for run in runs]
    assert sorted(result["scores"]["overall"]["folds"]) == pytest.approx(sorted(values))  # type: ignore[type-var]
    assert result["scores"]["overall"]["mean"] == pytest.approx(np.mean(values))  # type: ignore[arg-type]
    for task, count in (("mood", 30), ("stars", 36)):
        lines = [json.loads(line) for line in (out / "out-of-fold" / f"{task}.jsonl").read_text().splitlines()]
        assert len({line["id"] for line in lines}) == len(lines) == count
        held = [run_source(run).held_out[task].lines for run in runs]
        assert sorted(line for part in held for line in part) == sorted({line for part in held for line in part})
        assert all(int(line["id"][1:]) + 2 in held[line["fold"]] for line in lines)
        code, shown, err = call(
            "score", out / "out-of-fold" / f"{task}.jsonl", tmp_path / "posts.csv", "--task", task, "--config", toml
        )
        assert code == 0, err
        score = result["pooled"][task]["accuracy" if task == "mood" else "pearson"]
        for value in (score["value"], *score["ci95"]):
            assert f"{value:.4f}" in shown
    before = {path: path.stat().st_mtime_ns for path in out.rglob("record.json")}
    (runs[1].path / "record.json").unlink()
    assert call(*words).code == 0
    after = {path: path.stat().st_mtime_ns for path in out.rglob("record.json")}
    assert [path for path in before if before[path] != after[path]] == [runs[1].path / "record.json"]
    assert json.loads((out / "crossval.json").read_text()) == result


def jobs_of(config: Config, rows: polars.DataFrame, out: Path) -> list[Job]:
    return make_jobs(config, 2, out, source_of(rows, config.tasks))


@pytest.mark.slow
def test_tables_in_memory_are_cross_validated_as_their_file_is(tiny_encoder: Path, tmp_path: Path) -> None:
    config = options.make(options.read(toml_of(tiny_encoder, tmp_path)))
    table = polars.read_csv(tmp_path / "posts.csv")
    in_memory = options.change(config, tasks={name: {"files": {"dev": None}} for name in config.tasks})
    of_file = cross_validate(config, tmp_path / "of-file", folds=2)
    data = {"train": table, "dev": table.head(5)}
    of_table = cross_validate(in_memory, tmp_path / "of-table", data, folds=2)
    assert of_table.scores == of_file.scores
    assert of_table.pooled == of_file.pooled
    for task in config.tasks:
        texts = [(tmp_path / name / "out-of-fold" / f"{task}.jsonl").read_text() for name in ("of-file", "of-table")]
        assert texts[0] == texts[1]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "of-table").rglob("record.json")}
    assert bertram.crossval(in_memory, tmp_path / "of-table", table.to_dicts(), folds=2).scores == of_table.scores
    assert {path: path.stat().st_mtime_ns for path in before} == before
    changed = table.with_columns(polars.col("text") + "!")
    labelled = options.change(in_memory, tasks={"mood": {"labels": ["a", "b"]}})
    for rows, finished in ((table, True), (changed, False)):
        jobs = jobs_of(labelled, rows, tmp_path / "of-table")
        assert [job.finished for job in jobs] == [finished, finished]
    splits = jobs_of(labelled, table, tmp_path / "of-table")[0].path / "splits.json"
    values = json.loads(splits.read_text())
    values["tasks"]["mood"]["lines"][0] += 1
    splits.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="its dev rows were chosen by another version"):
        jobs_of(labelled, table, tmp_path / "of-table")
    with pytest.raises(ConfigError, match="folds = 1: at least 2 are needed"):
        cross_validate(in_memory, tmp_path / "none", table, folds=1)


def test_data_that_no_fold_could_use_are_refused_before_training(tiny_encoder: Path, tmp_path: Path) -> None:
    toml = toml_of(tiny_encoder, tmp_path, rows=8)
    code, _, err = call("crossval", "--config", toml, "--folds", "4", "--out", tmp_path / "cv")
    assert code == 1
    assert "each side needs 2" in err
    assert not (tmp_path / "cv").exists()
    config = options.make(options.read(toml))
    with pytest.raises(ConfigError):
        make_jobs(options.change(config, tasks={"mood": {"labels": ["a", "b"]}}), 4, tmp_path / "cv")


def test_the_interval_counts_that_folds_share_their_training_rows() -> None:
    values = [0.70, 0.74, 0.72, 0.69, 0.75]
    low, high = interval(values)
    assert (low + high) / 2 == pytest.approx(np.mean(values))
    plain = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (high - low) / (plain[1] - plain[0]) == pytest.approx(np.sqrt(1 + 5 / 4))
