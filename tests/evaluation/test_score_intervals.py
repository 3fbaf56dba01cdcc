"""Intervals of scores over few examples cover the truth, and never have width zero."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from tests.evaluation.coverage import CASES, Case, coverage

from bertram.evaluation.groups import joint_groups, meet, text_groups, within
from bertram.evaluation.jackknife import jackknife_error
from bertram.evaluation.mean_interval import mean_interval
from bertram.evaluation.metrics import METRICS, accuracy, pearson
from bertram.evaluation.paired_accuracy import newcombe
from bertram.evaluation.score_intervals import proportion
from bertram.evaluation.scoring import TaskOutputs, score_run
from bertram.label_spaces import YesNo


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 50, 200])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_intervals_cover(case: Case, n: int) -> None:
    assert coverage(case, n, 600, np.random.default_rng(1)) >= 0.915  # 0.93 but for the noise of 600 samples


def test_wilson_s_interval_by_hand() -> None:
    p, n = 0.8, 50
    z = 1.959964
    centre, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    assert proportion(p, sqrt(p * (1 - p) / n), n) == pytest.approx((centre - half, centre + half))


def test_newcombe_s_method_10_by_hand() -> None:
    first, second, n = 38 / 50, 48 / 50, 50  # 36 both right, 2 and 12 only one, 0 neither
    (low_1, high_1), (low_2, high_2) = (proportion(p, sqrt(p * (1 - p) / n), n) for p in (first, second))
    phi = (36 * 0 - 2 * 12) / sqrt(38 * 12 * 48 * 2)
    down = sqrt((second - low_2) ** 2 - 2 * phi * (second - low_2) * (high_1 - first) + (high_1 - first) ** 2)
    up = sqrt((high_2 - second) ** 2 - 2 * phi * (high_2 - second) * (first - low_1) + (first - low_1) ** 2)
    assert newcombe(36, 2, 12, 0) == pytest.approx((0.2 - down, 0.2 + up))
    swapped = newcombe(36, 12, 2, 0)
    assert swapped == pytest.approx((-0.2 - up, -0.2 + down))


@pytest.mark.parametrize("metric", METRICS)
def test_no_interval_has_width_zero(metric: str) -> None:
    scorer = METRICS[metric]
    gold = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    for predicted in (gold, np.subtract(1.0, gold)):
        value = scorer.value(gold, predicted)
        low, high = scorer.interval(value, jackknife_error(scorer.compute, gold, predicted), len(gold))
        assert low < high
    assert newcombe(6, 0, 0, 0)[0] < newcombe(6, 0, 0, 0)[1]


@pytest.mark.parametrize("metric", ["f1", "micro_f1", "macro_f1", "label_macro_f1"])
def test_f1_of_few_positives_is_as_unsure_as_few_examples_are(metric: str) -> None:
    gold = np.zeros(1000)
    gold[:3] = 1
    assert METRICS[metric].ci95(1.0, gold, gold) == pytest.approx(proportion(1.0, 0.0, 3))


@pytest.mark.slow
@pytest.mark.parametrize(("rare", "covers"), [(0.005, 0.978), (0.02, 0.968)])  # as docs/statistics.md says
def test_the_interval_of_f1_covers_where_positives_are_rare(rare: float, covers: float) -> None:
    generator, covered, found = np.random.default_rng(3), 0, 0
    true = 2 * rare * 0.8 / (rare + rare * 0.8 + (1 - rare) * 0.001)
    for _ in range(4000):
        gold = (generator.random(1000) < rare).astype(np.float64)
        predicted = (generator.random(1000) < np.where(gold == 1, 0.8, 0.001)).astype(np.float64)
        if gold.any() or predicted.any():
            low, high = METRICS["f1"].ci95(METRICS["f1"].value(gold, predicted), gold, predicted)
            covered, found = covered + (low <= true <= high), found + 1
    assert covered / found == pytest.approx(covers, abs=0.005)


def test_examples_that_share_a_text_are_one_in_every_interval() -> None:
    gold, predicted = np.ones(100), (np.arange(100) < 80).astype(np.float64)
    accuracy_ = METRICS["accuracy"]
    alone = accuracy_.ci95(0.8, gold, predicted)
    pairs = accuracy_.ci95(0.8, gold, predicted, np.arange(100) % 2)
    all_in_one = accuracy_.ci95(0.8, gold, predicted, np.zeros(100, dtype=np.intp))
    assert all_in_one[0] < pairs[0] < alone[0] < 0.8 < alone[1] < pairs[1] < all_in_one[1] + 0.05
    assert METRICS["pearson"].ci95(0.9, gold, predicted, np.zeros(100, dtype=np.intp)) == (-1.0, 1.0)


def test_the_jackknife_is_the_classical_error_and_counts_groups_once() -> None:
    generator = np.random.default_rng(2)
    right = (generator.random(300) < 0.7).astype(np.float64)
    ones = np.ones(300)
    assert jackknife_error(accuracy, ones, right) == pytest.approx(right.std(ddof=1) / sqrt(300), rel=1e-6)
    thrice, groups = np.repeat(right, 3), np.repeat(np.arange(300), 3)
    grouped = jackknife_error(accuracy, np.ones(900), thrice, groups)
    assert grouped == pytest.approx(right.std(ddof=1) / sqrt(300), rel=0.01)
    gold, noise = generator.normal(size=(2, 3000)).astype(np.float64)
    in_blocks = jackknife_error(pearson, gold, np.add(gold, noise))
    assert in_blocks == pytest.approx((1 - 0.5) / sqrt(3000), rel=0.1)


def test_texts_in_common_make_groups_also_by_way_of_others() -> None:
    assert text_groups([("a", "b"), ("c", "d"), ("b", "e"), ("e", "f")]) is not None
    groups = text_groups([("a", "b"), ("c", "d"), ("b", "e"), ("e", "f")])
    assert groups is not None
    assert groups[0] == groups[2] == groups[3] != groups[1]
    assert text_groups([("a",), ("b",)]) is None
    assert text_groups([]) is None


def test_groups_are_numbered_over_all_tasks() -> None:
    tasks: dict[str, list[tuple[str, ...]]] = {
        "one": [("a",), ("b",)],
        "two": [("c", "d"), ("b", "c"), ("e",)],
        "none": [],
    }
    groups = joint_groups(tasks)
    assert {name: len(numbers) for name, numbers in groups.items()} == {"one": 2, "two": 3, "none": 0}
    assert groups["one"][1] == groups["two"][0] == groups["two"][1]
    assert meet(list(groups.values()))
    assert not meet([groups["one"], None])
    assert within(groups["one"]) is within(groups["none"]) is None
    assert joint_groups({"one": [("a",)], "two": [("b",)]}) == {"one": [0], "two": [1]}
    assert joint_groups({}) == {}


def test_the_overall_of_one_task_given_twice_has_the_interval_of_the_task() -> None:
    gold = np.arange(60) % 2
    task = TaskOutputs(YesNo(), gold, np.where(np.arange(60) % 5 == 0, 1 - gold, gold), groups=np.arange(60))
    twice = score_run({"a": task, "b": task})
    low, high = twice.overall.ci95 or (0.0, 0.0)
    assert (low, high) == pytest.approx(twice.tasks["a"]["accuracy"].ci95)
    apart = score_run({"a": task, "b": replace(task, groups=np.arange(60, 120))})
    assert apart.overall == score_run({name: replace(task, groups=None) for name in "ab"}).overall
    assert np.ptp(apart.overall.ci95 or (0.0, 0.0)) == pytest.approx((high - low) / sqrt(2))


def test_the_interval_of_a_mean_adds_squares() -> None:
    low, high = mean_interval([0.5, 0.7], [(0.4, 0.6), (0.6, 0.9)])
    assert (low, high) == pytest.approx((0.6 - sqrt(0.02) / 2, 0.6 + sqrt(0.05) / 2))
