"""Copy the finished runs of a study into results/: `python -m tools.collect FROM TO [--without-predictions]`.

Logs, locks and models stay behind; so do predictions, if that is asked for, and with them `asked.json`: such a table
cannot be computed again, and is made from its own values.
"""

import shutil
import sys
from pathlib import Path

from bertram.experiments.ablation_table import TABLE as ABLATION
from bertram.experiments.equal_time import STEP_COSTS
from bertram.experiments.looks import LOOKS
from bertram.experiments.request import REQUEST
from bertram.minbert.table_1_values import TABLE as TABLE_1

OF_A_STUDY = (REQUEST, ABLATION, TABLE_1, STEP_COSTS, LOOKS)
OF_A_RUN = ("config.toml", "record.json")
PREDICTIONS = "predictions"


def collect(source: Path, target: Path, *, predictions: bool = True) -> list[str]:
    """Copy a study.

    Args:
        source: results folder of the study.
        target: folder below results/.
        predictions: whether dev predictions are copied.

    Returns:
        Names of the finished runs.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in OF_A_STUDY:
        wanted = name != REQUEST or (predictions and not (target / REQUEST).is_file())  # the first forecast stays
        if wanted and (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    runs = sorted(path.parent for path in source.glob("*/record.json"))
    for run in runs:
        (target / run.name).mkdir(exist_ok=True)
        for name in OF_A_RUN:
            shutil.copyfile(run / name, target / run.name / name)
        if predictions:
            shutil.copytree(run / PREDICTIONS, target / run.name / PREDICTIONS, dirs_exist_ok=True)
    return [run.name for run in runs]


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(arguments: list[str]) -> None:
    """Copy, and say how much there is."""
    source, target = (Path(word) for word in arguments[:2])
    names = collect(source, target, predictions="--without-predictions" not in arguments)
    print(f"{len(names)} finished runs in {target}, {size(target) / 1e6:.1f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
