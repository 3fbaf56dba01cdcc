"""Predictions as a table: the columns of the input, those of the prediction, and scores as of JSONL."""

import csv
import io
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from tests.common.commands import Outcome, call

from bertram import sample
from bertram.comparison.prediction_files import match_predictions
from bertram.prediction.prediction_table import Carried, PredictionTable
from bertram.tasks import SST, STS

TABLE = 'id;label;index;sentence\na7;4;x;a fine film\nb8;1;y;\nc9;0;z;"a dull; long film"\n'
LINE = {"id": "a", "value": 1, "label": "bad", "probabilities": dict.fromkeys(SST.class_names, 0.2)}


def predict(run: Path, source: Path, out: Path, *words: object) -> Outcome:
    return call("predict", run, source, "--task", "sst", "--out", out, *words)


def cells(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_a_table_has_the_columns_of_the_input_and_the_prediction(tiny_runs: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text(TABLE)
    outcome = predict(tiny_runs / "cross-0", source, tmp_path / "out.csv")
    assert outcome.code == 0, outcome.err
    assert f"{tmp_path}/out.csv: 2 rows predicted" in outcome.err
    rows = cells(tmp_path / "out.csv")
    assert [(row["id"], row["label"], row["sentence"]) for row in rows] == [
        ("a7", "4", "a fine film"),
        ("c9", "0", "a dull; long film"),
    ]
    names = ["predicted index", "predicted label", *(f"probability of {name}" for name in SST.class_names)]
    assert list(rows[0]) == ["id", "label", "index", "sentence", *names]
    assert predict(tiny_runs / "cross-0", source, tmp_path / "out.tsv").code == 0
    assert cells(tmp_path / "out.tsv", "\t") == rows
    matched = match_predictions(tmp_path / "out.csv", {"a7": 4, "c9": 0}, SST.label_space)
    assert matched.predicted.tolist() == [float(row["predicted index"]) for row in rows]
    assert matched.probabilities is not None
    assert predict(tiny_runs / "cross-1", tmp_path / "out.csv", tmp_path / "twice.csv").code == 0
    assert predict(tiny_runs / "cross-1", source, tmp_path / "once.csv").code == 0
    shares = []
    for path in (tmp_path / "twice.csv", tmp_path / "once.csv"):
        shares.append(match_predictions(path, {"a7": 4, "c9": 0}, SST.label_space).probabilities)
        path.unlink()
    assert np.array_equal(np.asarray(shares[0]), np.asarray(shares[1]))  # those of the later model
    doubled = tmp_path / "doubled.csv"
    doubled.write_text("sentence,note,note\na film,x,y\n")
    assert "names the column 'note' more than once" in predict(tiny_runs / "cross-0", doubled, tmp_path / "no.csv").err
    doubled.unlink()
    again = predict(tiny_runs / "cross-0", source, tmp_path / "out.csv")
    assert (again.code, "exists already" in again.err) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv", "out.tsv"]


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("out.csv", ("--output-format", "jsonl"), "--out writes CSV as FILE.csv, TSV as FILE.tsv, and JSONL under any"),
        ("out.jsonl", ("--output-format", "csv"), "--out writes CSV as FILE.csv, TSV as FILE.tsv, and JSONL under any"),
        ("out.jsonl", ("--keep-columns",), "JSONL has no columns of the input; --out FILE.csv has them"),
        ("out.parquet", (), "predictions are written as .jsonl, .csv or .tsv"),
        ("out.csv.gz", (), "predictions are written as .jsonl, .csv or .tsv"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_at_once(
    tmp_path: Path, name: str, words: tuple[str, ...], message: str
) -> None:
    code, _, err = predict(tmp_path / "no run", tmp_path / "no file", tmp_path / name, *words)
    assert code == 1
    assert message in err


def test_nothing_is_left_of_a_table_without_rows(tiny_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("sentence\n\n")
    outcome = predict(tiny_runs / "cross-0", tmp_path / "in.csv", tmp_path / "out.csv")
    assert (outcome.code, "no usable rows" in outcome.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_columns_of_the_input_and_of_the_prediction_have_different_names() -> None:
    file = io.StringIO()
    rows: Carried = deque([{"value": "7", "predicted value": "8", "text": "a"}])
    PredictionTable(file, STS, carried=rows).write({"id": "1", "value": 2.5})
    assert file.getvalue() == "value,predicted value,text,id,predicted predicted value\n7,8,a,1,2.5\n"


def test_withheld_predictions_are_empty_and_say_so() -> None:
    file = io.StringIO()
    table = PredictionTable(file, SST, abstaining=True)
    table.write({**LINE, "abstained": False})
    table.write({**LINE, "id": "b", "value": None, "label": None, "abstained": True})
    header, first, second = file.getvalue().splitlines()
    assert header.split(",")[:4] == ["id", "index", "label", "abstained"]
    assert first.startswith("a,1,bad,false,0.2")
    assert second.startswith("b,,,true,0.2")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_answered_rows_are_scored_with_their_coverage(tiny_runs: Path, tmp_path: Path, name: str) -> None:
    gold = sample.directory() / "ids-sst-dev.csv"
    plain, out = tmp_path / "plain.csv", tmp_path / name
    assert predict(tiny_runs / "cross-0", gold, plain).code == 0
    rows = cells(plain)
    shares = [max(float(row[f"probability of {label}"]) for label in SST.class_names) for row in rows]
    middle = sorted(set(shares))[len(set(shares)) // 2 - 1 :]
    limit = (middle[0] + middle[1]) / 2
    assert predict(tiny_runs / "cross-0", gold, out, "--abstain-below", f"{limit:.9f}").code == 0
    code, shown, err = call("score", out, gold, "--task", "sst")
    assert code == 0, err
    answered = [row for row, share in zip(rows, shares, strict=True) if share >= limit]
    assert 0 < len(answered) < len(rows)
    assert f"coverage {len(answered) / len(rows):.4f}: {len(answered)} of {len(rows)} rows are answered" in err
    right = sum(row["sentiment"] == row["index"] for row in answered)
    assert f" {right / len(answered):.4f} " in shown
    nothing = tmp_path / f"nothing-{name}"
    assert predict(tiny_runs / "cross-0", gold, nothing, "--abstain-below", 1).code == 0
    code, _, err = call("score", nothing, gold, "--task", "sst")
    assert (code, "all predictions are withheld, so there is nothing to score" in err) == (1, True)
