"""Copy the finished runs of a study into results/: `python -m tools.collect FROM TO [--without-predictions]`.

Logs, locks and models stay behind; so do predictions, if that is asked for, and with them `asked.json`: such a table
cannot be computed again, and is made from its own values. The forecast in an `asked.json` that was copied before stays,
since it was made before the runs.
"""

import argparse
import json
import shutil
from pathlib import Path

from bertram.experiments.ablation_table import TABLE as ABLATION
from bertram.experiments.equal_time import STEP_COSTS
from bertram.experiments.looks import LOOKS
from bertram.experiments.request import REQUEST
from bertram.minbert.table_1_values import TABLE as TABLE_1
from bertram.runs.files import write_json

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
        if name != REQUEST and (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    if predictions and (source / REQUEST).is_file():
        _copy_request(source / REQUEST, target / REQUEST)
    runs = sorted(path.parent for path in source.glob("*/record.json"))
    for run in runs:
        (target / run.name).mkdir(exist_ok=True)
        for name in OF_A_RUN:
            shutil.copyfile(run / name, target / run.name / name)
        if predictions:
            shutil.copytree(run / PREDICTIONS, target / run.name / PREDICTIONS, dirs_exist_ok=True)
    return [run.name for run in runs]


def _copy_request(source: Path, target: Path) -> None:
    """Copy asked.json, but for the forecast if there was one."""
    request = json.loads(source.read_text())
    if target.is_file():
        request["power"] = json.loads(target.read_text()).get("power") or request.get("power")
    write_json(target, request)


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Copy, and say how much there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="FROM")
    parser.add_argument("target", type=Path, metavar="TO")
    parser.add_argument("--without-predictions", action="store_true")
    chosen = parser.parse_args()
    names = collect(chosen.source, chosen.target, predictions=not chosen.without_predictions)
    print(f"{len(names)} finished runs in {chosen.target}, {size(chosen.target) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
