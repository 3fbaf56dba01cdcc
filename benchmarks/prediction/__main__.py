"""BERTram's evaluation and prediction beside those of its peers.

    python -m benchmarks.prediction         a few minutes on 2 cores
    python -m benchmarks.prediction --quick  fewer rounds

The record goes to results/benchmarks/prediction-DATE.json; the pages show the records of `python -m benchmarks`.
"""

from collections.abc import Sequence

from benchmarks.common import side_by_side
from benchmarks.prediction.phases import PHASES


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the phases of prediction and write a record."""
    side_by_side.main(PHASES, __doc__, "prediction-", arguments)


if __name__ == "__main__":
    main()
