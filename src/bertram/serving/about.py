"""Public description of a run, as the web page and ``GET /tasks`` show it."""

from importlib.metadata import version
from pathlib import Path

from bertram.evaluation.caveats import notes
from bertram.model.outputs import output_of
from bertram.runs.directory import Run
from bertram.runs.scores import Score
from bertram.runs.typed_json import JsonObject, plain
from bertram.serving.examples import OPINION_PAIRS, PAIRS, TEXTS
from bertram.serving.messages import Limits, fields
from bertram.tasks import Task


def describe(run: Run, tasks: dict[str, Task], limits: Limits, engine: str = "torch") -> JsonObject:
    """The run, its tasks with their dev scores, the limits, and example texts."""
    scores = run.record.scores.dev
    return {
        "version": version("bertram"),
        "run": run.path.resolve().name,
        "encoder": encoder_name(run.config.encoder),
        "engine": engine,
        "notes": notes(run),
        "limits": {"texts": limits.texts, "characters": limits.characters, "body_bytes": limits.body_bytes},
        "tasks": [_task(task, scores.score(name, task.scored_by)) for name, task in tasks.items()],
        "examples": {"text": TEXTS, "pair": PAIRS, "both": OPINION_PAIRS},
    }


def encoder_name(source: str) -> str:
    """Public name of an encoder: only the last part of a path, which may hold private names."""
    is_path = source.startswith((".", "~", "/")) or source.count("/") > 1 or Path(source).exists()
    return Path(source).name if is_path else source


def _task(task: Task, score: Score | None) -> JsonObject:
    return {
        "name": task.name,
        "path": f"/predict/{task.name}",
        "kind": task.kind,
        "pair": task.pair,
        "fields": fields(task),
        "labels": task.class_names,
        "ordered": output_of(task).ordered,
        "range": task.label_space.bounds,
        "score": None if score is None else {"metric": task.scored_by} | plain(score, Score),
    }
