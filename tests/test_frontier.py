"""The frontier of recorded runs: which runs count, and which no quicker one equals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.common.records import PROVENANCE, record_of, scores

from bertram import recipes
from bertram.runs.record import write_record
from bertram.runs.record_parts import Distilled, Parameters, Seconds, TeacherInfo
from bertram.runs.scores import Score
from tools.frontier import PRETRAINING, Point, draw, frontier, points, table

TASKS = {"sst": {"trained": True}, "quora": {"trained": True}, "sts": {"trained": True}}


def record(
    folder: Path,
    name: str,
    minutes: float,
    overall: float,
    threads: int = 2,
    *,
    parameters: int = 22_700_000,
    teachers: tuple[str, ...] = (),
    outputs_seconds: float | None = None,
    **config: Any,
) -> None:
    path = folder / "group" / name
    path.mkdir(parents=True)
    quora = {"accuracy": Score(0.5, (0.4, 0.6), 9)}
    taught = [TeacherInfo(f"runs/search/{teacher}", "", ["sst"], 0.5) for teacher in teachers]
    values = record_of(
        recipes.baseline(),
        scores({"quora": quora}, overall),
        seconds=Seconds(60 * minutes),
        precision="fp32",
        parameters=Parameters(parameters, parameters),
        distilled=Distilled(taught, {}, {}, outputs_seconds) if taught else None,
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


def test_each_size_has_a_frontier_of_its_own(tmp_path: Path) -> None:
    record(tmp_path, "small", minutes=5, overall=0.7)
    record(tmp_path, "large", minutes=3, overall=0.8, parameters=109_000_000, encoder="mpnet")
    record(tmp_path, "larger-and-worse", minutes=4, overall=0.75, parameters=109_000_000, encoder="mpnet")
    best = frontier(points(tmp_path))
    assert [(run.size, run.name) for run in best] == [("22.7 M", "small"), ("109 M", "large")]


def test_what_a_run_builds_on_counts(tmp_path: Path) -> None:
    facts = tmp_path / "group" / "further" / PRETRAINING
    facts.parent.mkdir(parents=True)
    facts.write_text(json.dumps({"seconds": 600, "threads": 1}))
    record(tmp_path, "large", minutes=40, overall=0.8, parameters=109_000_000, encoder="runs/search/further")
    record(tmp_path, "student", minutes=30, overall=0.77, teachers=("large", "first"))
    record(tmp_path, "taught", minutes=30, overall=0.77, teachers=("first",), outputs_seconds=300)
    record(tmp_path, "first", minutes=20, overall=0.75)
    minutes = {run.name: (run.minutes, run.minutes_in_all) for run in points(tmp_path)}
    assert minutes == {"first": (20, 20), "large": (40, 45), "student": (30, 95), "taught": (30, 55)}


def test_a_student_of_a_teacher_without_a_record_does_not_count(tmp_path: Path) -> None:
    record(tmp_path, "student", minutes=30, overall=0.77, teachers=("elsewhere",))
    assert points(tmp_path) == []


def test_it_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = [
        Point("g", "n", size, 3.0, minutes, 1, "fp32", 0.7, (0.69, 0.71), 100)
        for size, minutes in (("22.7 M", 3.0), ("109 M", 300.0))
    ]
    draw(runs, tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")
