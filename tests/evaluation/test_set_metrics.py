"""Scores of sets of labels against their definitions, spelled out."""

import numpy as np
import pytest

from bertram.evaluation.labels import label_scores
from bertram.evaluation.losses import losses_of
from bertram.evaluation.scoring import score_task
from bertram.evaluation.set_metrics import digits
from bertram.evaluation.trivial_baselines import trivial_baselines
from bertram.label_sets import LabelSets
from bertram.tasks import Task

LABELS = ("a", "b", "c", "d")
SPACE = LabelSets(LABELS)
RANDOM = np.random.default_rng(0)
GOLD = RANDOM.integers(0, 8, 60).astype(float)  # label d never occurs
PREDICTED = np.where(RANDOM.random(60) < 0.6, GOLD, RANDOM.integers(0, 8, 60)).astype(float)


def f1(gold: set[tuple[int, int]], predicted: set[tuple[int, int]]) -> float:
    return 2 * len(gold & predicted) / (len(gold) + len(predicted))


def pairs(values: np.ndarray, label: int | None = None) -> set[tuple[int, int]]:
    """Row and label of every label that is present."""
    every = {(row, k) for row, value in enumerate(values.astype(int)) for k in range(4) if value >> k & 1}
    return {pair for pair in every if label in (None, pair[1])}


def test_scores_are_their_definitions() -> None:
    scores = score_task(SPACE, GOLD, PREDICTED)
    assert scores["micro_f1"].value == pytest.approx(f1(pairs(GOLD), pairs(PREDICTED)))
    assert scores["macro_f1"].value == pytest.approx(
        np.mean([f1(pairs(GOLD, k), pairs(PREDICTED, k)) for k in range(3)])
    )
    assert scores["subset_accuracy"].value == pytest.approx(np.mean(GOLD == PREDICTED))
    for score in scores.values():
        assert score.value is not None
        assert score.ci95 is not None
        assert 0 <= score.ci95[0] < score.value < score.ci95[1] <= 1
        assert score.n == 60


def test_the_interval_of_micro_f1_is_that_of_a_bootstrap() -> None:
    score = score_task(SPACE, GOLD, PREDICTED)["micro_f1"]
    draws = np.random.default_rng(1).integers(0, 60, (2000, 60))
    values = [score_task_value(GOLD[draw], PREDICTED[draw]) for draw in draws]
    assert score.ci95 == pytest.approx(np.quantile(values, (0.025, 0.975)), abs=0.02)


def score_task_value(gold: np.ndarray, predicted: np.ndarray) -> float:
    is_gold, is_predicted = digits(gold, 4), digits(predicted, 4)
    return float(2 * (is_gold * is_predicted).sum() / (is_gold + is_predicted).sum())


def test_nothing_anywhere_has_no_f1() -> None:
    nothing = np.zeros(4)
    scores = score_task(SPACE, nothing, nothing)
    assert scores["micro_f1"].value is None
    assert scores["macro_f1"].undefined == "no label and no prediction is positive"
    assert scores["subset_accuracy"].value == 1


def test_losses_are_means_over_labels() -> None:
    probabilities = np.array([[0.9, 0.2, 0.5, 0.0], [0.1, 0.7, 0.4, 1.0]])
    gold = np.array([1.0, 10.0])
    present = np.array([[1, 0, 0, 0], [0, 1, 0, 1]])
    losses = losses_of(SPACE)
    chosen = np.where(present == 1, probabilities, 1 - probabilities)
    assert losses["nll"](gold, probabilities) == pytest.approx(-np.log(chosen).mean(1))
    assert losses["brier"](gold, probabilities) == pytest.approx(2 * ((probabilities - present) ** 2).mean(1))
    assert losses["nll"](np.array([8.0]), np.zeros((1, 4)))[0] < 10  # a certain error costs a finite loss


def test_constant_answers() -> None:
    train = np.array([1, 1, 3, 7, 3, 3])  # a in all, b in 4, c in 1
    baselines = trivial_baselines(SPACE, train, np.array([3.0, 7.0]))
    assert set(baselines) == {"majority", "frequent_labels", "every_label"}
    assert baselines["frequent_labels"]["micro_f1"].value == pytest.approx(2 * 4 / (4 + 5))
    assert baselines["every_label"]["micro_f1"].value == pytest.approx(2 * 5 / (6 + 5))
    assert baselines["majority"]["subset_accuracy"].value == 0.5


def test_each_label_has_its_counts_and_scores() -> None:
    task = Task.model_validate(
        {"kind": "multi-label", "labels": LABELS, "files": {"texts": ["t"]}, "thresholds": [0.5, 0.3, 0.2, 0.1]}
    )
    a, b, _, d = label_scores(task, np.array([1.0, 3, 0, 2]), np.array([1.0, 1, 1, 2]))
    assert (a.name, a.gold, a.predicted, a.recall, b.precision, b.threshold) == ("a", 2, 3, 1.0, 1.0, 0.3)
    assert a.precision == pytest.approx(2 / 3)
    assert a.f1.value == pytest.approx(0.8)
    assert (d.gold, d.predicted, d.precision, d.recall, d.f1.value) == (0, 0, None, None, None)
