"""Task orders: the tasks of each step, and the length of an epoch.

An order is a function of the seed and of the number of steps taken. Two runs that differ in one technique therefore see
the same batches, and a resumed run continues with the next one. Only `WorstLast` has a state: a run's scores decide
which task closes the next epoch.

`sampling.epoch_of` makes an epoch a pass over one task. `sampling.steps_per_epoch` makes it a number of steps; where an
order has whole passes, each task then has its part of the steps, and a pass continues in the next epoch.
"""

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from bertram.config import OrderName, SamplingConfig
from bertram.errors import ConfigError
from bertram.runs.checkpoint import State
from bertram.training.pools import Pool

Scores = Callable[[], Mapping[str, float]]


class Order(ABC):
    """The tasks of each step of a run, and the length of its epochs.

    Args:
        pools: trained tasks, in the order of the configuration.
        config: sampling settings of the run.
        seed: random seed of the run.

    Attributes:
        steps_per_epoch: number of steps in an epoch.
        total_steps: number of steps of the run.
        scores_each_epoch: True if the train sample is scored after each epoch.
    """

    scores_each_epoch: ClassVar[bool] = False

    def __init__(self, pools: Mapping[str, Pool], config: SamplingConfig, seed: int) -> None:
        self.pools, self.config, self.seed = dict(pools), config, seed
        self.names = list(pools)
        self.steps_per_epoch = config.steps_per_epoch or self._epoch_steps()
        self.total_steps = self.steps_per_epoch * config.epochs

    @abstractmethod
    def tasks(self, step: int) -> Sequence[str]:
        """The tasks of a step, counted from 0."""

    @abstractmethod
    def step_shares(self) -> Mapping[str, float]:
        """The share of a run's steps that have a batch of each task; an expectation if tasks are drawn."""

    @abstractmethod
    def _epoch_steps(self) -> int:
        """Number of steps in an epoch, if the configuration gives none."""

    @abstractmethod
    def _epoch(self) -> str:
        """An epoch in words, if the configuration gives no number of steps."""

    @property
    def epoch(self) -> str:
        """An epoch in words."""
        return f"{self.config.steps_per_epoch} steps" if self.config.steps_per_epoch else self._epoch()

    def own_examples(self, name: str, position: int) -> int:  # noqa: ARG002 - where passes are whole, the last is small
        """Number of a task's own examples in a batch that begins after `position` of them."""
        return self.pools[name].own

    def expected_examples(self, name: str) -> float:
        """The number of examples of a task that a run sees; an expectation if tasks are drawn."""
        return self.total_steps * self.step_shares()[name] * self.pools[name].batch_size

    def unseen(self) -> list[str]:
        """Tasks that get no example in the whole run, because it is so short."""
        unseen = dict.fromkeys(self.names)
        for step in range(self.total_steps):
            for name in self.tasks(step):
                unseen.pop(name, None)
            if not unseen:
                break
        return list(unseen)

    def end_epoch(self, scores: Scores) -> Mapping[str, object]:  # noqa: ARG002 - most orders do not ask for scores
        """Prepare the next epoch.

        Args:
            scores: computes each task's score on the train sample, on [0, 1].

        Returns:
            Fields for the metrics log; none if nothing was decided.
        """
        return {}

    def state_dict(self) -> State:
        """State for a checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - most orders have no state
        """Restore the state of a checkpoint."""


class Sequential(Order):
    """A whole pass over each task, one task after the other."""

    def __init__(self, pools: Mapping[str, Pool], config: SamplingConfig, seed: int) -> None:
        super().__init__(pools, config, seed)
        begin = 0 if config.first_task is None else self.names.index(config.first_task)
        self.names = self.names[begin:] + self.names[:begin]
        smallest = min(self.names, key=lambda name: self.pools[name].batches)
        needed = -(-self._passes() // self.pools[smallest].batches)
        if self.steps_per_epoch < needed:
            setting = f"sampling.steps_per_epoch: {self.steps_per_epoch} steps"
            raise ConfigError([f"{setting} leave none to {smallest}; give {needed} or more"])

    def turns(self, epoch: int) -> list[str]:  # noqa: ARG002 - the same in all epochs
        """The order of the passes in an epoch, counted from 0."""
        return self.names

    def tasks(self, step: int) -> Sequence[str]:
        """The task whose pass is under way."""
        epoch, within = divmod(step, self.steps_per_epoch)
        batch = within * self._passes() // self.steps_per_epoch  # steps_per_epoch stretches the passes
        *earlier, last = self.turns(epoch)
        for name in earlier:
            if batch < self.pools[name].batches:
                return [name]
            batch -= self.pools[name].batches
        return [last]

    def own_examples(self, name: str, position: int) -> int:
        """The rest of the pass where that is smaller than a batch."""
        pool = self.pools[name]
        if self.config.steps_per_epoch is not None:
            return pool.own
        return min(pool.own, pool.size - position % pool.size)

    def step_shares(self) -> Mapping[str, float]:
        """Shares in proportion to the batches of a pass."""
        return {name: pool.batches / self._passes() for name, pool in self.pools.items()}

    def expected_examples(self, name: str) -> float:
        """Every own example once in each epoch, unless an epoch is a number of steps."""
        if self.config.steps_per_epoch is not None:
            return super().expected_examples(name)
        pool = self.pools[name]
        return float((pool.size + sum(pool.further_counts) * pool.batches) * self.config.epochs)

    def _epoch_steps(self) -> int:
        return self._passes()

    def _epoch(self) -> str:
        return "a whole pass over each task"

    def _passes(self) -> int:
        """Number of batches of a whole pass over each task."""
        return sum(pool.batches for pool in self.pools.values())


class Rotating(Sequential):
    """Whole passes; each epoch begins one task later than the one before."""

    def turns(self, epoch: int) -> list[str]:
        """The order of the passes in an epoch, counted from 0."""
        begin = epoch % len(self.names)
        return self.names[begin:] + self.names[:begin]


class WorstLast(Sequential):
    """Whole passes; the task with the lowest score on the train sample closes the next epoch.

    Attributes:
        last: task that closes the epoch.
    """

    scores_each_epoch = True

    def __init__(self, pools: Mapping[str, Pool], config: SamplingConfig, seed: int) -> None:
        super().__init__(pools, config, seed)
        self.last = self.names[-1]

    def turns(self, epoch: int) -> list[str]:  # noqa: ARG002 - the scores decide
        """The order of the passes in the epoch that is under way."""
        return [name for name in self.names if name != self.last] + [self.last]

    def end_epoch(self, scores: Scores) -> Mapping[str, object]:
        """Choose the task that closes the next epoch."""
        values = scores()
        self.last = min(self.names, key=lambda name: values[name])
        return {"last_task": self.last}

    def state_dict(self) -> State:
        """State for a checkpoint."""
        return {"last": self.last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.last = state["last"]


class Cycle(Order):
    """Every task gets a batch in turn, so that a small task is seen more often than once, and a large one less.

    Attributes:
        steps_per_cycle: number of steps until each task has had a batch.
    """

    @property
    @abstractmethod
    def steps_per_cycle(self) -> int:
        """Number of steps until each task has had a batch."""

    def step_shares(self) -> Mapping[str, float]:
        """Equal shares of all tasks."""
        return dict.fromkeys(self.names, 1 / self.steps_per_cycle)

    def _epoch_steps(self) -> int:
        if self.config.epoch_of is not None:
            return self.pools[self.config.epoch_of].batches * self.steps_per_cycle
        pools = self.pools.values()
        return -(-sum(pool.size for pool in pools) * self.steps_per_cycle // sum(pool.own for pool in pools))

    def _epoch(self) -> str:
        if self.config.epoch_of is not None:
            return f"a whole pass over {self.config.epoch_of}"
        return "as many examples as all tasks have together"


class Joint(Cycle):
    """A batch of every task in each step."""

    steps_per_cycle = 1

    def tasks(self, step: int) -> Sequence[str]:  # noqa: ARG002 - the same in all steps
        """All tasks."""
        return self.names


class RoundRobin(Cycle):
    """A batch of one task in each step, the tasks taking turns."""

    @property
    def steps_per_cycle(self) -> int:
        """Number of tasks."""
        return len(self.names)

    def tasks(self, step: int) -> Sequence[str]:
        """The task whose turn it is."""
        return [self.names[step % len(self.names)]]


class SampledOrder(Order):
    """A batch of one task in each step, drawn with a probability in proportion to size^alpha."""

    @property
    @abstractmethod
    def alphas(self) -> tuple[float, float]:
        """The alpha of the first step of the run, and that of the last."""

    def tasks(self, step: int) -> Sequence[str]:
        """A task drawn with the probabilities of the step."""
        generator = np.random.default_rng([self.seed, zlib.crc32(b"which task"), step])
        return [str(generator.choice(self.names, p=self.probabilities(step)))]

    def probabilities(self, step: int) -> npt.NDArray[np.float64]:
        """The probability of each task in a step."""
        first, last = self.alphas
        return self._probabilities(first + (last - first) * step / max(self.total_steps - 1, 1))

    def step_shares(self) -> Mapping[str, float]:
        """The mean probability of each task over the run."""
        return dict(zip(self.names, self._mean_probabilities().tolist(), strict=True))

    def _epoch_steps(self) -> int:
        examples = sum(pool.size for pool in self.pools.values())
        own = np.array([pool.own for pool in self.pools.values()])
        return math.ceil(round(examples / float(self._mean_probabilities() @ own), 6))

    def _epoch(self) -> str:
        return "as many examples as all tasks have together"

    def _mean_probabilities(self) -> npt.NDArray[np.float64]:
        alphas = np.linspace(*self.alphas, 101)
        return np.asarray(np.mean([self._probabilities(alpha) for alpha in alphas], axis=0))

    def _probabilities(self, alpha: float) -> npt.NDArray[np.float64]:
        sizes = np.array([pool.size for pool in self.pools.values()], dtype=np.float64)
        weights = np.minimum(sizes, self.config.size_cap or np.inf) ** alpha
        return np.asarray(weights / weights.sum())


class Proportional(SampledOrder):
    """Tasks drawn in proportion to their sizes."""

    alphas = (1.0, 1.0)


class SquareRoot(SampledOrder):
    """Tasks drawn in proportion to the square roots of their sizes."""

    alphas = (0.5, 0.5)


class Annealed(SampledOrder):
    """Tasks drawn with an alpha that falls from 1 to 0.2 over the run (Stickland & Murray, 2019: over its epochs)."""

    alphas = (1.0, 0.2)


class Temperature(SampledOrder):
    """Tasks drawn in proportion to size^alpha, with the alpha and the largest size of the configuration."""

    @property
    def alphas(self) -> tuple[float, float]:
        """`sampling.size_exponent` in all steps."""
        return self.config.size_exponent, self.config.size_exponent


ORDERS: dict[OrderName, type[Order]] = {
    "sequential": Sequential,
    "rotating": Rotating,
    "worst-last": WorstLast,
    "joint": Joint,
    "round-robin": RoundRobin,
    "proportional": Proportional,
    "square-root": SquareRoot,
    "annealed": Annealed,
    "temperature": Temperature,
}


def make_order(pools: Mapping[str, Pool], config: SamplingConfig, seed: int) -> Order:
    """The order that a configuration names.

    Raises:
        ConfigError: an epoch of so few steps leaves none to a task.
    """
    return ORDERS[config.order](pools, config, seed)
