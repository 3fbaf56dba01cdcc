"""Finished runs of studies with made-up predictions, whose truth is known."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.common.gold import dev_labels
from tests.common.records import files_of, record_of

from bertram.config import Config
from bertram.evaluation.scoring import TaskOutputs, score_run
from bertram.runs.directory import Run, create, write_predictions
from bertram.runs.record import write_record
from bertram.runs.record_parts import Seconds


def made_up_run(path: Path, config: Config, quality: Mapping[str, float], *, seen: int = 100) -> Run:
    """A run that is right about a share of each task's examples, whose predictions differ by its seed.

    Which examples are right is drawn once for all runs of a seed, so that runs of a seed differ by their quality alone.

    Args:
        path: run directory.
        config: configuration of the run.
        quality: task -> share of right classes; for scores the correlation is about that.
        seen: examples that the run has seen of each task.
    """
    run = create(path, config)
    outputs = {}
    for name, task in config.tasks.items():
        generator = np.random.default_rng([config.seed, len(name)])
        gold = dev_labels(task, config.data)
        values = np.array(list(gold.values()))
        good = quality[name] + 0.01 * generator.normal()
        probabilities = None
        if task.kind == "score":
            noise = generator.normal(scale=values.std(), size=len(values))
            predicted = np.clip(good * values + (1 - good) * noise, *task.range)
        else:
            right = generator.random(len(values)) < good
            predicted = np.where(right, values, (values + 1) % task.classes)
            rest = (1 - good) / (task.classes - 1)
            probabilities = [[good if k == value else rest for k in range(task.classes)] for value in predicted]
        write_predictions(run.predictions(name), list(gold), predicted.tolist(), probabilities)
        outputs[name] = TaskOutputs(task.label_space, values, predicted, task.scored_by)
    record = record_of(config, score_run(outputs), data=files_of(config), seconds=Seconds(60.0))
    write_record(run.path, replace(record, examples_seen=dict.fromkeys(config.tasks, seen)))
    return run
