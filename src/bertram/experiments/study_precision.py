"""One precision for all runs of a study whose configuration says ``precision = "auto"``."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from bertram.config import Config
from bertram.errors import RunError
from bertram.model.linear import Precision, choose_precision
from bertram.runs.directory import Run
from bertram.training.precision import keep_precision, kept_precision
from bertram.training.process_state import own_process_state
from bertram.training.train import choose_device


def settle_precision(folder: Path, configs: Iterable[Config], finished: Iterable[Run]) -> None:
    """Keep in a results folder what auto means for its runs on a processor; a GPU needs no measurement.

    It is what auto has meant for most of the finished runs, or else measured.

    Args:
        folder: results folder.
        configs: configurations of the runs to start.
        finished: finished runs of the study, which may lie in other folders.

    Raises:
        RunError: the file is damaged, or cannot be written.
    """
    measuring = (config for config in configs if config.precision == "auto" and _on_processor(config))
    config = next(measuring, None)
    if config is None or kept_precision(folder) is not None:
        return
    earlier = Counter(_meant(finished)).most_common(1)
    with own_process_state(config):
        keep_precision(folder, choose_precision("auto", torch.device("cpu"), earlier[0][0] if earlier else None))


def _on_processor(config: Config) -> bool:
    try:
        return choose_device(config).type == "cpu"
    except RunError:  # the run will say so
        return False


def _meant(runs: Iterable[Run]) -> Iterator[Precision]:
    """What auto has meant for each training on a processor."""
    for record in (run.record for run in runs):
        is_auto = record.config.get("precision") == "auto" and record.provenance.host.device == "cpu"
        if is_auto and record.merged is None and record.precision is not None:
            yield "bf16" if record.precision == "bf16" else "fp32"
