"""BERTram's evaluation and prediction beside those of its peers.

    python -m benchmarks.prediction         a few minutes on 2 cores
    python -m benchmarks.prediction --quick  fewer rounds

The record goes to results/benchmarks/prediction-DATE.json; the pages show the records of `python -m benchmarks`.
"""

from benchmarks.common import side_by_side
from benchmarks.prediction.phases import PHASES

if __name__ == "__main__":
    side_by_side.main(PHASES, __doc__, "prediction-")
