"""A multi-label task's part of a submission: a table with the probability of each label, for dev and test."""

import csv
import io
from pathlib import Path

from bertram.data.examples import tokenized
from bertram.data.rows import Rows
from bertram.data.sources import Split
from bertram.prediction.model import Predictor
from bertram.tasks import Task


def file_name(task: str, split: str) -> str:
    """Name of the file of a task and split."""
    return f"{task}-{split}-output.csv"


def splits_with_files(task: Task, data: str) -> list[Split]:
    """The splits of a task that name a file."""
    files = task.hub if data == "hub" else task.files
    splits: tuple[Split, ...] = ("dev", "test")
    return [split for split in splits if files is not None and getattr(files, split) is not None]


def probability_table(model: Predictor, task: Task, rows: Rows, batch_size: int) -> str:
    """A CSV table of the id of each row and the probability of each label, with six digits."""
    outputs = model.outputs(tokenized(task, rows, model.tokenizer, model.max_tokens), batch_size)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *task.class_names])
    for row_id, probabilities in zip(rows.ids, outputs.tolist(), strict=True):
        writer.writerow([row_id, *(f"{probability:.6f}" for probability in probabilities)])
    return text.getvalue()


def write_table(path: Path, table: str) -> Path:
    """Write a table; gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table, encoding="utf-8")
    return path
