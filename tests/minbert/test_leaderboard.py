"""Leaderboard files are exact to the byte, and read back the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertram.comparison.prediction_files import read_predictions
from bertram.errors import BertramError
from bertram.minbert.leaderboard import write_submission

OUTPUTS: dict[str, dict[str, dict[str, Any]]] = {  # numbers of any type
    "sst": {"dev": {"a1": 3, "a2": 0}, "test": {"b1": np.int64(4)}},
    "quora": {"dev": {"c1": 1, "c2": 0.0}, "test": {"d1": True}},
    "sts": {"dev": {"e1": 0.1 + 0.2, "e2": 5.0}, "test": {"f1": np.float32(0.1), "f2": -1e-7}},
}


def test_the_six_leaderboard_files_to_the_byte(tmp_path: Path) -> None:
    paths = write_submission(tmp_path / "new" / "out", OUTPUTS)
    assert {path.name: path.read_bytes() for path in paths} == {
        "sst-dev-output.csv": b"id \t Predicted_Sentiment \na1 , 3 \na2 , 0 \n",
        "sst-test-output.csv": b"id \t Predicted_Sentiment \nb1 , 4 \n",
        "para-dev-output.csv": b"id \t Predicted_Is_Paraphrase \nc1 , 1 \nc2 , 0 \n",
        "para-test-output.csv": b"id \t Predicted_Is_Paraphrase \nd1 , 1 \n",
        "sts-dev-output.csv": b"id \t Predicted_Similiary \ne1 , 0.30000000000000004 \ne2 , 5.0 \n",
        "sts-test-output.csv": b"id \t Predicted_Similiary \nf1 , 0.10000000149011612 \nf2 , -1e-07 \n",
    }
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == {path.name for path in paths}


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    for path, expected in zip(
        write_submission(tmp_path, OUTPUTS),
        [split for task in OUTPUTS.values() for split in task.values()],
        strict=True,
    ):
        assert read_predictions(path) == expected


def test_nothing_is_written_when_anything_is_missing_or_wrong(tmp_path: Path) -> None:
    outputs: dict[str, dict[str, dict[str, float]]] = {
        "sst": {"dev": {"a": 5}, "test": {"b": 1.5}},
        "quora": {"dev": {"c": 1}},
        "sts": {"dev": {"e": float("nan")}, "test": {"f": 1.0}},
    }
    with pytest.raises(BertramError) as error:
        write_submission(tmp_path / "out", outputs)
    message = str(error.value)
    for problem in (
        "sst dev: values that the task does not have: 1 ('a' is 5)",
        "'b' is 1.5",
        "no predictions for quora test",
        "'e' is nan",
    ):
        assert problem in message
    assert not (tmp_path / "out").exists()
