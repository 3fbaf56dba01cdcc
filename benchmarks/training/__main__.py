"""BERTram's training step beside that of its peers: agreement of the losses, times, peak memory.

    python -m benchmarks.training           less than 15 minutes on 2 cores
    python -m benchmarks.training --quick   fewer rounds

The record goes to results/benchmarks/training-DATE.json; the pages show the records of `python -m benchmarks`.
"""

from benchmarks.common import side_by_side
from benchmarks.training.phases import PHASES

if __name__ == "__main__":
    side_by_side.main(PHASES, __doc__, "training-")
