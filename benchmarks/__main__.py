"""BERTram beside its peers, in one process, on the same sentences, weights and mathematics.

    python -m benchmarks                    everything, less than 15 minutes on 2 cores
    python -m benchmarks --quick            fewer rounds
    python -m benchmarks.training           the training step and its memory only
    python -m benchmarks.prediction         evaluation and prediction only
    python -m tools.pages                   puts the tables of the newest record into docs/performance.md

Both sides take turns round by round, so that a machine whose speed drifts is fair to both: the ratios count, not the
times. Before anything is timed, the losses of both sides are compared in fp32 without dropout. The record goes to
results/benchmarks/.
"""

from collections.abc import Sequence

from benchmarks.common import side_by_side
from benchmarks.prediction import phases as prediction
from benchmarks.training import phases as training


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all phases and write a record."""
    side_by_side.main({**training.PHASES, **prediction.PHASES}, __doc__, "", arguments)


if __name__ == "__main__":
    main()
