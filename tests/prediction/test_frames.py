"""Tables in memory are predicted as lists of texts are, and come back as DataFrames."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars
import pytest
from tests.common.models import random_model

import bertram
from bertram.errors import BertramError
from bertram.task_files import Files
from bertram.tasks import Task

TEXTS = ["A fine film.", "Nobody came.", "It was filmed in Lisbon."]
PAIRS = [("A man sings.", "Someone sings."), ("It rains.", "The sun is out."), ("One", "Two")]
SINGLE: dict[str, list[Any]] = {"nr": [7, 8, 9], "sentence": TEXTS}
DOUBLE: dict[str, list[Any]] = {"sentence1": [a for a, _ in PAIRS], "sentence2": [b for _, b in PAIRS]}


@pytest.fixture(scope="module")
def model(tiny_runs: Path) -> Any:
    return bertram.load(tiny_runs / "cross-0")


@pytest.mark.slow
def test_the_columns_of_a_table_are_predicted_as_their_texts_are(model: Any) -> None:
    assert model.predict("sst", SINGLE) == model.predict("sst", TEXTS)
    assert model.predict("quora", polars.DataFrame(DOUBLE)) == model.predict("quora", PAIRS)
    assert model.predict("sts", [{"sentence1": a, "sentence2": b} for a, b in PAIRS]) == model.predict("sts", PAIRS)


def test_a_frame_has_the_columns_of_the_table_and_those_of_the_prediction(model: Any) -> None:
    frame = model.predict_frame("sst", SINGLE)
    predictions = model.predict("sst", TEXTS)
    names = model.tasks["sst"].class_names
    assert frame.columns == ["nr", "sentence", "prediction", *(f"probability of {name}" for name in names)]
    assert frame["prediction"].to_list() == [prediction.label for prediction in predictions]
    shares = [tuple(row) for row in frame.select(frame.columns[3:]).rows()]
    assert shares == [prediction.probabilities for prediction in predictions]
    scores = model.predict_frame("sts", polars.DataFrame(DOUBLE))
    assert scores.columns == ["sentence1", "sentence2", "prediction"]
    assert scores["prediction"].to_list() == [prediction.value for prediction in model.predict("sts", PAIRS)]


@pytest.mark.skipif(find_spec("pandas") is None, reason="pandas is not installed")
def test_a_frame_of_pandas_stays_one(model: Any) -> None:
    import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]

    table = pandas.DataFrame(SINGLE, index=[3, 1, 2])
    frame = model.predict_frame("sst", table)
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.index) == [3, 1, 2]
    assert list(frame["prediction"]) == model.predict_frame("sst", SINGLE)["prediction"].to_list()
    assert "prediction" not in table.columns


def test_targets_are_marked_by_columns_of_spans(tiny_encoder: Path) -> None:
    files = Files(texts=("text1", "text2"), targets=("span1", "span2"))
    values = {"name": "wic", "kind": "score", "range": (1, 4), "encoding": "bi", "head": "cosine", "pooling": "target"}
    model = random_model(tiny_encoder, {"wic": Task.model_validate({**values, "files": files})}, "mean")
    rows: dict[str, list[Any]] = {
        "text1": ["the plane left", "planes and trains"],
        "text2": ["a plane in space", "an old plane tree"],
        "span1": ["4:9", "0:6"],
        "span2": ["2:7", "7:12"],
    }
    marked = [
        ("the <t>plane</t> left", "a <t>plane</t> in space"),
        ("<t>planes</t> and trains", "an old <t>plane</t> tree"),
    ]
    assert model.predict("wic", rows) == model.predict("wic", marked)
    frame = model.predict_frame("wic", polars.DataFrame(rows))
    assert frame["prediction"].to_list() == [answer.value for answer in model.predict("wic", marked)]
    own_marks = {"text1": [first for first, _ in marked], "text2": [second for _, second in marked]}
    assert model.predict("wic", own_marks) == model.predict("wic", marked)
    with pytest.raises(BertramError, match="input 1: the span 0:99 is outside the text of 17 characters"):
        model.predict("wic", {**rows, "span1": ["4:9", "0:99"]})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"text": TEXTS}, "the table has no column 'sentence'"),
        ({"sentence": ["fine", None]}, "input 1: text is empty"),
        ({**SINGLE, "prediction": TEXTS}, "has a column 'prediction' already; rename it"),
    ],
)
def test_tables_that_do_not_fit_are_refused(model: Any, table: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(BertramError, match=message):
        model.predict_frame("sst", table)
