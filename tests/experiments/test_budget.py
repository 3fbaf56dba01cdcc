"""A smaller budget keeps the rows' differences, and runs are known by what they do and by what their data hold."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.common.records import record_of, scores

from bertram import options, sample
from bertram.data.rows import read_rows
from bertram.experiments.budget import Budget, dev_rows, identity, identity_of, train_rows
from bertram.minbert import rows as e
from bertram.runs.record_parts import DataFile
from bertram.training.train import train


def test_epochs_are_in_proportion_to_the_study_s() -> None:
    budget = Budget(epochs=2)
    assert budget.applied(e.e11(), 0).sampling.epochs == 2
    assert budget.applied(e.e10(), 0).sampling.epochs == 4
    assert budget.applied(e.epochs("15"), 0).sampling.epochs == 3
    assert Budget().applied(e.e10(), 0).sampling.epochs == 20


def test_rows_are_counted_as_they_are_read(tmp_path: Path) -> None:
    rows = [f"text {n}\t{('price/food', 'none', 'food')[n % 3]}" for n in range(30)]
    (tmp_path / "topics.tsv").write_text("\n".join(["text\ttopic", *rows]) + "\n")
    files = {"train": "topics.tsv", "dev": "topics.tsv", "texts": ["text"], "label": "topic"}
    labels = {"labels": ["price", "food"], "absent_labels": ["none"], "label_separator": "/"}
    topic = {"kind": "multi-label", "files": files, **labels}
    config = options.make({"data": str(tmp_path), "tasks": {"topic": topic}})
    assert train_rows(config.tasks["topic"], config) == dev_rows(config.tasks["topic"], config) == 30


@pytest.mark.slow
@pytest.mark.real_data
def test_limits_shrink_with_the_data(real_data: Path) -> None:
    budget = Budget(fraction=0.5, changes={"data": str(real_data)})
    row8, row11, row12, row14 = (budget.applied(recipe(), 0) for recipe in (e.e8, e.e11, e.e12, e.e14))
    assert (
        row8.tasks["quora"].max_train_samples,
        row11.tasks["quora"].max_train_samples,
        row14.tasks["quora"].max_train_samples,
    ) == (4500, 4000, None)
    assert {task.max_train_samples for task in row12.tasks.values()} == {3020}
    assert row12.sampling.fraction == 0.5


def test_limits_above_small_data_mean_all_of_them() -> None:
    row = Budget().applied(e.e4(), 0)
    usable = len(read_rows(row.tasks["quora"], "sample", "train"))
    assert row.tasks["quora"].max_train_samples == usable < 8000


def test_other_fields_and_dev() -> None:
    made = Budget(dev_limit=50, changes={"optimizer": {"embedding_update": "rows"}}).applied(e.e4(), 7)
    assert (made.seed, made.evaluation.max_eval_samples, made.optimizer.embedding_update) == (7, 50, "rows")
    short = Budget(fraction=0.004, dev_limit=50, changes={"evaluation": {"max_interim_samples": 9}})
    words = short.in_words(options.change(made, encoder="mpnet"))  # the recipe's encoder
    assert words.startswith("encoder mpnet, data sample, the study's epochs, 0.4% of the training rows, ")
    assert words.endswith("50 dev rows a task, evaluation.max_interim_samples = 9")
    assert "100% of" in Budget().in_words(made)


def copied(directory: Path) -> str:
    shutil.copytree(sample.directory(), directory, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return str(directory)


def test_where_the_data_are_does_not_tell_runs_apart_but_what_they_hold_does(tmp_path: Path) -> None:
    here, there = copied(tmp_path / "here"), copied(tmp_path / "there")
    assert identity(options.change(e.e4(), data=here)) == identity(options.change(e.e4(), data=there))
    assert identity(options.change(e.e4(), data=here)) == identity(e.e4())  # the sample itself
    assert identity(options.change(e.e4(), data=here)) != identity(options.change(e.e5(), data=here))
    with (tmp_path / "there" / "sts-dev.csv").open("a") as file:
        file.write("999999\tx\tone sentence\tanother one\t2.5\n")
    assert identity(options.change(e.e4(), data=here)) != identity(options.change(e.e4(), data=there))


def test_rows_1_have_one_configuration_but_are_two_runs() -> None:
    assert identity(e.e1(), constant=True) != identity(e.e1_yes(), constant=True)
    assert identity(e.e1(), constant=True) != identity(e.e4())


def test_a_record_is_known_by_what_it_was_made_with() -> None:
    config = e.e6()
    record = record_of(config, scores({}), data={name: DataFile(_sha(name), 1, 0) for name in _files()})
    assert identity_of(record) == identity(config)
    older = options.dump(config)
    del older["model"]["both_orders"]  # a field that did not exist then
    assert identity_of(replace(record, config=older)) == identity(config)
    other = options.merge(options.dump(config), {"smart": {"radius": 0.2}})  # a default that was another then
    assert identity_of(replace(record, config=other)) != identity(config)
    faulty: list[dict[str, Any]] = [{"tasks": {}}, {"tasks": 3}, {}, {"unheard": 1}]
    for no_longer_one in faulty:
        assert identity_of(replace(record, config=no_longer_one)) is None


def test_files_of_one_name_in_two_directories_are_two(tmp_path: Path, tiny_encoder: Path) -> None:
    tasks = {}
    for name, label in (("a", "yes"), ("b", "no")):
        (tmp_path / name).mkdir()
        rows = "".join(f"text {number} of {name}\t{label if number else 'other'}\n" for number in range(4))
        for split in ("train", "dev"):
            (tmp_path / name / f"{split}.tsv").write_text("text\tlabel\n" + rows)
        files = {"train": f"{name}/train.tsv", "dev": f"{name}/dev.tsv", "texts": ["text"]}
        tasks[name] = {"kind": "class", "labels": [label, "other"], "files": files}
    config = options.make({"tasks": tasks, "data": str(tmp_path), "encoder": str(tiny_encoder),
                           "sampling": {"epochs": 1, "batch_size": 4}})  # fmt: skip
    record = train(config, tmp_path / "run").record
    assert sorted(record["data"]) == ["a/dev.tsv", "a/train.tsv", "b/dev.tsv", "b/train.tsv"]
    assert identity_of(record) == identity(config)


def _files() -> list[str]:
    return [f"{stem}-{split}.csv" for stem in ("ids-sst", "quora", "sts") for split in ("train", "dev")]


def _sha(name: str) -> str:
    return hashlib.sha256((Path(sample.directory()) / name).read_bytes()).hexdigest()
