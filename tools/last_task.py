"""Test the study's claim that a model is best on the task it saw last: `python -m tools.last_task FOLDER [DATA]`.

FOLDER has finished runs of the order `sequential` with each task last (`--sampling.first_task`); DATA is the directory
of the gold labels, if it is not the one that the runs name.
"""

import argparse
import sys
from pathlib import Path

from bertram.errors import BertramError
from bertram.minbert.last_task import LastTaskClaim, claim
from bertram.runs.directory import Run, open_run


def finished_runs(folder: Path) -> list[Run]:
    """The finished runs of a results folder."""
    return [open_run(path.parent) for path in sorted(folder.glob("*/record.json"))]


def lines(result: LastTaskClaim) -> list[str]:
    """Verdicts and notes, a line each."""
    seeds = ", ".join(f"{last} last: {len(by_seed)}" for last, by_seed in result.runs.items())
    return [*result.sentences(), f"seeds: {seeds}", *result.notes]


def main() -> None:
    """Print the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("data", nargs="?", metavar="DATA")
    chosen = parser.parse_args()
    try:
        print("\n".join(lines(claim(finished_runs(chosen.folder), chosen.data))))
    except BertramError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
