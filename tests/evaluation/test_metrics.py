"""Metrics agree with their definitions, are undefined where they must be, and their intervals cover the truth."""

import csv
import json
import subprocess
import sys
from math import asin, pi
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bertram.evaluation import scoring, trivial_baselines
from bertram.evaluation.metrics import METRICS, Metric
from bertram.evaluation.reliability_curve import reliability
from bertram.evaluation.scoring import TaskOutputs, score_run, score_task
from bertram.label_spaces import LabelSpace
from bertram.runs.scores import SplitScores
from bertram.runs.typed_json import plain
from bertram.tasks import QUORA, SST, STS

GENERATOR = np.random.default_rng
CLASSES, YES_NO, SCORES = (task.label_space for task in (SST, QUORA, STS))


def value(space: LabelSpace, metric: str, gold: list[float], predicted: list[float]) -> float | None:
    return score_task(space, gold, predicted)[metric].value


def test_correlations_agree_with_scipy_also_with_ties_and_far_from_zero() -> None:
    generator = GENERATOR(0)
    for ties in (False, True):
        x = generator.normal(size=300)
        y = x + generator.normal(size=300)
        x, y = (np.round(x), np.round(y)) if ties else (x + 1e6, y * 1e-6)
        scores = score_task(SCORES, x, y)
        assert scores["pearson"].value == pytest.approx(stats.pearsonr(x, y)[0], rel=1e-9)
        assert scores["spearman"].value == pytest.approx(stats.spearmanr(x, y)[0], rel=1e-12)


def test_f1_by_hand() -> None:
    assert value(YES_NO, "f1", [1, 1, 1, 0, 0], [1, 0, 1, 1, 0]) == pytest.approx(
        2 / 3
    )  # 2 right, 1 too many, 1 missed
    # Class 0: 2/3, class 1: 1/2, class 3: 0 (never gold); class 2 occurs nowhere and does not count.
    assert value(CLASSES, "f1", [0, 0, 1, 1], [0, 3, 1, 3]) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_errors_are_in_label_units() -> None:
    assert value(SCORES, "mse", [0, 5], [2, 4]) == 2.5
    assert value(SCORES, "mae", [0, 5], [2, 4]) == 1.5


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_weight_counts_like_repeating_the_example(metric: Metric) -> None:
    generator = GENERATOR(1)
    gold, predicted = generator.integers(0, 2 if metric is METRICS["f1"] else 4, size=(2, 40)).astype(float)
    weights = generator.integers(0, 4, size=(5, 40))
    weighted = metric.compute(gold, predicted, weights.astype(float))
    for row, value in zip(weights, weighted, strict=True):
        repeated = metric.value(np.repeat(gold, row), np.repeat(predicted, row))
        assert value == pytest.approx(repeated, rel=1e-12)


@pytest.mark.parametrize("space", [CLASSES, YES_NO, SCORES])
def test_every_metric_and_baseline_that_a_label_space_names_exists(space: LabelSpace) -> None:
    assert set(space.metrics.values()) <= METRICS.keys()
    assert set(space.main_metrics) <= space.metrics.keys()
    assert set(space.baselines) <= trivial_baselines.BASELINES.keys()


@pytest.mark.parametrize(
    ("space", "metric", "gold", "predicted", "reason"),
    [
        (SCORES, "pearson", [1, 2, 3], [2, 2, 2], "the predictions are constant"),
        (SCORES, "spearman", [2, 2, 2], [1, 2, 3], "the gold labels are constant"),
        (SCORES, "pearson", [0.1 + 0.2, 0.3, 0.3], [1, 2, 3], "the gold labels are constant"),
        (SCORES, "pearson", [1], [1], "at least two examples"),
        (YES_NO, "f1", [0, 0], [0, 0], "no label and no prediction is positive"),
        (CLASSES, "accuracy", [], [], "no examples"),
        (SCORES, "mse", [1, 2], [1, float("nan")], "1 of 2 predictions are not finite"),
    ],
)
def test_what_is_undefined_is_none_with_a_reason(
    space: LabelSpace, metric: str, gold: list[float], predicted: list[float], reason: str
) -> None:
    score = score_task(space, gold, predicted)[metric]
    assert score.value is None
    assert score.ci95 is None
    assert reason in (score.undefined or "")


