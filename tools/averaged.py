"""Average the kept dev predictions of runs: what an ensemble of them would answer, without their weights.

    python -m tools.averaged results/strong/mpnet-pairs-seed0 results/strong/best-bi-seed0 --out averaged
    bertram score averaged/quora.jsonl DIR/quora-dev.csv --task quora

For tasks with classes, yes or no, or scores. Kept probabilities are rounded to four digits, so that a few decisions may
differ from those of `bertram ensemble`.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ENDING = ".jsonl.gz"


def averaged(files: Sequence[Path]) -> list[dict[str, Any]]:
    """The mean prediction for each id of the first file, in the form of a file of predictions.

    Raises:
        ValueError: the files have other ids.
    """
    first, *others = [{row["id"]: row for row in _rows(file)} for file in files]
    if any(other.keys() != first.keys() for other in others):
        raise ValueError(f"other ids than in {files[0]}")
    field = "probabilities" if all("probabilities" in row for row in first.values()) else "value"
    means = np.mean([[rows[id_][field] for id_ in first] for rows in (first, *others)], axis=0)
    if field == "value":
        return [{"id": id_, "value": float(mean)} for id_, mean in zip(first, means, strict=True)]
    return [
        {"id": id_, "value": int(mean.argmax()), "probabilities": mean.tolist()}
        for id_, mean in zip(first, means, strict=True)
    ]


def _rows(file: Path) -> list[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the mean predictions, a file for each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories with predictions for dev")
    parser.add_argument("--out", type=Path, required=True, help="directory of the mean predictions")
    chosen = parser.parse_args(arguments)
    folders = [run / "predictions" / "dev" for run in chosen.runs]
    chosen.out.mkdir(parents=True, exist_ok=True)
    for file in sorted(folders[0].glob(f"*{ENDING}")):
        rows = averaged([folder / file.name for folder in folders])
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (chosen.out / file.name.removesuffix(".gz")).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
