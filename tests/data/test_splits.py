"""Dev rows that are held out: no leak, the same shares of labels, the same rows everywhere."""

from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.common.commands import call
from tests.common.trainings import tiny_config

from bertram import options
from bertram.comparison.comparison import compare_runs
from bertram.config import Config, SplitConfig
from bertram.data.checks import cautions, read_files
from bertram.data.describe import words_of
from bertram.data.rows import Rows, read_rows
from bertram.data.splits import SPLITS, assign, config_source, hold_out, run_source, write_held_out
from bertram.errors import DataError, RunError
from bertram.evaluation.files import evaluate_run
from bertram.merging.soup import soup
from bertram.runs.directory import Run
from bertram.task_files import Files
from bertram.tasks import Task
from bertram.training.train import train

WORDS = ["lamp", "river", "stone", "cloud", "bread", "glass", "wheel", "paper"]


def rows_of(
    texts: Sequence[tuple[str, ...]], labels: Sequence[int], groups: Sequence[str] | None = None, name: str = "t.csv"
) -> Rows:
    return Rows(
        ids=[str(number) for number in range(len(texts))],
        texts=list(texts),
        labels=np.array(labels, dtype=np.int64),
        lines=np.arange(2, len(texts) + 2),
        rejects=[],
        file=Path(name),
        name=name,
        sha256=name,
        part="train",
        groups=None if groups is None else list(groups),
    )


def many_rows(name: str = "t.csv", begin: int = 0) -> Rows:
    numbers = range(begin, begin + 30)
    return rows_of([(f"text {number}",) for number in numbers], [number % 2 for number in numbers], name=name)


Row = tuple[str, str, int, str]
text = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join)
row = st.tuples(text, text, st.integers(0, 2), st.sampled_from(["", "ann", "bob", "cai", "dee"]))


def shared(first: Rows, first_side: np.ndarray, second: Rows, second_side: np.ndarray) -> bool:
    """Whether a dev row of one task has a text or a group of a training row of another."""
    train = np.flatnonzero(first_side != 1)
    dev = np.flatnonzero(second_side == 1)
    texts = {word for place in train for word in words_of(first.texts[place])}
    groups = {first.groups[place] for place in train} - {""} if first.groups else set()
    return any(
        texts & set(words_of(second.texts[place])) or (second.groups and second.groups[place] in groups)
        for place in dev
    )


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(row, min_size=1, max_size=40), st.lists(row, min_size=1, max_size=20), st.integers(0, 3))
def test_no_text_and_no_group_is_on_both_sides(pairs: list[Row], singles: list[Row], seed: int) -> None:
    rows = {
        "pairs": rows_of([(a, b.upper()) for a, b, _, _ in pairs], [y for *_, y, _ in pairs], [g for *_, g in pairs]),
        "singles": rows_of([(a,) for a, *_ in singles], [y for *_, y, _ in singles], [g for *_, g in singles], "u.csv"),
    }
    sides = assign(rows, [0.8, 0.2], seed)
    for (first, first_rows), (second, second_rows) in product(rows.items(), repeat=2):
        assert not shared(first_rows, sides[first], second_rows, sides[second])
    folds = assign(rows, [1 / 3] * 3, seed)
    assert set(folds["pairs"].tolist()) <= {0, 1, 2}
    for fold in range(3):
        held = {name: (fold_of == fold).astype(int) for name, fold_of in folds.items()}
        assert not shared(rows["pairs"], held["pairs"], rows["singles"], held["singles"])


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=10, max_size=200), st.sampled_from([0.1, 0.2, 0.5]))
def test_each_label_has_its_share_where_rows_are_alone(labels: list[int], share: float) -> None:
    rows = rows_of([(f"text {number}",) for number in range(len(labels))], labels)
    side = assign({"t": rows}, [1 - share, share], 0)["t"]
    dev = Counter(np.array(labels)[side == 1].tolist())
    for label, count in Counter(labels).items():
        assert abs(dev[label] - share * count) <= 1


def test_a_text_is_the_same_whatever_its_target() -> None:
    texts = [(f"the {'<t>old</t> lamp' if n % 2 else 'old <t>lamp</t>'} number {n // 2}",) for n in range(40)]
    side = assign({"t": rows_of(texts, [n % 2 for n in range(40)])}, [0.8, 0.2], 0)["t"]
    assert side[::2].tolist() == side[1::2].tolist()


def test_rows_of_one_table_are_on_one_side_for_all_tasks() -> None:
    first = rows_of([(f"title {number}",) for number in range(40)], [number % 2 for number in range(40)])
    second = rows_of([(f"body {number}",) for number in range(40)], [number % 3 for number in range(40)])
    sides = assign({"a": first, "b": second}, [0.75, 0.25], 0)
    assert sides["a"].tolist() == sides["b"].tolist()
    assert 8 <= sides["a"].sum() <= 12


