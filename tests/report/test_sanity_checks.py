"""The honesty checks: each must find what it looks for, and be silent where there is nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.common.records import record_of, scores

from bertram import options, recipes
from bertram.config import Config
from bertram.data.rows import Rows
from bertram.evaluation.baseline import Baseline, best_baseline
from bertram.report import sanity_checks as honesty
from bertram.report.outcomes import Outcomes
from bertram.report.sanity_checks import Finding
from bertram.runs.record import Record
from bertram.runs.scores import Score
from bertram.tasks import QUORA, SST


def config(**changes: Any) -> Config:
    return options.change(recipes.baseline(), **changes)


def rows(texts: list[tuple[str, ...]], labels: list[float]) -> Rows:
    n = len(texts)
    ids, file = [str(i) for i in range(n)], Path("train.csv")
    return Rows(ids, texts, np.array(labels), np.arange(n), [], file, file.name, "0", "dev")


def outcomes(texts: list[tuple[str, ...]], gold: list[int], predicted: list[int], task: Any = SST) -> Outcomes:
    ids = [f"dev-{i}" for i in range(len(texts))]
    return Outcomes(task, ids, texts, np.array(gold, float), np.array(predicted, float), None)


def levels(findings: list[Finding]) -> list[str]:
    return [one.level for one in findings]


def test_overlap_is_counted_and_the_score_without_it_is_told() -> None:
    # Two of four scored rows were trained on, differing in case and punctuation only, and only these are right.
    trained = [rows([("A fine film!",), ("Dull.",)], [3, 1])]
    scored = outcomes([("a fine film",), ("dull",), ("new",), ("newer",)], [3, 1, 2, 2], [3, 1, 0, 0])
    (found,) = honesty.overlap("sst", trained, scored)
    assert found.level == "warning"
    assert "2 of 4 (50.0%)" in found.text
    assert "accuracy is 0.000 instead of 0.500" in found.text


def test_the_order_of_a_pair_does_not_hide_an_overlap_and_shared_texts_are_counted() -> None:
    trained = [rows([("Who is he?", "Who is that?")], [1])]
    scored = outcomes([("who is that", "who is he"), ("who is he", "what is it")], [1, 0], [1, 0], QUORA)
    (found,) = honesty.overlap("quora", trained, scored)
    assert "1 of 2" in found.text
    assert "2 share a text" in found.text


def test_no_overlap_is_said_to_be_fine_and_unknown_training_rows_are_not() -> None:
    scored = outcomes([("new",), ("newer",)], [0, 1], [0, 1])
    assert levels(list(honesty.overlap("sst", [rows([("old",)], [1])], scored))) == ["fine"]
    assert list(honesty.overlap("sst", [], scored)) == []


def test_one_overlapping_row_in_many_is_a_note() -> None:
    texts: list[tuple[str, ...]] = [(f"text {i}",) for i in range(200)]
    scored = outcomes(texts, [1] * 200, [1] * 200)
    assert levels(list(honesty.overlap("sst", [rows([texts[7]], [1])], scored))) == ["note"]


def test_minilm_has_seen_quora_whatever_the_task_is_called() -> None:
    known = config(encoder="minilm")
    (found,) = honesty.encoder(known)
    assert found.level == "warning"
    assert "quora" in found.check
    task = options.dump(known)["tasks"]["quora"]
    renamed = options.make({**options.dump(known), "tasks": {"pairs": {**task, "name": "pairs"}}})
    assert [one.check for one in honesty.encoder(renamed)] == ["the encoder was trained on data like pairs"]


def test_minilm_without_quora_is_silent_and_an_unknown_encoder_is_named() -> None:
    sentiment = options.dump(config())["tasks"]["sst"]
    alone = options.make({**options.dump(config(encoder="minilm")), "tasks": {"sst": sentiment}})
    assert list(honesty.encoder(alone)) == []
    (found,) = honesty.encoder(config(encoder="somebody/bert-that-read-everything"))
    assert found.level == "note"
    assert "somebody/bert-that-read-everything" in found.text
    assert list(honesty.encoder(config(encoder="google-bert/bert-base-uncased"))) == []


def score(value: float | None, low: float = 0.0, high: float = 0.0, undefined: str | None = None) -> Score:
    return Score(value, None if value is None else (low, high), 100, undefined)


def record(metric: str, found: Score, baseline: float, task: str = "sst") -> Record:
    baselines = {task: {"majority": {metric: score(baseline)}, "constant": {metric: score(None)}}}
    return record_of(config(), scores({task: {metric: found}}), baselines=baselines)


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (0.20, (0.15, 0.24), ["warning"]),  # worse
        (0.30, (0.22, 0.38), ["warning"]),  # better, but the baseline lies within the interval
        (0.50, (0.45, 0.55), []),
    ],
)
def test_a_main_score_is_held_against_the_best_trivial_answer(
    value: float, interval: tuple[float, float], expected: list[str]
) -> None:
    assert levels(list(honesty.scores(config(), record("accuracy", score(value, *interval), 0.25)))) == expected


def test_of_errors_the_lower_is_the_better() -> None:
    worse = list(honesty.scores(config(), record("mse", score(3.0, 2.5, 3.5), 2.0, "sts")))
    assert [one.check for one in worse] == ["mse of sts is worse than a trivial baseline"]
    assert list(honesty.scores(config(), record("mse", score(1.0, 0.5, 1.5), 2.0, "sts"))) == []
    baselines = {"mean": {"mse": score(2.0)}, "random": {"mse": score(4.0)}}
    assert best_baseline(baselines, "mse") == Baseline("mean", "mse", 2.0)


def test_undefined_scores_are_named_with_their_reason() -> None:
    undefined = score(None, undefined="the predictions are constant")
    found = list(honesty.scores(config(), record("pearson", undefined, 0.1, "sts")))
    assert [(one.level, one.check) for one in found] == [("warning", "pearson of sts is undefined")]
    assert "constant" in found[0].text
    overall = record_of(config(), scores({}, None, "sts has no pearson"))
    findings = list(honesty.scores(config(), overall))
    assert [one.check for one in findings] == ["overall is undefined", "overall_plain is undefined"]
    assert [one.text for one in findings] == ["sts has no pearson."] * 2
    assert list(honesty.scores(config(), None)) == []


def test_comparisons_with_too_few_seeds_are_named() -> None:
    (found,) = honesty.arm_findings({"e4": 3, "e6": 3, "e5": 1, "e12": 2})
    assert found.level == "warning"
    assert "e5 (1), e12 (2)" in found.text
    assert "e4" not in found.text
    assert levels(honesty.arm_findings({"e4": 3, "e6": 5})) == ["fine"]


def test_the_same_finding_of_several_runs_is_told_once() -> None:
    same, other = Finding("note", "the sample is a toy", "T."), Finding("warning", "sst is low", "0.1.")
    found = honesty.together({"a": [same], "b": [same, other], "c": [same]})
    assert [(one.check, one.text) for one in found] == [
        ("sst is low", "In 1 of 3 runs (b). 0.1."),
        ("the sample is a toy", "T."),
    ]


def test_findings_that_differ_by_run_are_told_apart_or_by_an_example() -> None:
    few = {name: [Finding("note", "cut", f"{name} cut.")] for name in "ab"}
    assert honesty.together(few)[0].text == "In all runs: a: a cut; b: b cut."
    most = {f"r{n}": [Finding("note", "cut", "Cut.")] * (n < 9) for n in range(10)}
    assert honesty.together(most)[0].text == "In 9 of 10 runs (r0, r1, r2, r3, r4, r5 and 3 others). Cut."
    many = {name: [Finding("note", "cut", f"{name} cut.")] for name in "abcdef"}
    assert honesty.together(many)[0].text == "In all runs; in a: a cut."
