"""Gold labels by id, for predictions that are made up."""

from bertram.comparison.gold import labels_by_id
from bertram.data.rows import read_rows
from bertram.tasks import Task


def dev_labels(task: Task, data: str = "sample") -> dict[str, float]:
    """Id -> label of the usable dev rows."""
    return labels_by_id(read_rows(task, data, "dev"))
