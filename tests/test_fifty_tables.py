"""Fifty tables as people have them: kinds, labels and splits are found, and all ways to predict and score agree."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars
import pytest
from tests.common.commands import call

import bertram
from bertram import options
from bertram.data.memory import memory_table
from bertram.data.rows import read_rows
from bertram.data.sources import source_of
from bertram.data.splits import run_source
from bertram.data.tables import open_table
from bertram.evaluation.scoring import score_task

ROWS = 24
NOUNS = ("lamp", "river", "parcel", "garden", "engine", "window", "teacher", "bakery")
TAGS = ("news|sport", "sport", "[]", "news|art", "sport|art")
VERBS = ("arrived", "was repaired", "looked fine", "went missing", "was praised", "fell apart")


class Labels(NamedTuple):
    """A column of labels: what is written in row n, and the kind, labels or range that it means."""

    name: str
    value: Callable[[int], object]
    kind: str
    labels: list[str]


COLUMNS = (
    Labels("mood", lambda n: ("calm", "angry", "glad")[n % 3], "class", ["angry", "calm", "glad"]),
    Labels("tags", lambda n: TAGS[n % 5], "multi-label", ["art", "news", "sport"]),
    Labels("urgent", lambda n: ("no", "yes")[n % 2], "binary", ["no", "yes"]),
    Labels("topic", lambda n: ("home & garden", "post")[n % 2] if n % 6 else None, "class", ["home & garden", "post"]),
    Labels("warmth", lambda n: n * 5 / 24 + 0.05, "score", []),
)


def cells(rows: Sequence[dict[str, object]]) -> list[dict[str, str]]:
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def delimited(rows: Sequence[dict[str, object]], delimiter: str = ",", end: str = "\n") -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(cells(rows))
    return buffer.getvalue()


def comma(rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Scores with a decimal comma."""
    return [{k: f"{v:.2f}".replace(".", ",") if isinstance(v, float) else v for k, v in row.items()} for row in rows]


