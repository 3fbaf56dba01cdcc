"""The examples of each step.

The order of a task's examples is a function of the seed and of the task's name: it depends neither on the order of the
tasks nor on the other tasks.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bertram.config import SamplingConfig
from bertram.runs.checkpoint import State
from bertram.training.orders import make_order
from bertram.training.pools import Pool, Stratum

Places = npt.NDArray[np.int64]


@dataclass
class Stream:
    """The examples of one task, pass after pass, each pass shuffled anew."""

    size: int  # of a pass
    seed: int
    name: str
    position: int = 0  # examples drawn so far
    strata: Sequence[Stratum] | None = None  # parts of a pass by label; None: a pass has every example
    _pass: tuple[int, Places] | None = field(default=None, repr=False)

    def draw(self, count: int) -> Places:
        """The next `count` examples; a new pass begins where one ends."""
        parts = [np.empty(0, dtype=np.int64)]
        while count:
            number, begin = divmod(self.position, self.size)
            places = self._permutation(number)[begin : begin + count]
            parts.append(places)
            self.position += len(places)
            count -= len(places)
        return np.concatenate(parts)

    def _permutation(self, number: int) -> Places:
        if self._pass is None or self._pass[0] != number:
            generator = np.random.default_rng([self.seed, zlib.crc32(self.name.encode()), number])
            self._pass = number, generator.permutation(self._chosen(generator))
        return self._pass[1]

    def _chosen(self, generator: np.random.Generator) -> int | Places:
        """The examples of a pass: all of them, or a part of each stratum, drawn anew."""
        if self.strata is None:
            return self.size
        return np.concatenate([generator.permutation(stratum.places)[: stratum.pass_count] for stratum in self.strata])


class Sampler:
    """The batches of a run, in order.

    Args:
        pools: trained tasks, in the order of the configuration.
        config: sampling settings of the run.
        seed: random seed of the run.

    Attributes:
        order: order of the tasks.
        step: number of steps taken.

    Raises:
        ConfigError: an epoch of so few steps leaves none to a task.
    """

    def __init__(self, pools: Mapping[str, Pool], config: SamplingConfig, seed: int) -> None:
        self.pools, self.order = dict(pools), make_order(pools, config, seed)
        self.step = 0
        self._own = {name: Stream(pool.size, seed, name) for name, pool in pools.items()}
        self._further = {
            f"{name}/{source.name}": Stream(source.pass_size, seed, f"{name}/{source.name}", strata=source.strata)
            for name, pool in pools.items()
            for source in pool.further
        }

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in an epoch."""
        return self.order.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Number of steps of the run."""
        return self.order.total_steps

    def next(self) -> dict[str, Places]:
        """The examples of the next step, by task."""
        names = self.order.tasks(self.step)
        self.step += 1
        return {name: self.draw(name) for name in names}

    def draw(self, name: str) -> Places:
        """The next batch of one task."""
        pool, stream = self.pools[name], self._own[name]
        places = [stream.draw(self.order.own_examples(name, stream.position))]
        begin = pool.size
        for source, count in zip(pool.further, pool.further_counts, strict=True):
            places.append(begin + self._further[f"{name}/{source.name}"].draw(count))
            begin += source.size
        return np.concatenate(places)

    def seen(self) -> dict[str, int]:
        """Number of examples of each task drawn so far, further examples included."""
        return {
            name: stream.position
            + sum(self._further[f"{name}/{source.name}"].position for source in self.pools[name].further)
            for name, stream in self._own.items()
        }

    def state_dict(self) -> State:
        """State for a checkpoint."""
        return {
            "step": self.step,
            "order": self.order.state_dict(),
            "own": {name: stream.position for name, stream in self._own.items()},
            "further": {name: stream.position for name, stream in self._further.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.step = state["step"]
        self.order.load_state_dict(state["order"])
        further = state.get("further") or {f"{name}/extra": at for name, at in state.get("extra", {}).items()}
        for streams, positions in ((self._own, state["own"]), (self._further, further)):
            for name, position in positions.items():
                streams[name].position = position
