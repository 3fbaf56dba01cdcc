"""ONNX graphs: token ids in, pooled states and the answers of all tasks out, for any number and length of inputs."""

import json
from collections.abc import Sequence
from pathlib import Path

from bertram.export.hf import save_tokenizer
from bertram.prediction.engines.making import FP32, Int8Choice, save_graph
from bertram.prediction.engines.multitask_graph import exported_graph, graph_task
from bertram.prediction.model import Model
from bertram.runs.typed_json import JsonObject
from bertram.tasks import Task

ALL_TASKS = "model.onnx"  # the graph of all tasks
USAGE = """\
```python
import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

with open("tasks.json", encoding="utf-8") as file:
    TASKS = json.load(file)
tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation({max_tokens})
tokenizer.enable_padding()
sessions = {{}}


def prepared(text, task):
    if task["text_normalization"] == "course":  # as the texts of the training were
        text = text.lower()
        if task["texts"] == 2:
            for mark in ".?,'":
                text = text.replace(mark, " " + mark)
    return text.strip()


def predict(name, examples):
    \"\"\"Probabilities or scores of raw texts, or of pairs of raw texts, one row for each example.\"\"\"
    task = TASKS[name]
    if task["texts"] == 1:
        sequences = [prepared(text, task) for text in examples]
    else:
        pairs = [tuple(prepared(text, task) for text in pair) for pair in examples]
        if task["encoding"] == "bi":  # each text alone
            sequences = [a for a, _ in pairs] + [b for _, b in pairs]
        elif task["sequences"] == 2:  # both orders
            sequences = pairs + [(b, a) for a, b in pairs]
        else:
            sequences = pairs
    rows = tokenizer.encode_batch(sequences)
    feed = {{
        "input_ids": np.array([row.ids for row in rows]),
        "attention_mask": np.array([row.attention_mask for row in rows]),
        "token_type_ids": np.array([row.type_ids for row in rows]),
        "first": np.arange(len(examples)),
        "second": np.arange(len(rows) - len(examples), len(rows)),
    }}
    if task["graph"] not in sessions:
        sessions[task["graph"]] = onnxruntime.InferenceSession(task["graph"])
    session = sessions[task["graph"]]
    inputs = {{entry.name: feed[entry.name] for entry in session.get_inputs()}}
    return session.run([task["output"]], inputs)[0]


results = {{}}
{examples}```

A graph takes any number of examples of any length up to {max_tokens} tokens. `tasks.json` has the place of each task:
its graph, the output with its probabilities or scores, the one with its decisions, and the labels in the order of the
probabilities. The output `pooled` is the vector of each sequence.{further}
"""
SHARED = """ All tasks share one pass of the encoder: ask `session.run` for the
outputs of several tasks, and they are computed together."""
ONE_BY_ONE = """
In int8 one scale holds for all that is computed together, so an answer depends a little on the examples beside it;
`predict` was measured with one example at a time."""


def save_graphs(
    model: Model, tasks: Sequence[Task], directory: Path, *, per_task: bool = False, choice: Int8Choice = FP32
) -> None:
    """Write the graph or graphs, the tokenizer, and `tasks.json` with the place of each task.

    Args:
        model: model to export.
        tasks: tasks to export.
        directory: directory to write to.
        per_task: write a graph for each task, rather than one with the encoder once.
        choice: weights in int8.

    Raises:
        BertramError: a task cannot be exported, or the package onnx is not installed.
    """
    graphs = {f"{task.name}.onnx": [task] for task in tasks} if per_task else {ALL_TASKS: list(tasks)}
    directory.mkdir(parents=True, exist_ok=True)
    for name, its_tasks in graphs.items():
        graph = exported_graph(
            model,
            its_tasks,
            int8=choice.weights,
            levels=choice.levels,
            metadata={"tasks": json.dumps([task.name for task in its_tasks])},
        )
        save_graph(graph, directory / name)
    save_tokenizer(model, directory, segments=True)
    described = {task.name: _described(model, task, name) for name, its_tasks in graphs.items() for task in its_tasks}
    text = json.dumps(described, indent=2, ensure_ascii=False)
    (directory / "tasks.json").write_text(text + "\n", encoding="utf-8")


def _described(model: Model, task: Task, graph: str) -> JsonObject:
    bounds, place = task.label_space.bounds, graph_task(model, task)
    return {
        "graph": graph,
        "output": place.output,
        "decision": place.value,
        "texts": 2 if task.pair else 1,
        "encoding": task.encoding if task.pair else None,
        "sequences": place.rows,
        "text_normalization": task.text_normalization,
        "labels": list(task.class_names),
        "range": bounds and list(bounds),
    }


def usage(model: Model, tasks: Sequence[Task], *, per_task: bool = False, int8: bool = False) -> str:
    """Instructions for the graphs, for the model card."""
    shared = SHARED if len(tasks) > 1 and not per_task else ""
    return USAGE.format(
        max_tokens=model.max_tokens,
        examples="".join(_example(task) for task in tasks),
        further=shared + (ONE_BY_ONE if int8 else ""),
    )


def _example(task: Task) -> str:
    example = '("A lovely film.", "It\'s a fine movie!")' if task.pair else '"A lovely film."'
    name = json.dumps(task.name, ensure_ascii=False)
    return f"results[{name}] = predict({name}, [{example}])\n"
