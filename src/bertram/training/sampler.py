"""Which examples of which task come next.

Everything here is a function of the seed and of how many steps were taken, so that two runs which differ in one
technique see the same batches, and a run that is resumed goes on with the very next one.

What an epoch is: with `sequential`, `rotating` and `worst-last` a whole pass over each task; with all others as
many examples as all tasks have together, so that a small task is seen more often than once and a large one less, unless
tasks are drawn in proportion to their sizes.
`sampling.epoch_of` makes it a pass over one task, and `sampling.steps_per_epoch` a number of steps, of which each task
then has its part as in whole passes, going on in the next epoch where it stopped.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bertram.config import WHOLE_PASSES, SamplingConfig
from bertram.errors import ConfigError

Places = npt.NDArray[np.int64]

ANNEALED = (1.0, 0.2)  # alpha in the first step, and in the last


@dataclass
class Stream:
    """The examples of one task, pass after pass, each pass shuffled anew."""

    size: int
    seed: int
    name: str
    position: int = 0  # examples drawn so far
    _pass: tuple[int, Places] | None = field(default=None, repr=False)

    def draw(self, count: int) -> Places:
        """The next `count` examples; a new pass begins where one ends."""
        drawn = [np.empty(0, dtype=np.int64)]
        while count:
            number, begin = divmod(self.position, self.size)
            places = self._permutation(number)[begin : begin + count]
            drawn.append(places)
            self.position += len(places)
            count -= len(places)
        return np.concatenate(drawn)

    def _permutation(self, number: int) -> Places:
        if self._pass is None or self._pass[0] != number:
            generator = np.random.default_rng([self.seed, zlib.crc32(self.name.encode()), number])
            self._pass = number, generator.permutation(self.size)
        return self._pass[1]


@dataclass(frozen=True)
class Pool:
    """How many examples a task has, and how many of them make a batch."""

    size: int
    batch_size: int
    extra: int = 0  # further examples, numbered from `size` on
    extra_share: float = 0.0  # of each batch

    @property
    def own(self) -> int:
        """Of a batch, how many come from the task's own examples: at least one, and not all if there are others."""
        if not self.extra:
            return self.batch_size
        others = max(round(self.batch_size * self.extra_share), 1)
        return max(self.batch_size - others, 1)

    @property
    def batches(self) -> int:
        """Of a whole pass."""
        return -(-self.size // self.own)


class Sampler:
    """The batches of a run, in order.

    Args:
        pools: the trained tasks, in the order of the configuration.
        config: the order and its settings.
        seed: of the run.
    """

    def __init__(self, pools: Mapping[str, Pool], config: SamplingConfig, seed: int) -> None:
        self.pools, self.config, self.seed = dict(pools), config, seed
        self.names = list(pools)
        self.steps_per_epoch = config.steps_per_epoch or self._epoch()
        self._require_steps_for_all()
        self.total_steps = self.steps_per_epoch * config.epochs
        self.step = 0
        self.last = self.names[-1]  # worst-last: the task that closes the epoch
        self._own = {name: Stream(pool.size, seed, name) for name, pool in pools.items()}
        self._extra = {name: Stream(pool.extra, seed, f"{name}/extra") for name, pool in pools.items() if pool.extra}

    def next(self) -> dict[str, Places]:
        """The examples of the next step: those of one task, or of all of them with `joint`."""
        names = self._next_tasks()
        self.step += 1
        return {name: self.draw(name) for name in names}

    def draw(self, name: str) -> Places:
        """The next batch of one task."""
        pool, stream = self.pools[name], self._own[name]
        own = pool.own
        if self.config.order in WHOLE_PASSES and self.config.steps_per_epoch is None:
            own = min(own, pool.size - stream.position % pool.size)  # the last batch of a pass is smaller
        places = stream.draw(own)
        if name in self._extra:
            places = np.concatenate([places, pool.size + self._extra[name].draw(pool.batch_size - pool.own)])
        return places

    def epoch_order(self) -> list[str]:
        """The order of the tasks in the epoch of the next step, where an epoch has passes."""
        if self.config.order == "rotating":
            turn = self.step // self.steps_per_epoch % len(self.names)
            return self.names[turn:] + self.names[:turn]
        if self.config.order == "worst-last":
            return [name for name in self.names if name != self.last] + [self.last]
        return self.names

    def seen(self) -> dict[str, int]:
        """How many examples of each task were drawn so far, further examples included."""
        return {
            name: stream.position + (self._extra[name].position if name in self._extra else 0)
            for name, stream in self._own.items()
        }

    def probabilities(self) -> npt.NDArray[np.float64]:
        """How likely each task is to be drawn in the next step."""
        return self._probabilities(self._alpha())

    def _probabilities(self, alpha: float) -> npt.NDArray[np.float64]:
        sizes = np.array([pool.size for pool in self.pools.values()], dtype=np.float64)
        if self.config.order == "temperature" and self.config.size_cap:
            sizes = np.minimum(sizes, self.config.size_cap)
        weights = sizes**alpha
        return np.asarray(weights / weights.sum())

    def _mean_probabilities(self) -> npt.NDArray[np.float64]:
        """Over the whole run."""
        alphas = np.linspace(*ANNEALED, 101) if self.config.order == "annealed" else [self._alpha()]
        return np.asarray(np.mean([self._probabilities(alpha) for alpha in alphas], axis=0))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {
            "step": self.step,
            "last": self.last,
            "own": {name: stream.position for name, stream in self._own.items()},
            "extra": {name: stream.position for name, stream in self._extra.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step, self.last = state["step"], state["last"]
        for streams, positions in ((self._own, state["own"]), (self._extra, state["extra"])):
            for name, position in positions.items():
                streams[name].position = position

    def _epoch(self) -> int:
        pools = list(self.pools.values())
        if self.config.order in WHOLE_PASSES:
            return self._passes()
        turns = 1 if self.config.order == "joint" else len(pools)  # steps until each task has had one
        if self.config.epoch_of is not None:
            return self.pools[self.config.epoch_of].batches * turns
        examples, own = sum(pool.size for pool in pools), np.array([pool.own for pool in pools])
        if self.config.order in ("joint", "round-robin"):
            return -(-examples * turns // int(own.sum()))
        return math.ceil(round(examples / float(self._mean_probabilities() @ own), 6))

    def _require_steps_for_all(self) -> None:
        if self.config.order not in WHOLE_PASSES:
            return
        passes, smallest = self._passes(), min(self.pools, key=lambda name: self.pools[name].batches)
        needed = -(-passes // self.pools[smallest].batches)
        if self.steps_per_epoch < needed:
            given = f"sampling.steps_per_epoch: {self.steps_per_epoch} steps"
            raise ConfigError([f"{given} leave none to {smallest}; give {needed} or more"])

    def _next_tasks(self) -> Sequence[str]:
        if self.config.order == "joint":
            return self.names
        if self.config.order in WHOLE_PASSES:
            return [self._of_pass()]
        if self.config.order == "round-robin":
            return [self.names[self.step % len(self.names)]]
        generator = np.random.default_rng([self.seed, zlib.crc32(b"which task"), self.step])
        return [str(generator.choice(self.names, p=self.probabilities()))]

    def _passes(self) -> int:
        """Batches of a whole pass over each task."""
        return sum(pool.batches for pool in self.pools.values())

    def _of_pass(self) -> str:
        # steps_per_epoch stretches the passes
        within = self.step % self.steps_per_epoch * self._passes() // self.steps_per_epoch
        *others, last = self.epoch_order()
        for name in others:
            if within < self.pools[name].batches:
                return name
            within -= self.pools[name].batches
        return last

    def _alpha(self) -> float:
        if self.config.order == "annealed":  # Stickland & Murray (2019), over the whole run instead of its epochs
            first, last = ANNEALED
            return first + (last - first) * self.step / max(self.total_steps - 1, 1)
        return {"proportional": 1.0, "square-root": 0.5}.get(self.config.order, self.config.size_exponent)