def test_f1_is_zero_not_undefined_when_every_positive_is_missed() -> None:
    assert value(YES_NO, "f1", [1, 0], [0, 0]) == 0.0


def synthetic_run(generator: np.random.Generator) -> tuple[dict[str, TaskOutputs], dict[tuple[str, str], float]]:
    """Three small tasks, and the scores that endless examples of the same kind would give."""
    sst = generator.integers(0, 5, 300)
    sst_said = np.where(generator.random(300) < 0.4, sst, generator.integers(0, 5, 300))  # right: 0.4 + 0.6 / 5
    quora = (generator.random(400) < 0.375) * 1
    quora_said = np.where(generator.random(400) < 0.8, quora, 1 - quora)
    sts = generator.normal(size=300)
    sts_said = 0.8 * sts + 0.6 * generator.normal(size=300)  # r = 0.8, variance 1, so mse = 2 - 2 r
    tasks = {
        "sst": TaskOutputs(CLASSES, sst, sst_said),
        "quora": TaskOutputs(YES_NO, quora, quora_said),
        "sts": TaskOutputs(SCORES, sts, sts_said),
    }
    truth = {
        ("sst", "accuracy"): 0.52,
        ("sst", "f1"): 0.52,
        ("quora", "accuracy"): 0.8,
        ("quora", "f1"): 2 * 0.3 / (0.375 + 0.3 + 0.125),
        ("sts", "pearson"): 0.8,
        ("sts", "spearman"): 6 / pi * asin(0.4),
        ("sts", "mse"): 0.4,
        ("sts", "mae"): 0.4**0.5 * (2 / pi) ** 0.5,
        ("overall", ""): (0.52 + 0.8 + 0.9) / 3,
        ("overall_plain", ""): (0.52 + 0.8 + 0.8) / 3,
    }
    return tasks, truth


@pytest.mark.slow
def test_intervals_cover_the_truth_in_95_percent_of_synthetic_runs() -> None:
    generator, runs = GENERATOR(2), 700
    covered: dict[tuple[str, str], int] = {}
    for _ in range(runs):
        tasks, truth = synthetic_run(generator)
        scores = score_run(tasks)
        for (task, metric), true in truth.items():
            low, high = (scores.tasks[task][metric] if metric else scores.mean(task)).ci95 or (1.0, 0.0)
            covered[task, metric] = covered.get((task, metric), 0) + (low <= true <= high)
    for name, count in covered.items():
        assert count / runs == pytest.approx(0.95, abs=0.02), name


@pytest.mark.parametrize("right", [True, False])
def test_nothing_wrong_in_few_examples_is_not_certainty(right: bool) -> None:
    score = score_task(YES_NO, np.ones(30), np.full(30, 1.0 if right else 0.0))["accuracy"]
    wilson = 30 / (30 + 1.96**2)
    assert score.ci95 == pytest.approx((wilson, 1) if right else (0, 1 - wilson), abs=1e-4)


def test_record_form_is_json_without_nan_and_always_the_same() -> None:
    tasks, _ = synthetic_run(GENERATOR(6))
    tasks["sts"] = TaskOutputs(SCORES, [1, 2, 3], [1, 1, 1])
    first, second = (json.dumps(plain(score_run(tasks), SplitScores), allow_nan=False) for _ in range(2))
    assert first == second
    record = json.loads(first)
    assert set(record) == {"sst", "quora", "sts", "overall", "overall_plain"}
    assert set(record["sst"]["accuracy"]) == {"value", "ci95", "n"}
    assert record["overall"] == {"value": None, "ci95": None, "undefined": "sts has no pearson"}


