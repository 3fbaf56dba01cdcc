"""The way from texts to scores through the real command line, every step a process of its own."""

import csv
import json
from pathlib import Path

import pytest
from tests.common.commands import Outcome, spawn

from bertram import load, sample
from bertram.runs.directory import Run

pytestmark = pytest.mark.slow

MODEL = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}
PREDICTIONS = {f"predictions/dev/{task}.jsonl.gz" for task in ("sst", "quora", "sts")}
RUN = {"config.toml", "record.json", "metrics.jsonl", *(f"model/{name}" for name in MODEL), *PREDICTIONS}
LIMITS = [word for task in ("sst", "quora", "sts") for word in (f"--tasks.{task}.max_train_samples", "48")]
SHORT = ("--sampling.epochs", "1", "--threads", "1", "--precision", "fp32", *LIMITS)


def done(outcome: Outcome) -> str:
    """What a command printed that has come to its end."""
    assert outcome.code == 0, outcome.err
    assert "Traceback" not in outcome.err
    return outcome.out


def content(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def work(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with two trained runs, `a` and `b`, that differ in their learning rate."""
    directory = tmp_path_factory.mktemp("work")
    words = ("train", "--data", "sample", "--encoder", tiny_encoder, *SHORT, "--out")
    shown = done(spawn(*words, "a", cwd=directory))
    assert "Scores on dev" in shown
    assert shown.endswith("run: a\n")
    done(spawn(*words, "b", "--optimizer.lr", "1e-3", cwd=directory))
    return directory


def test_training_leaves_a_run_directory(work: Path) -> None:
    assert content(work / "a") == RUN
    record = Run(work / "a").record
    assert record["scores"].keys() == {"dev", "train"}
    assert record["examples_seen"] == {"sst": 48, "quora": 48, "sts": 48}
    assert 0 <= record["scores"]["dev"]["overall"]["value"] <= 1


def test_evaluating_gives_the_scores_of_the_record_again(work: Path) -> None:
    before = content(work / "a")
    shown = done(spawn("evaluate", "a", cwd=work))
    scores = Run(work / "a").record["scores"]["dev"]
    for score in (scores["sst"]["accuracy"], scores["quora"]["f1"], scores["sts"]["pearson"], scores["overall"]):
        assert f" {score['value']:.4f} " in shown
    assert "gold labels by predicted ones" in shown
    assert content(work / "a") == before


def test_texts_and_pairs_are_predicted_from_standard_input_csv_and_jsonl(work: Path) -> None:
    texts = ["A dazzling show.", "The gym stole money from me.", "It is, well, a film."]
    pairs = [("How do I cook rice?", "How is rice cooked?"), ("Where is Oslo?", "When do trees bloom?")]
    model = load(work / "a")
    lines = done(spawn("predict", "a", "--task", "sst", stdin="\n".join(texts).encode(), cwd=work)).splitlines()
    expected = model.predict("sst", texts)
    assert [json.loads(line)["value"] for line in lines] == [one.value for one in expected]
    assert list(json.loads(lines[0])["probabilities"].values()) == pytest.approx(expected[0].probabilities, abs=1e-5)
    with (work / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["name", "text1", "text2"], *(["x", *pair] for pair in pairs)])
    lines = done(spawn("predict", "a", "pairs.csv", "--task", "quora", cwd=work)).splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["1", "2"]
    assert [json.loads(line)["value"] for line in lines] == [one.value for one in model.predict("quora", pairs)]
    rows = [{"id": f"p{i}", "first": a, "second": b} for i, (a, b) in enumerate(pairs)]
    (work / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("predict", "a", "pairs.jsonl", "--task", "sts", "--columns", "first,second")
    lines = done(spawn(*words, cwd=work)).splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["p0", "p1"]
    values = [one.value for one in model.predict("sts", pairs)]
    assert [json.loads(line)["value"] for line in lines] == pytest.approx(values, abs=1e-5)


def test_a_submission_gets_the_scores_of_the_record(work: Path) -> None:
    done(spawn("submission", "a", "--out", "upload", cwd=work))
    expected = {f"{stem}-{split}-output.csv" for stem in ("sst", "para", "sts") for split in ("dev", "test")}
    assert content(work / "upload") == expected
    gold = sample.directory() / "sts-dev.csv"
    shown = done(spawn("score", "upload/sts-dev-output.csv", gold, "--task", "sts", cwd=work))
    assert f" {Run(work / 'a').record['scores']['dev']['sts']['pearson']['value']:.4f} " in shown


def test_runs_are_compared_mixed_and_gathered_and_the_results_are_runs(work: Path) -> None:
    assert "b against a on dev" in done(spawn("compare", "a", "b", cwd=work))
    assert done(spawn("soup", "a", "b", "--greedy", "--out", "soup", cwd=work)).endswith("run: soup\n")
    assert content(work / "soup") == RUN - {"metrics.jsonl"}
    assert done(spawn("ensemble", "a", "b", "soup", "--out", "all", cwd=work)).endswith("run: all\n")
    members = {f"model/member-{number}/{name}" for number in range(3) for name in MODEL}
    assert content(work / "all") == {"config.toml", "record.json", "model/ensemble.json", *members, *PREDICTIONS}
    lines = done(spawn("predict", "all", "--task", "sts", stdin=b"a b\tc d\n", cwd=work)).splitlines()
    own = [load(work / name).predict("sts", [("a b", "c d")])[0].value for name in ("a", "b", "soup")]
    assert json.loads(lines[0])["value"] == pytest.approx(sum(own) / 3, abs=1e-5)
