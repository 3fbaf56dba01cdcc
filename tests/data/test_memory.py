"""Tables in memory: the same rows and the same hash whatever they are made of, and what is refused."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from tests.common.trainings import tiny_config

import bertram
from bertram import options
from bertram.data.labels import with_labels
from bertram.data.memory import memory_table, tables_of
from bertram.data.rows import read_rows
from bertram.data.sources import source_of
from bertram.errors import BertramError, DataError
from bertram.runs.directory import Run

COLUMNS: dict[str, list[Any]] = {
    "text": [f"a sentence about {word}" for word in ("lamps", "rivers", "stones", "clouds", "bread", "glass")] * 4,
    "mood": [("glad", "sad", None)[number % 3] for number in range(24)],
    "stars": [None if number % 4 == 3 else float(number % 5) for number in range(24)],
}
ROWS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


def as_pandas() -> Any:
    import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]

    return pandas.DataFrame(COLUMNS)


def as_arrow() -> Any:
    import pyarrow  # type: ignore[import-not-found, unused-ignore]

    return pyarrow.table(COLUMNS)


def as_hugging_face() -> Any:
    import datasets  # type: ignore[import-not-found, unused-ignore]

    return datasets.Dataset.from_dict(COLUMNS)


class ArrowStream:
    """A table of an unknown library that only exports Arrow's stream."""

    def __init__(self) -> None:
        self._frame = polars.DataFrame(COLUMNS)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


KINDS = [
    pytest.param(lambda: ROWS, id="dictionaries"),
    pytest.param(lambda: COLUMNS, id="columns"),
    pytest.param(
        lambda: {**COLUMNS, "stars": np.array([np.nan if s is None else s for s in COLUMNS["stars"]])}, id="numpy"
    ),
    pytest.param(lambda: polars.DataFrame(COLUMNS), id="polars"),
    pytest.param(lambda: polars.LazyFrame(COLUMNS), id="lazy"),
    pytest.param(ArrowStream, id="stream"),
    pytest.param(as_pandas, id="pandas", marks=needs("pandas")),
    pytest.param(as_arrow, id="arrow", marks=needs("pyarrow")),
    pytest.param(as_hugging_face, id="datasets", marks=needs("datasets")),
]


@pytest.mark.parametrize("make", KINDS)
def test_every_kind_of_table_has_the_same_rows_and_the_same_hash(make: Callable[[], Any]) -> None:
    table = memory_table(make(), "t")
    expected = memory_table(ROWS, "t")
    assert table.columns == ("text", "mood", "stars")
    assert list(table.rows) == list(expected.rows)
    assert table.sha256 == expected.sha256


def test_the_hash_is_of_the_content() -> None:
    whole = memory_table([{"a": 1.0, "b": "x"}], "t")
    assert whole.sha256 == memory_table([{"b": "x", "a": 1}], "other").sha256
    assert whole.sha256 != memory_table([{"a": "1", "b": "x"}], "t").sha256