def test_overall_is_the_leaderboard_formula_and_an_undefined_score_counts_zero_only_for_selection() -> None:
    # The study's row 12: .494, .522, .627 give .610.
    main: dict[str, tuple[str, float | None]] = {
        "sst": ("accuracy", 0.494),
        "quora": ("accuracy", 0.522),
        "sts": ("pearson", 0.627),
    }
    overall = scoring.overall(main)
    assert overall == pytest.approx(0.610, abs=5e-4)
    assert scoring.selection_score(main) == overall
    main["sts"] = ("pearson", None)
    assert scoring.overall(main) is None
    assert scoring.selection_score(main) == pytest.approx((0.494 + 0.522) / 3)


def test_a_task_may_have_another_main_score() -> None:
    task = TaskOutputs(YES_NO, [1, 1, 0, 0], [1, 0, 0, 0], metric="f1")
    assert score_run({"own": task}).overall.value == pytest.approx(2 / 3)


def test_confusion_matrix_has_gold_in_rows() -> None:
    assert scoring.confusion_matrix([0, 0, 2], [0, 1, 1], 3).tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]


def test_reliability_puts_borders_in_the_lower_bin() -> None:
    bins = reliability([0.0, 0.5, 0.9, 0.7], [0, 1, 1, 0], bins=2)
    assert [each.n for each in bins] == [2, 2]
    assert [(each.confidence, each.accuracy) for each in bins] == [(0.25, 0.5), (pytest.approx(0.8), 0.5)]
    assert reliability([], [])[0].confidence is None


def test_trivial_baselines() -> None:
    classes = trivial_baselines.trivial_baselines(CLASSES, [2, 2, 0], [0, 2, 1, 0])
    assert classes["majority"]["accuracy"].value == 0.25  # the majority of train, not of dev
    answers = trivial_baselines.trivial_baselines(YES_NO, [0, 0, 1], [0, 0, 1, 1, 1])
    assert {name: scores["accuracy"].value for name, scores in answers.items()} == {
        "majority": 0.4,
        "always_no": 0.4,
        "always_yes": 0.6,
    }
    similarity = trivial_baselines.trivial_baselines(SCORES, [0.0, 4.0], np.linspace(0, 5, 50))
    assert similarity["mean"]["pearson"].value is None
    assert similarity["mean"]["mae"].value is not None
    low, high = similarity["random"]["pearson"].ci95 or (1.0, 1.0)
    assert low < 0 < high


@pytest.mark.real_data
def test_trivial_baselines_of_the_course_files(real_data: Path) -> None:
    def labels(name: str, column: str) -> list[float]:
        with (real_data / name).open(encoding="utf-8", errors="replace", newline="") as file:
            return [float(row[column]) for row in csv.DictReader(file, delimiter="\t") if row[column]]

    sst = trivial_baselines.trivial_baselines(
        CLASSES, labels("ids-sst-train.csv", "sentiment"), labels("ids-sst-dev.csv", "sentiment")
    )
    quora_dev = labels("quora-dev.csv", "is_duplicate")
    quora = trivial_baselines.trivial_baselines(YES_NO, labels("quora-train.csv", "is_duplicate"), quora_dev)
    assert sst["majority"]["accuracy"].value == pytest.approx(279 / 1101)  # train's majority; dev's own is 0.262
    assert quora["majority"]["accuracy"].value == pytest.approx(0.6247, abs=5e-5)
    yes = quora["always_yes"]["accuracy"]
    assert yes.value == pytest.approx(0.3753, abs=5e-5)
    assert yes.ci95 is not None
    assert list(yes.ci95) == pytest.approx([0.3753, 0.3753], abs=0.008)
    assert yes.n == 20_212


def test_evaluation_does_not_load_torch() -> None:
    code = "import sys, bertram.comparison.models, bertram.evaluation.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