def test_pairs_that_share_one_text_are_separated_only_on_request() -> None:
    rows = rows_of(
        [("the same question", f"answer {number}") for number in range(40)], [number % 2 for number in range(40)]
    )
    with pytest.raises(
        DataError, match=r"t.csv: 0 of the 40 rows of t would be dev rows.*--split.keep_together examples"
    ):
        hold_out({"t": rows}, SplitConfig())
    held = hold_out({"t": rows}, SplitConfig(keep_together="examples"))["t"]
    assert len(held.lines) == 8
    assert "rows that have the same texts are on one side" in held.how


def test_the_split_depends_on_its_own_seed_and_covers_all_rows_by_folds() -> None:
    rows = {"t": many_rows()}
    assert hold_out(rows, SplitConfig())["t"] == hold_out(rows, SplitConfig())["t"]
    assert hold_out(rows, SplitConfig(seed=1))["t"].lines != hold_out(rows, SplitConfig())["t"].lines
    folds = [hold_out(rows, SplitConfig(folds=3, fold=fold))["t"].lines for fold in range(3)]
    assert sorted(line for lines in folds for line in lines) == rows["t"].lines.tolist()
    assert [len(lines) for lines in folds] == [10, 10, 10]


def test_rows_of_an_earlier_run_are_described_by_that_run_and_not_by_a_seed(tmp_path: Path) -> None:
    first, second = many_rows(), many_rows("u.csv", begin=100)
    held = hold_out({"a": first}, SplitConfig(seed=5))
    run = Run(tmp_path)
    write_held_out(run, held)
    again = hold_out({"a": first, "b": second}, SplitConfig(same_as=str(run.path)))
    assert again["a"] == held["a"]
    assert again["a"].how == (
        f"dev is 6 of the 30 rows of t.csv, the rows that {run.path} held out; rows that share a text are on one side"
    )
    assert "6 of the 30 rows of u.csv, held out by seed 0;" in again["b"].how


@pytest.mark.parametrize("count", [5, 10])
@pytest.mark.parametrize("shares", [(0.7, 0.3), (0.6, 0.2, 0.1, 0.06, 0.04)], ids=["two labels", "rare labels"])
def test_sides_have_their_share_of_rows_where_groups_stay_together(count: int, shares: tuple[float, ...]) -> None:
    texts = [(f"text {number}",) for number in range(300)]
    for seed in range(5):
        labels = np.random.default_rng(seed).choice(len(shares), 300, p=shares).tolist()
        rows = {"t": rows_of(texts, labels, [f"group {number % count}" for number in range(300)])}
        assert np.bincount(assign(rows, [0.8, 0.2], 0)["t"]).tolist() == [240, 60]
        assert np.bincount(assign(rows, [0.2] * 5, 0)["t"]).tolist() == [60] * 5


def test_an_earlier_split_is_used_again_when_tasks_are_added() -> None:
    texts = [(f"text {number}",) for number in range(40)]
    first = {"a": rows_of(texts, [number % 2 for number in range(40)])}
    alone = assign(first, [0.8, 0.2], 0)
    both = {
        **first,
        "b": rows_of(texts[20:] + [(f"more {n}",) for n in range(20)], [n % 3 for n in range(40)], name="u.csv"),
    }
    sides = assign(both, [0.8, 0.2], 0, fixed={"a": alone["a"] == 1})
    assert sides["a"].tolist() == alone["a"].tolist()
    assert sides["b"][:20].tolist() == alone["a"][20:].tolist()
    assert 7 <= sides["b"].sum() <= 9
    joined = {
        **first,
        "b": rows_of([("text 0", "text 1"), *((f"text {n}", "all") for n in range(40))], [0] * 41, name="u.csv"),
    }
    with pytest.raises(DataError, match="on both sides of the earlier split belong together"):
        assign(joined, [0.8, 0.2], 0, fixed={"a": alone["a"] == 1})


def own_config(encoder: Path, directory: Path, **changes: object) -> Config:
    lines = [f"{WORDS[number % 8]} {number},{'glad' if number % 3 else 'sad'},w{number // 2}" for number in range(48)]
    (directory / "mood.csv").write_text("\n".join(["text,mood,writer", *lines]) + "\n")
    files = {"train": "mood.csv", "texts": ["text"], "label": "mood", "group": "writer"}
    base = options.dump(tiny_config(encoder, sampling={"epochs": 1}, evaluation={"max_eval_samples": "none"}))
    own = {"data": str(directory), "tasks": {"mood": {"kind": "class", "files": files}}, **changes}
    return options.make(base | own)


