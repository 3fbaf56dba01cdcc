"""Row 1 of the study: answers that need no model, scored and recorded as a run."""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bertram import options
from bertram.config import Config
from bertram.data.tokenizer import load_tokenizer
from bertram.evaluation.evaluate import Evaluation
from bertram.evaluation.files import baselines, confusions, keep_predictions
from bertram.model.pretrained import find
from bertram.runs.directory import FORMAT, Run, create
from bertram.runs.files import write_json
from bertram.runs.provenance import provenance
from bertram.tasks import Task
from bertram.training.display import Display
from bertram.training.run_data import read_data

LONGEST = 512  # tokens; texts are not read here, only their labels


def answer(config: Config, path: Path, *, yes: bool = False) -> Run:
    """Record what constant answers score: the middle class, always no or yes, and a random similarity.

    Args:
        config: whose data are used; the random similarity comes from its seed.
        path: the run directory; it must not exist yet.
        yes: always yes.
    """
    begun = time.monotonic()
    data = read_data(config, load_tokenizer(find(config.encoder)), LONGEST)
    generator = np.random.default_rng([config.seed, 1])
    outputs = {name: _constant(config.tasks[name], len(one), generator, yes=yes) for name, one in data.dev.items()}
    found = Evaluation(data.dev, outputs)
    run = Run(path) if (path / "config.toml").is_file() else create(path, config)
    keep_predictions(run, found, "dev")
    record = {
        "format": FORMAT,
        "recipe": config.recipe,
        "seed": config.seed,
        "config_hash": options.digest(config),
        "config": options.dump(config),
        "trained": False,
        "data": data.files,
        "scores": {"dev": found.scores()},
        "confusion": confusions(found),
        "baselines": {name: baselines(one, data.own_labels(name)) for name, one in data.dev.items()},
        "seconds": {"training": 0.0, "final_evaluation": round(time.monotonic() - begun, 1)},
        **provenance(torch.device("cpu")),
    }
    write_json(run.path / "record.json", record)
    return run


def always_no(config: Config, path: Path, display: Display) -> Run:  # noqa: ARG001 - nothing takes time
    """Row 1: neutral, no, a random similarity."""
    return answer(config, path)


def always_yes(config: Config, path: Path, display: Display) -> Run:  # noqa: ARG001
    """Row 1 with yes for no."""
    return answer(config, path, yes=True)


def _constant(task: Task, count: int, generator: np.random.Generator, *, yes: bool) -> Tensor:
    """Outputs in the form of `Predictor.outputs`: [n, K], or [n] scores drawn evenly from the label range."""
    answer = task.label_space.constant(yes=yes)
    if answer is None:
        return torch.from_numpy(generator.uniform(*task.range, count))
    return F.one_hot(torch.full((count,), answer), task.classes).float()
