"""The mean of kept predictions is what an ensemble answers."""

import gzip
import json
from pathlib import Path

import pytest

from tools.averaged import averaged, main


def write(file: Path, *rows: dict[str, object]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress("".join(f"{json.dumps(row)}\n" for row in rows).encode()))
    return file


def test_probabilities_and_scores_are_averaged_by_id(tmp_path: Path) -> None:
    for name, no, score in (("a", 0.6, 1.0), ("b", 0.2, 4.0)):
        dev = tmp_path / name / "predictions" / "dev"
        write(dev / "quora.jsonl.gz", {"id": "x", "value": int(no < 0.5), "probabilities": [no, 1 - no]})
        scores = [{"id": "x", "value": score}, {"id": "y", "value": 2.0}]
        write(dev / "sts.jsonl.gz", *(scores if name == "a" else scores[::-1]))
    main([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")])
    (pair,) = [json.loads(line) for line in (tmp_path / "out" / "quora.jsonl").read_text().splitlines()]
    assert (pair["value"], pair["probabilities"]) == (1, pytest.approx([0.4, 0.6]))
    scores = [json.loads(line) for line in (tmp_path / "out" / "sts.jsonl").read_text().splitlines()]
    assert scores == [{"id": "x", "value": 2.5}, {"id": "y", "value": 2.0}]


def test_other_ids_are_refused(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{id_}.jsonl.gz", {"id": id_, "value": 1.0}) for id_ in ("x", "y")]
    with pytest.raises(ValueError, match="other ids than in"):
        averaged(files)
