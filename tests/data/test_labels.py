"""Labels that a task does not name are those of its training rows."""

from pathlib import Path
from typing import Any

import pytest

from bertram import options
from bertram.config import Config
from bertram.data.checks import label_cautions
from bertram.data.labels import with_labels
from bertram.data.targets import read_span
from bertram.errors import ConfigError, Fault
from bertram.label_spaces import ScoreRange, as_number, finite, in_order


def config_of(directory: Path, labels: list[str], **tasks: dict[str, Any]) -> Config:
    lines = [f"sentence number {number},{label}" for number, label in enumerate(labels)]
    (directory / "train.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    files = {"train": "train.csv", "texts": ["text"]}
    own = tasks or {"own": {"kind": "class"}}
    return options.make(
        {"data": str(directory), "tasks": {name: {"files": files, **task} for name, task in own.items()}}
    )


@pytest.mark.parametrize(
    ("spellings", "labels"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "2"], ("2", "9", "10")),
        (["1.0", "1", "0.0"], ("0", "1")),
        (["007", "008"], ("007", "008")),
        (["-1", "0", "1"], ("-1", "0", "1")),
        (["2", "10", "x"], ("10", "2", "x")),
        (["inf", "1"], ("1", "inf")),
        (["1.10", "1.1", "1.2"], ("1.1", "1.10", "1.2")),
        (["007", "7", "7.0"], ("007", "7")),
        (["2", "1_0"], ("1_0", "2")),
    ],
)
def test_labels_are_in_the_order_of_numbers_or_of_characters(spellings: list[str], labels: tuple[str, ...]) -> None:
    assert in_order(spellings) == labels


def test_labels_of_a_class_are_read_and_told(tmp_path: Path) -> None:
    labelled = with_labels(config_of(tmp_path, ["red", "blue", "", "red", "green "]))
    assert labelled.config.tasks["own"].labels == ("blue", "green", "red")
    assert labelled.notes == [f"own: labels read from {tmp_path}/train.csv: blue, green, red"]
    assert options.make(options.dump(labelled.config)) == labelled.config


def test_words_for_missing_labels_are_no_labels_and_are_told(tmp_path: Path) -> None:
    labelled = with_labels(config_of(tmp_path, ["red", "NA", "", "NA", "blue", "n/a", "none"]))
    assert labelled.config.tasks["own"].labels == ("blue", "none", "red")
    assert labelled.notes[1:] == ["own: 3 cells are taken for missing labels (NA, n/a); if they are labels, set labels"]


def test_a_yes_or_no_task_keeps_the_usual_words_and_takes_two_others(tmp_path: Path) -> None:
    usual = with_labels(config_of(tmp_path, ["Yes", "no", "0", "1.0"], own={"kind": "binary"}))
    assert usual.config.tasks["own"].labels == ()
    assert usual.notes == []
    other = with_labels(config_of(tmp_path, ["spam", "ham", "ham"], own={"kind": "binary"}))
    assert other.config.tasks["own"].labels == ("ham", "spam")
    assert other.notes[0].endswith("ham, spam; the first means no, the second yes")


def test_labels_of_sets_are_those_of_all_cells(tmp_path: Path) -> None:
    cells = ["price;food", "food", "[]", "", '"[""bar"", ""price""]"', "none"]
    task = {"kind": "multi-label", "absent_labels": ["none"]}
    assert with_labels(config_of(tmp_path, cells, own=task)).config.tasks["own"].labels == ("bar", "food", "price")
    numbers = ['"[3, 10, 0]"', '"[2, 0, 0]"']
    labelled = with_labels(config_of(tmp_path, numbers, own={"kind": "multi-label", "absent_labels": ["0"]}))
    assert labelled.config.tasks["own"].labels == ("2", "3", "10")
    with pytest.raises(ConfigError, match="holds no label; own needs a label to learn from"):
        with_labels(config_of(tmp_path, ["[]", "[]"], own={"kind": "multi-label"}))


def test_fields_of_labels_are_checked_when_the_labels_are_read(tmp_path: Path) -> None:
    balanced = config_of(tmp_path, ["a", "b", "a"], own={"kind": "class", "class_weights": "balanced"})
    assert with_labels(balanced).config.tasks["own"].labels == ("a", "b")
    smoothed = {"kind": "class", "label_smoothing": 0.1, "temperature": 2.0, "extra": "train.csv"}
    assert with_labels(config_of(tmp_path, ["a", "b", "a"], own=smoothed)).config.tasks["own"].labels == ("a", "b")
    named = config_of(tmp_path, ["a", "b", "a"], own={"kind": "class", "label_names": ["good", "bad"]})
    assert with_labels(named).config.tasks["own"].class_names == ("good", "bad")
    for field, values in (("class_weights", [1, 2, 3]), ("label_names", ["one"])):
        with pytest.raises(ConfigError, match=rf"{field} has \d .* for 2 labels \(labels read from the data\)"):
            with_labels(config_of(tmp_path, ["a", "b", "a"], own={"kind": "class", field: values}))


def test_labels_that_are_named_are_not_read(tmp_path: Path) -> None:
    config = config_of(tmp_path, ["a", "b"], own={"kind": "class", "labels": ["b", "a"]})
    assert with_labels(config).config is config


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("class", ["a", "a"], "column 'label' holds a; own needs at least two labels"),
        ("class", ["", ""], "column 'label' holds no label; own needs at least two labels"),
        ("class", [str(number / 7) for number in range(60)], "60 different values in 60 rows, which are no labels"),
        ("binary", ["a", "b", "c"], 'holds 3 labels (a, b, c), but own is yes or no; mend them, or set kind = "class"'),
    ],
)
def test_columns_that_hold_no_labels_are_refused(tmp_path: Path, kind: str, labels: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        with_labels(config_of(tmp_path, labels, own={"kind": kind}))
    assert message in str(refused.value)


def test_faults_of_all_tasks_are_told_together(tmp_path: Path) -> None:
    tasks: dict[str, dict[str, Any]] = {
        "single": {"kind": "class"},
        "gone": {"kind": "class", "files": {"train": "gone.csv", "texts": ["text"]}},
        "score": {"kind": "score", "files": {"train": "train.csv", "texts": ["body"]}},
    }
    with pytest.raises(ConfigError) as refused:
        with_labels(config_of(tmp_path, ["a"] * 4, **tasks))
    problems = refused.value.problems
    assert ["single needs at least two" in problems[0], "gone.csv: there is no" in problems[1]] == [True, True]
    assert "no column 'body'" in problems[2]


def test_rare_and_nearly_equal_labels_are_named() -> None:
    assert list(label_cautions({"neg": 40, "Neg": 3, "pos": 50})) == [
        "labels with few training rows: Neg (3)",
        "the labels 'neg' (40 rows) and 'Neg' (3 rows) are nearly equal; if they mean the same, mend the file or set "
        "labels",
    ]
    assert list(label_cautions({"so-so": 5, "so so": 5, "+": 4, "-": 4})) == [
        "the labels 'so-so' (5 rows) and 'so so' (5 rows) are nearly equal; if they mean the same, mend the file or "
        "set labels"
    ]
    assert list(label_cautions({"a": 1, "b": 1})) == []
    assert list(label_cautions({"-1": 9, "1": 9, "1.5": 9, "15": 9, "C": 9, "C++": 9, "C#": 9})) == []


def test_underscores_between_digits_make_no_number() -> None:
    assert as_number("1_000") is None
    for read, text in ((ScoreRange(0, 5000).reader(), "1_000"), (finite, "1_000"), (read_span, "1_0:2_0")):
        with pytest.raises((Fault, ValueError)):
            read(text)
