"""What a step of one configuration costs beside a step of another: both take turns in one process."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from statistics import median

import torch

from bertram.config import Config
from bertram.model.linear import Precision, choose_precision
from bertram.training import setup
from bertram.training.process_state import own_process_state
from bertram.training.setup import begin
from bertram.training.state import Training
from bertram.training.step import step
from bertram.training.train import choose_device

WARM_UP, ROUNDS = 2, 12
Kinds = Mapping[tuple[str, ...], float]  # tasks of a step -> share of the steps


def step_cost(config: Config, base: Config, rounds: int = ROUNDS) -> float:
    """Median ratio of the time of a mean step to that of the base, without evaluations and updates after an epoch.

    With one thread it is processor time, which other programs change little; else it is the clock.

    Args:
        config: configuration to measure.
        base: configuration to compare with.
        rounds: measured rounds, each with a step of each kind of both.

    Raises:
        ConfigError: a configuration or its data cannot be used.
    """
    with own_process_state(base):
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        other = _begun(base)
        sides = [_begun(config, measured=other.precision), other]
        kinds = [kinds_of_steps(training) for training in sides]
        ratios = []
        for _ in range(WARM_UP + rounds):
            own, plain = (_seconds(side, shares, clock) for side, shares in zip(sides, kinds, strict=True))
            ratios.append(own / plain)
        return median(ratios[WARM_UP:])


def _begun(config: Config, measured: Precision | None = None) -> Training:
    device = choose_device(config)
    training = begin(config, device, precision=choose_precision(config.precision, device, measured))
    _, training.data = training.teachers.measure(config, training.data)  # teachers' outputs cost a step nothing
    return training


def kinds_of_steps(training: Training) -> Kinds:
    """The tasks that the steps of a run have, and how many of the steps have them."""
    sampler = setup.make_sampler(training.config, training.data)
    counts = Counter(tuple(sampler.next()) for _ in range(sampler.total_steps))
    return {tasks: count / sampler.total_steps for tasks, count in counts.items()}


def _seconds(training: Training, kinds: Kinds, clock: Callable[[], float]) -> float:
    """Mean seconds of a step, from one of each kind."""
    total = 0.0
    for tasks, share in kinds.items():
        start = clock()
        places = {name: training.sampler.draw(name) for name in tasks}
        step(training.context, training.batches(places))
        training.context.objective.after_update()
        total += share * (clock() - start)
    return total
