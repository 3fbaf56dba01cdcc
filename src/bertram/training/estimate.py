"""Steps, time and memory of a run, estimated from its configuration and a few measured steps."""

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from bertram.config import Config
from bertram.data.examples import Examples
from bertram.evaluation.evaluate import evaluate, sample
from bertram.prediction.load import save_model
from bertram.runs.provenance import peak_memory_mib
from bertram.training import setup
from bertram.training.process_state import own_process_state
from bertram.training.setup import begin
from bertram.training.state import Training
from bertram.training.step import step
from bertram.training.train import choose_device

WARM_UP, MEASURED = 3, 12  # steps of each kind
DEV_SAMPLE = 256  # examples of each task that are predicted to measure the speed of evaluation


@dataclass(frozen=True)
class TaskEstimate:
    """The examples of one task.

    Attributes:
        train_examples: the task's own training examples; 0 where it is not trained.
        dev_examples: dev examples.
        epoch_examples: mean number of training examples in an epoch.
        epoch_tokens: real tokens of these examples, special tokens included.
    """

    train_examples: int
    dev_examples: int
    epoch_examples: float
    epoch_tokens: int


@dataclass(frozen=True)
class Estimate:
    """The expected size, duration and memory of a run.

    Attributes:
        steps: number of steps.
        steps_per_epoch: number of steps in an epoch.
        training_minutes: duration of the steps and of the saves between them.
        evaluation_minutes: duration of all evaluations, the final one included.
        teacher_minutes: duration of the computation of all teachers' outputs, if none is kept; 0 without teachers.
        peak_memory_mib: peak memory of the process; None where the operating system does not say.
        tasks: each task's examples.
        parameters: number of parameters.
        trained_parameters: number of parameters that are trained.
    """

    steps: int
    steps_per_epoch: int
    training_minutes: float
    evaluation_minutes: float
    teacher_minutes: float
    peak_memory_mib: int | None
    tasks: dict[str, TaskEstimate]
    parameters: int
    trained_parameters: int

    @property
    def minutes(self) -> float:
        """Duration of the whole run."""
        return self.training_minutes + self.evaluation_minutes + self.teacher_minutes


def estimate(config: Config) -> Estimate:
    """Measure a few steps and a part of an evaluation, and extrapolate.

    Raises:
        ConfigError: the configuration or the data cannot be used; all faults are named.
    """
    with own_process_state(config):
        return _measured(begin(config, choose_device(config)))


def _measured(training: Training) -> Estimate:
    """The estimate from a training before its first step."""
    config = training.config
    in_teachers, training.data = training.teachers.measure(config, training.data)
    sampler, data = training.sampler, training.data
    steps, examples_seen = _course(training)
    in_steps = sum(_step_seconds(training, tasks) * count for tasks, count in steps.items())
    evaluations = -(-sampler.total_steps // (config.evaluation.eval_steps or sampler.steps_per_epoch))
    example_seconds, save_seconds = _evaluation_seconds(training), _save_seconds(training)

    def seconds(splits: dict[str, Examples]) -> float:
        return sum(example_seconds[name] * len(examples) for name, examples in splits.items())

    in_evaluations = seconds(data.watched) * evaluations + seconds(data.dev) + seconds(data.train_sample)
    if sampler.order.scores_each_epoch:
        in_evaluations += config.sampling.epochs * seconds(data.train_sample)
    in_saves = evaluations * save_seconds + in_steps / (60 * config.checkpoint.save_minutes) * 3 * save_seconds
    parameters = list(training.model.network.parameters())
    return Estimate(
        steps=sampler.total_steps,
        steps_per_epoch=sampler.steps_per_epoch,
        training_minutes=(in_steps + in_saves) / 60,
        evaluation_minutes=in_evaluations / 60,
        teacher_minutes=in_teachers / 60,
        peak_memory_mib=peak_memory_mib(),
        tasks={name: _task_estimate(training, name, examples_seen.get(name, 0)) for name in config.tasks},
        parameters=sum(p.numel() for p in parameters),
        trained_parameters=sum(p.numel() for p in parameters if p.requires_grad),
    )


def _task_estimate(training: Training, name: str, examples_seen: int) -> TaskEstimate:
    """The examples of a task, of which the whole run sees `examples_seen`."""
    data, per_epoch = training.data, examples_seen / training.config.sampling.epochs
    tokens = round(per_epoch * _tokens(data.train[name])) if name in data.train else 0
    return TaskEstimate(data.own.get(name, 0), len(data.dev[name]), per_epoch, tokens)


def _course(training: Training) -> tuple[Counter[tuple[str, ...]], dict[str, int]]:
    """Number of steps by their tasks, and number of examples seen of each task."""
    sampler = setup.make_sampler(training.config, training.data)
    steps = Counter(tuple(sampler.next()) for _ in range(sampler.total_steps))
    return steps, sampler.seen()


def _tokens(examples: Examples) -> float:
    """Mean number of real tokens of an example, special ones included."""
    chosen = sample(examples, 500, seed=0)
    return sum(len(ids) for ids, _ in chosen.batch(range(len(chosen))).sequences) / len(chosen)


def _step_seconds(training: Training, tasks: Sequence[str]) -> float:
    """Seconds of a step of some tasks, with what follows a step."""
    times = []
    for number in range(1, WARM_UP + MEASURED + 1):
        start = time.perf_counter()
        places = {name: training.sampler.draw(name) for name in tasks}
        step(training.context, training.batches(places))
        training.context.objective.after_update()
        training.average.update(number)
        times.append(time.perf_counter() - start)
    return fmean(times[WARM_UP:])


def _evaluation_seconds(training: Training) -> dict[str, float]:
    """Seconds to predict one example of each task."""
    seconds = {}
    for name, examples in training.data.dev.items():
        chosen = sample(examples, DEV_SAMPLE, seed=1)
        start = time.perf_counter()
        evaluate(training.model, {name: chosen}, training.config.evaluation.batch_size)
        seconds[name] = (time.perf_counter() - start) / len(chosen)
    return seconds


def _save_seconds(training: Training) -> float:
    """Seconds to write the weights once."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        save_model(training.model, Path(directory) / "model")
        return time.perf_counter() - start
