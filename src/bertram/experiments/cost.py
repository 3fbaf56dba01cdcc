"""Estimates of the time of runs, from the seconds of earlier records or from a few measured steps.

One rough count of work serves all recipes: how many texts go through the encoder, a backward pass counting twice. The
seconds of known runs say what a unit of it takes on this machine.
"""

from collections.abc import Sequence
from functools import lru_cache
from statistics import fmean

from bertram.config import Config
from bertram.data.rows import read_further, read_rows
from bertram.errors import DataError
from bertram.experiments.budget import dev_rows, train_rows
from bertram.experiments.schedule import Job
from bertram.runs.directory import Run
from bertram.tasks import Task
from bertram.training.orders import Order, make_order
from bertram.training.pools import Pool, Source
from bertram.training.run_data import TRAIN_SAMPLE, further_source


def work(config: Config) -> float:
    """Passes of texts through the encoder that a run takes, all in all."""
    order = order_of(config)
    training = sum(
        order.expected_examples(name) * _passes(config, name) * config.tasks[name].encodings_per_example
        for name in order.pools
    )
    every = config.evaluation.eval_steps or order.steps_per_epoch
    evaluations = -(-order.total_steps // every)
    predicting = 0.0
    for name, task in config.tasks.items():
        rows = dev_rows(task, config)
        watched = min(rows, config.evaluation.max_interim_samples or rows)
        sample = TRAIN_SAMPLE * (name in order.pools) * (1 + config.sampling.epochs * order.scores_each_epoch)
        predicting += (watched * evaluations + rows + sample) * task.encodings_per_example
    return training + predicting


def order_of(config: Config) -> Order:
    """The order of a run's tasks, by the rows of its files."""
    pools = {
        name: Pool(_used(config, name), task.batch_size or config.sampling.batch_size, _further(task, config))
        for name, task in config.tasks.items()
        if task.trained
    }
    return make_order(pools, config.sampling, config.seed)


def _further(task: Task, config: Config) -> tuple[Source, ...]:
    return _read_further(task.model_dump_json(), config.data, config.allow_rejects) if task.further else ()


@lru_cache(maxsize=64)
def _read_further(task_json: str, data: str, allow_rejects: bool) -> tuple[Source, ...]:
    task = Task.model_validate_json(task_json)
    own = read_rows(task, data, "train", allow_rejects=allow_rejects)
    return tuple(
        further_source(task, place, own, read_further(task, place, data, allow_rejects=allow_rejects))
        for place in task.further
    )


def seconds_per_work(runs: Sequence[Run], data: str) -> float | None:
    """Seconds per unit of work in finished runs; None if there are none to compare with.

    Args:
        runs: finished runs, trained on the same data files.
        data: directory of these files now; the one that a record names need not be here.
    """
    done = [run for run in runs if run.record.trained]
    try:
        total = sum(work(run.config.model_copy(update={"data": data})) for run in done)
    except DataError:  # the files have other names here
        return None
    return sum(seconds(run) for run in done) / total if done else None


def measured_seconds_per_work(config: Config) -> float:
    """Seconds per unit of work, measured on a few steps of a configuration."""
    from bertram.training.estimate import estimate  # noqa: PLC0415 - rarely needed

    return 60 * estimate(config).minutes / work(config)


def seconds(run: Run) -> float:
    """Seconds that a finished run took."""
    return run.record.seconds.total


def hours(jobs: Sequence[Job], per_work: float) -> dict[str, float]:
    """Expected hours of each run that is not finished, by its key; from the same experiment's seeds where they are."""
    seconds_by_name: dict[str, list[float]] = {}
    for job in jobs:
        if job.finished:
            seconds_by_name.setdefault(job.name, []).append(seconds(Run(job.path)))
    return {
        job.key: (fmean(seconds_by_name[job.name]) if job.name in seconds_by_name else _guess(job, per_work)) / 3600
        for job in jobs
        if not job.finished
    }


def _guess(job: Job, per_work: float) -> float:
    return 10.0 if job.constant else work(job.config) * per_work


def _used(config: Config, name: str) -> int:
    task = config.tasks[name]
    rows = train_rows(task, config)
    return min(task.max_train_samples or rows, max(2, round(config.sampling.fraction * rows)))


def _passes(config: Config, name: str) -> float:
    """Passes of one training example; a forward pass is 1, a backward pass 2."""
    if config.model.freeze_encoder:
        return 1.0
    s, passes = config.smart, 3.0
    if name in config.chosen("smart"):
        passes += 3.0 * (s.ascent_steps + 1) * (s.weight > 0)  # each ascent step, and the perturbed pass
        passes += 1.0 * (s.bregman != "off")
    return passes * (2.0 if name in config.chosen("rdrop") else 1.0)
