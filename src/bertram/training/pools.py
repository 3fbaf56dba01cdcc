"""The examples of a task, its own and those of further files, and how many of each make a batch."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Stratum:
    """Examples with one label, of which each pass over a file has a part.

    Attributes:
        places: numbers of the examples in their file.
        pass_count: number of them in a pass.
    """

    places: npt.NDArray[np.int64]
    pass_count: int


@dataclass(frozen=True)
class Source:
    """Further examples of a task, from one file.

    Attributes:
        name: name by which a checkpoint knows the file.
        size: number of examples.
        share: share of a batch that is drawn from them; None: in proportion to the number of examples in a pass.
        strata: parts of a pass by label; None: a pass has every example.
        labelled: whether the examples have gold labels.
    """

    name: str
    size: int
    share: float | None
    strata: tuple[Stratum, ...] | None = None
    labelled: bool = True

    @property
    def pass_size(self) -> int:
        """Number of examples in a pass."""
        return self.size if self.strata is None else sum(stratum.pass_count for stratum in self.strata)

    @property
    def most_frequent(self) -> float:
        """Largest share of the passes that any one example is in."""
        return 1.0 if self.strata is None else max(part.pass_count / len(part.places) for part in self.strata)


@dataclass(frozen=True)
class Pool:
    """The number of examples of a task, and how they make a batch.

    Attributes:
        size: number of the task's own examples.
        batch_size: examples of a batch.
        further: further examples, numbered from `size` on, one file after the other.
    """

    size: int
    batch_size: int
    further: tuple[Source, ...] = ()

    @cached_property
    def further_counts(self) -> tuple[int, ...]:
        """Number of examples of each further file in a batch: one or more where they fit beside one of the own."""
        shares = [source.share for source in self.further]
        rest = self.batch_size * (1 - sum(share for share in shares if share is not None))
        rows = self.size + sum(source.pass_size for source in self.further if source.share is None)
        counts = [
            max(round(rest * source.pass_size / rows if source.share is None else self.batch_size * source.share), 1)
            for source in self.further
        ]
        while sum(counts) >= self.batch_size and any(counts):
            counts[counts.index(max(counts))] -= 1
        return tuple(counts)

    def repetitions(self) -> dict[str, float]:
        """How often the most frequent example of each file without a share is drawn, for one draw of an own example.

        About 1 for a large file; a small one has a whole example of each batch all the same.
        """
        of_own = self.own / self.size
        return {
            source.name: count / source.pass_size * source.most_frequent / of_own
            for source, count in zip(self.further, self.further_counts, strict=True)
            if source.share is None and source.pass_size
        }

    @property
    def own(self) -> int:
        """Number of the task's own examples in a batch: at least one, and not all if there are further ones."""
        return max(self.batch_size - sum(self.further_counts), 1)

    @property
    def batches(self) -> int:
        """Number of batches of a whole pass."""
        return -(-self.size // self.own)
