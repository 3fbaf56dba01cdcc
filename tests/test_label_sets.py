"""Sets of labels: read from files in every form, kept as numbers, written and shown as lists."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bertram.errors import Fault, NoLabel
from bertram.label_sets import MOST_LABELS, LabelSets
from bertram.tasks import Task

TOPICS = LabelSets(("price", "service", "food"), absent=("0",))


@pytest.mark.parametrize(
    "cell",
    [
        *("price; food", "food;price", " price ;food; ", "price|food", "price,food", "Price, FOOD"),
        *('["price", "food"]', "['price', 'food']", "[price, food]", ["food", "price"], ["price", "0", "food", "0"]),
        (1, 0, 1), ("yes", "no", "yes"), ("1.0", "0.0", "1.0"), (True, False, True),
    ],
)  # fmt: skip
def test_every_form_of_a_set_is_read(cell: object) -> None:
    assert TOPICS.reader()(cell) == 5


def test_numbers_are_labels_as_they_are_for_classes() -> None:
    types = LabelSets(("1", "2", "10"), absent=("0",))
    read = types.reader()
    assert read("[1, 10, 0, 0]") == read([1.0, 10]) == read("1.0;10") == 5
    assert read("[]") == read("[0, 0]") == read("0") == 0


def test_an_empty_list_is_a_row_without_labels_and_an_empty_cell_is_no_row() -> None:
    read = TOPICS.reader()
    assert read("[]") == read([]) == read((0, 0, 0)) == 0
    for cell in ("", None, "nan", (None, "", None)):
        with pytest.raises(NoLabel):
            read(cell)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("price;cost", "'cost' is none of price, service, food"),
        (("1", "", "0"), "neither yes nor no for service"),
        (("1", "maybe", "0"), "the label service is 'maybe'"),
        ('["price", ["food"]]', "is not a list of labels"),
        ('["price", food]', "is not a list of labels"),
    ],
)
def test_other_cells_are_faults(cell: object, reason: str) -> None:
    with pytest.raises(Fault, match=reason):
        TOPICS.reader()(cell)


def test_a_separator_in_a_label_is_no_separator_where_another_is_named() -> None:
    space = LabelSets(("salt, pepper", "oil"), separator=";")
    assert space.reader()("salt, pepper; oil") == 3
    assert LabelSets(("salt, pepper", "oil")).reader()("salt, pepper") == 1


@given(st.lists(st.integers(0, MOST_LABELS - 1), unique=True))
def test_a_set_survives_every_way_out_and_back(places: list[int]) -> None:
    space = LabelSets(tuple(f"label {number}" for number in range(MOST_LABELS)))
    value = space.value_of_indices(places)
    assert space.indices(float(value)) == tuple(sorted(places))
    assert space.internal(list(space.external(value))) == value
    assert space.internal(";".join(map(str, places)) or "[]") == value
    assert space.reader()(space.written(value)) == value
    assert space.reader()(list(space.label(value))) == value
    assert space.fault(float(value)) is None
    assert space.counts([value, value]) == {name: 2 * (at in places) for at, name in enumerate(space.names)}


@pytest.mark.parametrize("external", [["3"], [-1], "x", 1.5, ["a"]])
def test_other_places_are_refused(external: object) -> None:
    with pytest.raises(ValueError, match="is not"):
        TOPICS.internal(external)


def test_what_is_no_set_is_told() -> None:
    assert TOPICS.fault(8) == "8 is no set of 3 labels"
    assert TOPICS.fault(1.5) == "1.5 is no set of 3 labels"
    assert TOPICS.display(0) == "(none)"
    assert TOPICS.display(6) == "service, food"


def test_balanced_weights_make_presence_and_absence_equal() -> None:
    values = [1, 1, 1, 3, 0, 0, 0, 0]
    weights = TOPICS.balanced_weights(values)
    assert weights == (1.0, 7.0, 1.0)


FILES: dict[str, Any] = {"texts": ["text"]}


def test_labels_come_from_the_columns_where_none_are_named() -> None:
    task = Task.model_validate({"kind": "multi-label", "files": FILES | {"label_columns": ["a", "b"]}})
    assert task.class_names == ("a", "b")
    assert task.scored_by == "micro_f1"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "multi-label", "labels": [f"l{n}" for n in range(53)]}, "at most 52 labels; this one has 53"),
        ({"kind": "multi-label", "labels": ["a", "b"], "absent_labels": ["b"]}, "'b' is one of the labels"),
        ({"kind": "multi-label", "labels": ["a;b", "c"], "label_separator": ";"}, "is part of the label 'a;b'"),
        ({"kind": "multi-label", "labels": ["a", "b"], "thresholds": [0.1, 0.2, 0.3]}, "3 values for 2 labels"),
        (
            {"kind": "multi-label", "labels": ["a", "b"], "files": FILES | {"label_columns": ["a"]}},
            "1 columns for 2 labels",
        ),
        ({"kind": "binary", "label_separator": ";"}, "label_separator is for multi-label tasks"),
        ({"kind": "binary", "files": FILES | {"label_columns": ["a"]}}, "label_columns is for multi-label tasks"),
        ({"kind": "class", "labels": ["a", "b"], "thresholds": [0.3]}, "thresholds: a class task has none"),
        ({"kind": "class", "labels": ["a", "b"], "class_weights": [1, 2, 3]}, "3 weights for 2 labels"),
        ({"kind": "score", "class_weights": "balanced"}, "has no labels to weight"),
        ({"kind": "score", "temperature": 2}, "has no logits to divide"),
        ({"kind": "score", "loss": "binary-cross-entropy", "label_smoothing": 0.1}, "no probabilities to smooth"),
        ({"kind": "multi-label", "labels": ["a", "b"], "head": "dot", "encoding": "bi"}, "compares two texts"),
    ],
)
def test_faults_of_a_definition_are_named(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Task.model_validate({"files": FILES, **fields})


def test_all_faults_are_told_together() -> None:
    with pytest.raises(ValidationError) as error:
        Task.model_validate(
            {"files": FILES, "kind": "score", "class_weights": [1], "temperature": 2, "thresholds": [0.3]}
        )
    assert all(field in str(error.value) for field in ("class_weights", "temperature", "thresholds"))
