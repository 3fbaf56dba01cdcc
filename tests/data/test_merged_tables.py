"""One table with half-empty columns gives each task the rows of its own file."""

import csv
from collections.abc import Sequence
from pathlib import Path

import polars
import pytest

from bertram.data.memory import tables_of
from bertram.data.rows import read_rows
from bertram.data.sources import DataSource
from bertram.data.tables import open_table
from bertram.sample import directory as sample_directory
from bertram.tasks import QUORA, SST, STS, Task

TASKS = (SST, QUORA, STS)


def merged(directory: Path, split: str) -> list[dict[str, str]]:
    """The rows of the three files below one header; a task's columns are empty in the rows of the others."""
    rows: list[dict[str, str]] = []
    for task in TASKS:
        wanted = [*task.files.texts, task.files.label]
        with open_table(directory / str(getattr(task.files, split))) as table:
            rows += [{name: str(record.values.get(name, "")) for name in wanted} for record in table.read(wanted)]
    names = list(dict.fromkeys(name for task in TASKS for name in (*task.files.texts, task.files.label)))
    return [{name: row.get(name, "") for name in names} for row in rows]


def of_table(task: Task, name: str) -> Task:
    files = task.files.model_copy(update={"train": name, "dev": name, "id": None})
    return task.model_copy(update={"files": files})


def check_same_rows(directory: Path, tmp_path: Path, split: str) -> None:
    rows = merged(directory, split)
    with (tmp_path / "all.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    in_memory = DataSource("memory", tables_of({"train": polars.DataFrame(rows)}, []))
    for task in TASKS:
        own = read_rows(task, str(directory), "train" if split == "train" else "dev", allow_rejects=True)
        sources: Sequence[str | DataSource] = (str(tmp_path), in_memory)
        for source in sources:
            read = read_rows(of_table(task, "all.csv"), source, "train", allow_rejects=True)
            assert read.texts == own.texts
            assert read.labels is not None
            assert own.labels is not None
            assert read.labels.tolist() == own.labels.tolist()
            assert read.unlabelled + len(read) + len(read.rejects) == len(rows)


def test_the_sample_in_one_table_has_the_rows_of_its_files(tmp_path: Path) -> None:
    check_same_rows(sample_directory(), tmp_path, "train")


@pytest.mark.slow
@pytest.mark.real_data
def test_the_course_files_in_one_table_have_their_rows(real_data: Path, tmp_path: Path) -> None:
    check_same_rows(real_data, tmp_path, "train")
