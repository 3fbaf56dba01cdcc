"""The frontier of recorded runs: which runs count, and which no quicker one equals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.common.records import PROVENANCE, record_of, scores

from bertram import recipes
from bertram.runs.record import Seconds, write_record
from bertram.runs.scores import Score
from tools.frontier import Point, draw, frontier, points, table

TASKS = {"sst": {"trained": True}, "quora": {"trained": True}, "sts": {"trained": True}}


def record(folder: Path, name: str, minutes: float, overall: float, threads: int = 2, **config: Any) -> None:
    path = folder / "group" / name
    path.mkdir(parents=True)
    quora = {"accuracy": Score(0.5, (0.4, 0.6), 9)}
    values = record_of(
        recipes.baseline(),
        scores({"quora": quora}, overall),
        seconds=Seconds(60 * minutes),
        precision="fp32",
        provenance=replace(PROVENANCE, host=replace(PROVENANCE.host, threads=threads)),
    )
    write_record(path, replace(values, config={**values.config, "data": "dir", "tasks": TASKS} | config))


def test_time_is_that_of_two_cores_both_used(tmp_path: Path) -> None:
    record(tmp_path, "one", minutes=10, overall=0.5, threads=1)
    record(tmp_path, "two", minutes=10, overall=0.5, threads=2)
    assert [(run.name, run.minutes) for run in points(tmp_path)] == [("one", 5), ("two", 10)]


def test_only_trainings_of_all_three_tasks_on_real_data_count(tmp_path: Path) -> None:
    record(tmp_path, "toy", minutes=1, overall=0.9, data="sample")
    record(tmp_path, "constant", minutes=0, overall=0.4)
    record(tmp_path, "two-tasks", minutes=1, overall=0.8, tasks={"sst": {}, "quora": {}})
    record(tmp_path, "second-stage", minutes=1, overall=0.8, encoder="runs/first/hf")
    record(tmp_path, "untrained", minutes=1, overall=0.8, tasks=TASKS | {"sts": {"trained": False}})
    assert points(tmp_path) == []


def test_the_frontier_has_no_run_that_a_quicker_one_equals(tmp_path: Path) -> None:
    for name, minutes, overall in (("a", 1, 0.6), ("b", 2, 0.6), ("c", 3, 0.7), ("d", 4, 0.65), ("e", 3, 0.69)):
        record(tmp_path, name, minutes, overall)
    runs = points(tmp_path)
    assert [run.name for run in frontier(runs)] == ["a", "c"]
    assert len(list(table(runs))) == 4


def test_it_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw([Point("g", "n", 3.0, 1, "fp32", 0.7, (0.69, 0.71), 100)], tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")
