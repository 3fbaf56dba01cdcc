"""Records and tables of words over time: what a study says about gold, without the usages, which are not ours to give.

``python -m tools.semantic_change STUDY/change.json results/semantic-change/NAME.json`` keeps a record;
``python -m tools.semantic_change`` writes the table of all records.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools import RESULTS
from tools.markdown import table

FOLDER = RESULTS / "semantic-change"
MEASURES = ("apd-cosine", "apd-euclidean", "apd-canberra", "prt", "jsd", "entropy-difference")


def record(study: dict[str, Any]) -> dict[str, Any]:
    """The part of a change.json that holds no text of a usage."""
    gold = study["gold"]
    kept = {name: study[name] for name in ("encoder", "fingerprint", "settings", "periods")}
    counts = {"words": len(study["words"]), "usages": sum(sum(word["counts"].values()) for word in study["words"])}
    return kept | counts | {name: gold[name] for name in ("correlations", "differences")}


def rows(name: str, study: dict[str, Any]) -> Iterator[list[str]]:
    """A row for each layer: Spearman's correlation of each measure with its interval."""
    cells = {(one["layer"], one["measure"]): one for one in study["correlations"]}
    for layer in dict.fromkeys(layer for layer, _ in cells):
        found = [cells.get((layer, measure)) for measure in MEASURES]
        yield [name, layer, *("" if one is None else _cell(one) for one in found)]


def _cell(correlation: dict[str, Any]) -> str:
    low, high = correlation["ci95"]
    return f"{correlation['value']:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    """Keep a record, or write the table of all records."""
    if len(sys.argv) == 3:
        study, target = map(Path, sys.argv[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(record(json.loads(study.read_text())), indent=1) + "\n")
        return
    body = [row for path in sorted(FOLDER.glob("*.json")) for row in rows(path.stem, json.loads(path.read_text()))]
    print(table(["gold", "layers", *MEASURES], body))


if __name__ == "__main__":
    main()