def lists(rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Several labels as a list."""
    tags = {text: [tag for tag in text.split("|") if tag != "[]"] for text in TAGS}
    return [{name: tags.get(str(value), value) for name, value in row.items()} for row in rows]


def parquet(rows: Sequence[dict[str, object]]) -> bytes:
    buffer = io.BytesIO()
    polars.DataFrame(rows).write_parquet(buffer)
    return buffer.getvalue()


FORMS: dict[str, tuple[str, Callable[[Sequence[dict[str, object]]], bytes]]] = {
    "plain": (".csv", lambda rows: delimited(rows).encode()),
    "semicolon": (".csv", lambda rows: delimited(comma(rows), ";").encode()),
    "tabs": (".tsv", lambda rows: delimited(rows, "\t").encode()),
    "windows": (".csv", lambda rows: delimited(rows, end="\r\n").encode("utf-8-sig")),
    "wide": (".csv", lambda rows: delimited(rows, ";").encode("utf-16")),
    "excel": (".csv", lambda rows: ("sep=;\n" + delimited(rows, ";")).encode()),
    "lines": (".jsonl", lambda rows: "".join(json.dumps(row) + "\n" for row in lists(rows)).encode()),
    "list": (".json", lambda rows: json.dumps(rows, indent=1).encode()),
    "packed": (".csv.gz", lambda rows: gzip.compress(delimited(rows).encode())),
    "parquet": (".parquet", lambda rows: parquet(lists(rows))),
}


class Table(NamedTuple):
    """A table on disk, and what it should be taken for."""

    task: str
    path: Path
    pair: bool
    labels: Labels


def write_tables(directory: Path) -> list[Table]:
    tables = []
    for place, (form, (ending, write)) in enumerate(FORMS.items()):
        for column in COLUMNS:
            name, pair = f"{column.name}_{form}", place % 3 == 1
            rows = []
            for n in range(ROWS):
                text = f"The {NOUNS[n % 8]} of {form} {n // 2}, {column.name}, {VERBS[n % 6]}"
                texts = {"text1": text, "text2": f"Somebody wrote: {text}"} if pair else {"body of mail (raw)": text}
                extra = {"nr": f"{form}{n}"} if place % 2 else {}
                rows.append({**extra, **texts, name: column.value(n)})
            path = directory / f"{name}{ending}"
            path.write_bytes(write(rows))
            tables.append(Table(name, path, pair, column))
    assert len(tables) == 50
    return tables


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def tables(directory: Path) -> list[Table]:
    return write_tables(directory)


@pytest.fixture(scope="module")
def run(directory: Path, tables: list[Table], tiny_encoder: Path) -> bertram.Run:
    """A run with a task for each table, as `data init` and `train` make it."""
    toml = directory / "mine.toml"
    assert call("data", "init", *(table.path for table in tables), "--out", toml).code == 0
    short = ("--sampling.steps_per_epoch", "2", "--sampling.epochs", "1", "--threads", "1", "--precision", "fp32")
    code, _, err = call("train", "--config", toml, "--encoder", tiny_encoder, *short, "--out", directory / "run")
    assert code == 0, err
    return bertram.Run(directory / "run")


@pytest.mark.slow
def test_kinds_labels_texts_and_ids_are_found(run: bertram.Run, tables: list[Table]) -> None:
    assert list(run.config.tasks) == [table.task for table in tables]
    for table in tables:
        task = run.config.tasks[table.task]
        assert (task.name, task.kind) == (table.task, table.labels.kind)
        assert list(task.labels) == table.labels.labels
        assert task.pair is table.pair
        assert task.files.id == ("nr" if table.path.name.split("_")[1].split(".")[0] in list(FORMS)[1::2] else None)


@pytest.mark.slow
def test_splits_do_not_leak_and_everything_scores_the_same_rows(run: bertram.Run, tables: list[Table]) -> None:
    source = run_source(run)
    for table in tables:
        task = run.config.tasks[table.task]
        train, dev = (read_rows(task, source, part) for part in ("train", "dev"))
        assert not {text for row in train.texts for text in row} & {text for row in dev.texts for text in row}
        assert len(train) + len(dev) == (20 if table.labels.name == "topic" else ROWS)
        assert 2 <= len(dev) <= 9
    assert bertram.evaluate(run).scores.overall == run.record.scores.dev.overall


def rows_ids(rows: Sequence[dict[str, Any]], column: str | None) -> list[str]:
    """The id of each row."""
    return [str(number if column is None else row[column]) for number, row in enumerate(rows, start=1)]


def plain(answer: Any) -> Any:
    """A list for a tuple."""
    return list(answer) if isinstance(answer, tuple) else answer


@pytest.mark.slow
def test_predictions_are_scored_alike_from_the_command_line_and_from_python(
    run: bertram.Run, tables: list[Table], tmp_path: Path
) -> None:
    model = bertram.load(run.path)
    for place, table in enumerate(tables):
        task = run.config.tasks[table.task]
        out = tmp_path / f"{table.task}{('.jsonl', '.csv', '.tsv')[place % 3]}"
        assert call("predict", run.path, table.path, "--task", table.task, "--out", out).code == 0
        code, shown, err = call("score", out, table.path, "--task", table.task, "--config", run.path / "config.toml")
        assert code == 0, err
        gold = read_rows(task, str(table.path.parent), "train")
        with open_table(table.path) as opened:
            rows: list[Any] = [dict(record.values) for record in opened.read(list(opened.columns))]
        frame = model.predict_frame(table.task, rows)
        predicted = dict(zip(rows_ids(rows, task.files.id), model.predict(table.task, rows), strict=True))
        answers = [answer.value if answer.label is None else answer.label for answer in predicted.values()]
        assert list(map(plain, frame["prediction"].to_list())) == list(map(plain, answers))
        assert gold.labels is not None
        values = [task.label_space.internal(predicted[row_id].value) for row_id in gold.ids]
        score = score_task(task.label_space, gold.labels, values)[task.scored_by]
        assert f" {score.value:.4f} " in shown


@pytest.mark.slow
def test_tables_in_memory_have_the_rows_of_their_files(run: bertram.Run, tables: list[Table]) -> None:
    for table in tables:
        task = run.config.tasks[table.task]
        with open_table(table.path) as opened:
            rows = [dict(record.values) for record in opened.read(list(opened.columns))]
        from_file = read_rows(task, str(table.path.parent), "train")
        source = source_of(polars.DataFrame(rows, infer_schema_length=None), [task.name])
        in_memory = read_rows(task, source, "train")
        assert in_memory.texts == from_file.texts
        assert in_memory.ids == from_file.ids
        assert in_memory.labels is not None
        assert from_file.labels is not None
        assert in_memory.labels.tolist() == from_file.labels.tolist()
        assert in_memory.sha256 == memory_table(rows, "t").sha256


@pytest.mark.slow
def test_the_report_shows_every_task(run: bertram.Run, tables: list[Table], tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    code, _, err = call("report", run.path, "--out", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(table.task in page for table in tables)
    assert "ev rows of mood_plain are held out of its training file" in page
    assert options.digest(run.config) == run.record.config_hash