def test_a_missing_group_joins_no_rows(tmp_path: Path) -> None:
    lines = [f"text {number},{'ab'[number % 2]},{('NaN', '', 'nan')[number % 3]}" for number in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label,writer", *lines]) + "\n")
    files = Files(train="t.csv", texts=("text",), label="label", group="writer")
    rows = read_rows(Task(name="t", kind="class", labels=("a", "b"), files=files), str(tmp_path), "train")
    assert rows.groups == [""] * 30


@pytest.mark.slow
def test_a_run_holds_out_rows_and_everything_later_uses_them(tiny_encoder: Path, tmp_path: Path) -> None:
    config = own_config(tiny_encoder, tmp_path)
    run = train(config, tmp_path / "a")
    assert run.config.tasks["mood"].labels == ("glad", "sad")
    held = run_source(run).held_out["mood"]
    assert held.how == (
        f"dev is {len(held.lines)} of the 48 rows of mood.csv, held out by seed 0; rows that share a text or a group "
        "are on one side"
    )
    assert f"mood: {held.how}" in run.record.cautions
    uses = [(use.part, use.rows) for use in run.record.data["mood.csv"].uses]
    assert uses == [("train", 48 - len(held.lines)), ("dev", len(held.lines))]
    dev = read_rows(run.config.tasks["mood"], run_source(run), "dev")
    assert dev.lines.tolist() == sorted(held.lines)
    assert evaluate_run(run).scores.score("mood", "accuracy") == run.record.scores.dev.score("mood", "accuracy")
    other = train(own_config(tiny_encoder, tmp_path, seed=1), tmp_path / "b")
    assert (other.path / SPLITS).read_bytes() == (run.path / SPLITS).read_bytes()
    assert compare_runs([run.path, other.path])
    merged = soup([run.path, other.path], tmp_path / "soup", say=print)
    assert run_source(merged).held_out == run_source(run).held_out
    assert train(config, tmp_path / "a", resume=True).record == run.record
    third = train(own_config(tiny_encoder, tmp_path, split={"seed": 5}), tmp_path / "c")
    fourth = own_config(tiny_encoder, tmp_path, split={"seed": 5, "same_as": str(run.path)})
    labelled = options.change(fourth, tasks={"mood": {"labels": ["glad", "sad"]}})
    assert config_source(labelled).held_out["mood"] == held
    with pytest.raises(RunError, match="held out other dev rows of mood"):
        soup([run.path, third.path], tmp_path / "bad", say=print)
    (tmp_path / "mood.csv").write_text((tmp_path / "mood.csv").read_text() + "one more,sad,w99\n")
    with pytest.raises(DataError, match="has changed since the dev rows were chosen"):
        evaluate_run(run)


@pytest.mark.slow
def test_a_resumed_run_keeps_the_rows_that_stand_in_its_directory(tiny_encoder: Path, tmp_path: Path) -> None:
    run = train(own_config(tiny_encoder, tmp_path), tmp_path / "a")
    lines = run_source(run).held_out["mood"].lines
    (run.path / "record.json").unlink()
    written = (run.path / SPLITS).read_text()
    swapped = next(number for number in range(2, 50) if number not in lines)
    (run.path / SPLITS).write_text(written.replace(f" {lines[0]},", f" {swapped},", 1))
    again = train(run.config, run.path, resume=True)
    assert swapped in run_source(again).held_out["mood"].lines
    assert again.record.data["mood.csv"].uses[1].rows == len(lines)


def test_the_command_line_says_the_labels_and_what_is_held_out(tmp_path: Path, tiny_encoder: Path) -> None:
    config = own_config(tiny_encoder, tmp_path)
    toml = tmp_path / "mine.toml"
    toml.write_text(options.to_toml(config))
    code, out, err = call("data", "check", tmp_path, "--config", toml)
    assert (code, err) == (0, f"mood: labels read from {tmp_path}/mood.csv: glad, sad\n")
    assert "caution: mood: dev is" in out
    code, out, _ = call("data", "describe", tmp_path, "--config", toml)
    assert code == 0
    assert "glad" in out
    code, _, err = call("train", "--config", toml, "--dev-share", "0.5", "--out", tmp_path / "run")
    assert code == 0, err
    assert "dev is 24 of the 48 rows" in err
    assert Run(tmp_path / "run").config.split.dev_share == 0.5


def test_too_few_rows_for_both_sides_are_a_problem_before_training(tmp_path: Path, tiny_encoder: Path) -> None:
    config = own_config(tiny_encoder, tmp_path)
    (tmp_path / "mood.csv").write_text("text,mood,writer\na b,glad,x\na c,sad,x\na d,glad,x\n")
    task = config.tasks["mood"].model_copy(update={"labels": ("glad", "sad")})
    rows, problems, _ = read_files({"mood": task}, str(tmp_path))
    assert "0 of the 3 rows of mood would be dev rows, and each side needs 2" in problems[0]
    assert not cautions({"mood": task}, rows)
    with pytest.raises(DataError):
        config_source(options.change(config, tasks={"mood": {"labels": ["glad", "sad"]}}))
