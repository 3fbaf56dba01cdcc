"""BERTram's training step beside that of its peers: agreement of the losses, times, peak memory.

    python -m benchmarks.training           less than 15 minutes on 2 cores
    python -m benchmarks.training --quick   fewer rounds

The record goes to results/benchmarks/training-DATE.json; the pages show the records of `python -m benchmarks`.
"""

from collections.abc import Sequence

from benchmarks.common import side_by_side
from benchmarks.training.phases import PHASES


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the phases of training and write a record."""
    side_by_side.main(PHASES, __doc__, "training-", arguments)


if __name__ == "__main__":
    main()
