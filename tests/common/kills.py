"""Trainings that are killed at random moments and resumed, in twelve configurations with all that has a state."""

import random
import signal
import time
from pathlib import Path
from typing import Any

from tests.common.child_processes import FORKSERVER, run_in_child, train_until_killed
from tests.common.trainings import tiny_config

from bertram import options
from bertram.config import Config

ALWAYS = {"save_minutes": 1e-9}  # a checkpoint after each step
FAST = {"lr": 1e-3, "head_lr": 1e-2}
SMALL = {**FAST, "embedding_update": "frozen", "warmup_ratio": 0.2, "lr_schedule": "linear"}
FEW_ROWS = {name: {"max_train_samples": 16} for name in ("sst", "quora", "sts")}
LAST = {"final_weights": "last"}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "joint steps": {
        "sampling": {"epochs": 6},
        "surgery": {"method": "gradvac", "granularity": "layer"},
        "smart": {"tasks": ["sst"], "bregman": "momentum"},
        "average": {"method": "tail", "tail_start": 0.4},
        "evaluation": {"eval_steps": 4, "early_stopping_patience": 2},
        "log": {"logging_steps": 2, "diagnostics_steps": 3},
    },
    "passes": {
        "sampling": {"order": "worst-last", "epochs": 3},
        "tasks": FEW_ROWS,
        "evaluation": LAST,
        "surgery": {"method": "pcgrad", "frequency": "epoch"},
        "rdrop": {"tasks": ["all"]},
        "average": {"method": "ema", "ema_decay": 0.9},
        "uncertainty_weighting": True,
        "optimizer": SMALL,
        "checkpoint": {"save_total_limit": 1},
    },
    "tasks by chance": {
        "sampling": {"order": "annealed", "epochs": 2},
        "smart": {"tasks": ["all"], "bregman": "vanilla", "bregman_update_steps": 3},
        "evaluation": LAST,
        "optimizer": SMALL,
        "log": {"diagnostics_steps": 4},
    },
    "rotating order": {"sampling": {"order": "rotating", "epochs": 3}, "tasks": FEW_ROWS, "optimizer": SMALL},
    "one task after another": {
        "sampling": {"order": "sequential", "epochs": 3},
        "tasks": FEW_ROWS,
        "optimizer": {**FAST, "embedding_update": "dense", "lr_schedule": "cosine", "layerwise_lr_decay": 0.8},
        "average": {"method": "ema", "ema_decay": 0.8},
    },
    "tasks in turn": {
        "sampling": {"order": "round-robin", "epochs": 2, "gradient_accumulation_steps": 2},
        "smart": {"tasks": ["quora", "sts"], "ascent_steps": 2, "dropout_masks": "independent"},
        "optimizer": SMALL,
    },
    "tasks by size": {
        "sampling": {"order": "temperature", "size_exponent": 0.5, "size_cap": 20, "epochs": 2},
        "optimizer": SMALL,
        "evaluation": {"eval_steps": 3, "early_stopping_patience": 3},
    },
    "tasks by root of their size": {
        "sampling": {"order": "square-root", "epochs": 2},
        "rdrop": {"tasks": ["sst"]},
        "smart": {"tasks": ["quora"], "dropout_masks": "off"},
        "optimizer": SMALL,
    },
    "brain floats": {
        "precision": "bf16",
        "sampling": {"epochs": 4},
        "surgery": {"method": "pcgrad"},
        "average": {"method": "tail", "tail_start": 0.0},
        "optimizer": SMALL,
    },
    "frozen encoder": {"model": {"freeze_encoder": True}, "sampling": {"epochs": 5}, "optimizer": FAST},
    "SMART as the package has it": {
        "sampling": {"epochs": 4},
        "smart": {"tasks": ["sst"], "variant": "smart-pytorch"},
        "surgery": {"method": "asymmetric", "main_task": "sst"},
        "optimizer": {**SMALL, "correct_bias": False},
    },
    "uncertainty": {
        "sampling": {"epochs": 4},
        "uncertainty_weighting": True,
        "model": {"both_orders": True},
        "surgery": {"method": "config"},
        "smart": {"tasks": ["all"], "bregman": "momentum"},
        "optimizer": FAST,
        "checkpoint": {"save_total_limit": 3},
    },
}


def configuration(encoder: Path, **changes: Any) -> Config:
    """A configuration that is saved after each step."""
    return options.change(tiny_config(encoder, checkpoint=ALWAYS), **changes)


def killed_after(config: Config, out: Path, lines: int, delay: float) -> int:
    """Train on, but be killed some time after so many more lines were logged; returns the exit code."""
    metrics = out / "metrics.jsonl"

    def logged() -> int:
        return metrics.read_bytes().count(b"\n") if metrics.exists() else 0

    process = FORKSERVER.Process(target=train_until_killed, args=(config, out, 0))
    wanted = logged() + lines
    process.start()
    while process.is_alive() and logged() < wanted:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def finish_in_spite_of_kills(config: Config, out: Path, chance: random.Random) -> int:
    """Train, and resume after each kill until the run is finished; returns the number of kills.

    Every other kill comes just before a file operation, the others between two of them or in the midst of anything.
    """
    kills, code = 0, -signal.SIGKILL
    while code:
        assert code == -signal.SIGKILL
        if kills % 2:
            code = killed_after(config, out, chance.randint(1, 3), chance.uniform(0, 0.03))
        else:
            code = run_in_child(train_until_killed, config, out, chance.randint(10, 60))
        kills += code != 0
    return kills