def test_tuples_and_sets_in_cells_are_lists() -> None:
    cells = [["b", "a"], ("b", "a"), {"a", "b"}, frozenset("ab")]
    rows = memory_table([{"labels": cell} for cell in cells], "t").rows
    assert [row["labels"] for row in rows] == [["b", "a"], ["b", "a"], ["a", "b"], ["a", "b"]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("words", "<train table>: not a table but a str"),
        ([], "<train table>: it has no rows"),
        ([{"a": 1}, "b"], "<train table>: row 2 is not a dictionary but a str"),
        ({"a": [1, 2], "b": [1]}, r"<train table>: its columns differ in length \(a 2, b 1\)"),
        ({"a": "text"}, "<train table>: column 'a' is not a list but a str"),
        ([{1: "a"}], "the column name 1 is not a text"),
        ({"train": ROWS, "valid": ROWS}, "unknown part valid; a part is train, dev or test, or the name of a task"),
        ({"train": ROWS, "dev": []}, "<dev table>: it has no rows"),
        ({"dev": ROWS, "validation": ROWS}, "dev and validation are the same part"),
        ({"mood": ROWS}, None),
        (3, "not a table but a int"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, message: str | None) -> None:
    if message is None:
        with pytest.raises(DataError, match="no table for task stars"):
            tables_of(data, ["mood", "stars"])
    else:
        with pytest.raises(DataError, match=message):
            tables_of(data, ["own"])


def own_config(encoder: Path) -> bertram.Config:
    mood = bertram.Task(kind="class", files={"texts": ["text"], "label": "mood"})
    stars = bertram.Task(kind="score", range=(0, 4), files={"texts": ["text"], "label": "stars"})
    base = tiny_config(encoder, sampling={"epochs": 1}, evaluation={"max_eval_samples": None})
    return options.change(base, tasks={"mood": mood, "stars": stars}, data="nowhere")


def dev_table() -> list[dict[str, Any]]:
    return [{**row, "text": f"{row['text']} tomorrow"} for row in ROWS[:12]]


def test_a_run_is_trained_scored_and_resumed_on_tables(tiny_encoder: Path, tmp_path: Path) -> None:
    config = own_config(tiny_encoder)
    data = {"train": COLUMNS, "dev": dev_table()}
    run = bertram.train(config, tmp_path / "a", data=data)
    assert run.config.data == "memory"
    assert run.config.tasks["mood"].labels == ("glad", "sad")
    record = run.record.data
    assert {name: file.sha256 for name, file in record.items()} == {
        "<train table>": memory_table(ROWS, "").sha256,
        "<dev table>": memory_table(dev_table(), "").sha256,
    }
    assert [(use.task, use.rows, use.unlabelled) for use in record["<train table>"].uses] == [
        ("mood", 16, 8),
        ("stars", 18, 6),
    ]
    scores = bertram.evaluate(run, data={"train": ROWS, "dev": polars.DataFrame(dev_table())}).scores
    assert scores.overall == run.record.scores.dev.overall
    assert bertram.train(config, tmp_path / "a", data=data, resume=True).record == run.record
    with pytest.raises(DataError, match="were tables in memory; give them again"):
        bertram.evaluate(run)


@pytest.mark.slow
def test_tables_of_each_task_are_the_same_as_one_for_all(tiny_encoder: Path, tmp_path: Path) -> None:
    config = own_config(tiny_encoder)
    both = bertram.train(config, tmp_path / "a", data={"train": ROWS, "dev": dev_table()})
    own = {"train": polars.DataFrame(COLUMNS), "validation": dev_table()}
    each = bertram.train(config, tmp_path / "b", data={"mood": own, "stars": own})
    assert each.record.scores == both.record.scores
    assert set(each.record.data) == {
        "<mood train table>",
        "<mood dev table>",
        "<stars train table>",
        "<stars dev table>",
    }


@pytest.mark.slow
def test_one_table_is_split_and_an_unfinished_run_notices_another_table(tiny_encoder: Path, tmp_path: Path) -> None:
    rows = [
        {"text": f"{row['text']} {number}", "mood": row["mood"], "stars": row["stars"]}
        for number, row in enumerate(ROWS)
    ]
    run = bertram.train(own_config(tiny_encoder), tmp_path / "a", data=rows)
    assert any("held out by seed 0" in caution for caution in run.record.cautions)
    assert bertram.evaluate(run, data=polars.DataFrame(rows)).scores.overall == run.record.scores.dev.overall
    other = bertram.train(options.change(own_config(tiny_encoder), seed=1), tmp_path / "b", data=rows)
    comparison = bertram.compare([run, str(other.path)], data=polars.DataFrame(rows))
    expected = [bertram.evaluate(one, data=rows).scores.tasks["mood"]["accuracy"].value for one in (run, other)]
    (mood,) = [row for row in comparison.models if row.task == "mood"]
    assert [mood.baseline_value, mood.value] == pytest.approx(expected)
    with pytest.raises(DataError, match="<train table>: has changed"):
        bertram.evaluate(run, data=rows[:-1])


def test_faults_of_a_table_name_it_and_the_row(tiny_encoder: Path, tmp_path: Path) -> None:
    rows = [
        {"text": "" if number == 2 else f"text {number}", "mood": "ab"[number % 2], "stars": 9} for number in range(8)
    ]
    with pytest.raises(BertramError) as refused:
        bertram.train(own_config(tiny_encoder), tmp_path / "a", data={"train": rows, "dev": rows})
    message = str(refused.value)
    assert "<train table>:3: text is empty" in message
    assert "<dev table>:1: column stars: the score '9' is outside 0 to 4" in message
    assert not Run(tmp_path / "a").finished


class Feature:
    """A feature as the library datasets has it: names of classes, or the feature of a list's items."""

    def __init__(self, names: list[str] | None = None, feature: Any = None) -> None:
        if names is not None:
            self.names = names
        if feature is not None:
            self.feature = feature


class DataSet(list[dict[str, Any]]):
    """Rows with features, as a streamed Hugging Face data set has them."""

    def __init__(self, rows: list[dict[str, Any]], features: dict[str, Any]) -> None:
        super().__init__(rows)
        self.features = features


MOODS, TOPICS = ["sad", "so so", "glad"], ["price", "food, drinks", "place"]


def topics_of(number: int) -> list[int]:
    return [number % 3, (number + 1) % 3][: number % 3]


CLASS_ROWS = [
    {
        "text": f"a sentence about {number}",
        "mood": number % 4 - 1,
        "spam": number % 2,
        "topics": topics_of(number),
        "stars": number % 5,
    }
    for number in range(24)
]


def stand_in() -> Any:
    lists = (Feature(feature=Feature(TOPICS)), [Feature(TOPICS)])
    features = {"text": Feature(), "mood": Feature(MOODS), "spam": Feature(["ham", "spam"]), "topics": lists[0]}
    return DataSet(CLASS_ROWS, {**features, "stars": Feature(["1 star", *(f"{n} stars" for n in range(2, 6))])})


def as_class_labels() -> Any:
    import datasets

    names = datasets.ClassLabel(names=TOPICS)
    features = {
        "text": datasets.Value("string"),
        "mood": datasets.ClassLabel(names=MOODS),
        "spam": datasets.ClassLabel(names=["ham", "spam"]),
        "topics": datasets.Sequence(names),
        "stars": datasets.ClassLabel(names=["1 star", *(f"{n} stars" for n in range(2, 6))]),
    }
    return datasets.Dataset.from_list(CLASS_ROWS, features=datasets.Features(features))


def class_config(encoder: Path, **tasks: dict[str, Any]) -> bertram.Config:
    own = {name: {"files": {"texts": ["text"], "label": name}, **task} for name, task in tasks.items()}
    return options.make({**options.dump(tiny_config(encoder)), "tasks": own, "data": "nowhere"})


@pytest.mark.parametrize("make", [stand_in, pytest.param(as_class_labels, marks=needs("datasets"))])
def test_names_of_class_labels_are_the_labels(make: Callable[[], Any], tiny_encoder: Path) -> None:
    kinds = {"mood": "class", "spam": "binary", "topics": "multi-label", "stars": "score"}
    tasks: dict[str, dict[str, Any]] = {name: {"kind": kind} for name, kind in kinds.items()}
    tasks["stars"]["range"] = (0, 4)
    source = source_of(make(), tasks)
    labelled = with_labels(class_config(tiny_encoder, **tasks), source)
    assert [task.labels for task in labelled.config.tasks.values()] == [
        ("sad", "so so", "glad"),
        ("ham", "spam"),
        ("price", "food, drinks", "place"),
        (),
    ]
    assert labelled.notes[0] == "mood: labels read from <train table>: sad, so so, glad"
    rows = {name: read_rows(task, source, "train") for name, task in labelled.config.tasks.items()}
    assert rows["mood"].unlabelled == 6  # -1 stands for no label
    assert rows["mood"].labels is not None
    assert rows["mood"].labels.tolist() == [row["mood"] for row in CLASS_ROWS if row["mood"] != -1]
    for name, expected in (
        ("spam", [row["spam"] for row in CLASS_ROWS]),
        ("topics", [sum(1 << place for place in places) for places in map(topics_of, range(24))]),
        ("stars", [row["stars"] for row in CLASS_ROWS]),
    ):
        labels = rows[name].labels
        assert labels is not None
        assert labels.tolist() == expected, name


@pytest.mark.parametrize("labels", [["0", "1", "2"], ["glad", "so so", "sad"]])
def test_labels_that_a_task_names_may_be_the_numbers_or_the_names_of_classes(
    tiny_encoder: Path, labels: list[str]
) -> None:
    config = class_config(tiny_encoder, mood={"kind": "class", "labels": labels})
    for row, places in ((1, [0, 2]), (3, [2, 0])):
        assert CLASS_ROWS[row]["mood"] == row - 1
        rows = read_rows(
            config.tasks["mood"], source_of(DataSet(CLASS_ROWS[1:4], {"mood": Feature(MOODS)}), ["mood"]), "train"
        )
        assert rows.labels is not None
        assert rows.labels.tolist()[row - 1] == places[labels[0] == "glad"]
