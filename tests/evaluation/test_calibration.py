"""Temperature, thresholds and calibration error, found where they are known and scored on rows not fitted on."""

from typing import Any

import numpy as np
import pytest

from bertram.evaluation.calibration import (
    Probabilities,
    accuracy_gain,
    best_threshold,
    calibrate,
    calibration_error,
    f1_gain,
    fit,
)
from bertram.evaluation.intervals import Floats
from bertram.tasks import Task

RANDOM = np.random.default_rng(0)
ROWS = 4000


def task(kind: str, **fields: Any) -> Task:
    labels = {"labels": ["a", "b", "c", "d"]} if kind in ("class", "multi-label") else {}
    return Task.model_validate({"name": "t", "kind": kind, "files": {"texts": ["text"]}, **labels, **fields})


def softmax(z: Floats) -> Floats:
    e: Floats = np.exp(z - z.max(1, keepdims=True))
    shares: Floats = e / e.sum(1, keepdims=True)
    return shares


def sigmoid(z: Floats) -> Floats:
    p: Floats = 1 / (1 + np.exp(-z))
    return p


def overconfident(kind: str, factor: float) -> Probabilities:
    """Probabilities whose logits are too large by a factor, beside labels that follow the right ones."""
    if kind == "binary":
        logits = RANDOM.normal(0, 1.5, ROWS)
        gold = (RANDOM.random(ROWS) < sigmoid(logits)).astype(float)
        yes = sigmoid(factor * logits)
        return Probabilities(task(kind), gold, np.stack([1 - yes, yes], axis=1))
    logits = RANDOM.normal(0, 1.5, (ROWS, 4))
    if kind == "multi-label":
        present = RANDOM.random((ROWS, 4)) < sigmoid(logits)
        return Probabilities(task(kind), (present @ (1 << np.arange(4))).astype(float), sigmoid(factor * logits))
    cumulated = softmax(logits).cumsum(1)
    gold = (RANDOM.random(ROWS)[:, None] > cumulated).sum(1).clip(0, 3).astype(float)
    return Probabilities(task(kind), gold, softmax(factor * logits))


@pytest.mark.parametrize("kind", ["class", "binary", "multi-label"])
@pytest.mark.parametrize("factor", [0.5, 2.5])
def test_the_temperature_undoes_what_made_the_logits_too_large(kind: str, factor: float) -> None:
    assert fit(overconfident(kind, factor), thresholds=False).temperature == pytest.approx(factor, rel=0.08)


def test_ordered_classes_are_cooled_by_their_thresholds() -> None:
    above = np.sort(sigmoid(RANDOM.normal(0, 2, (50, 3))), axis=1)[:, ::-1]
    ends = np.ones((50, 1)), np.zeros((50, 1))
    meaning = np.concatenate([ends[0], above], 1) - np.concatenate([above, ends[1]], 1)
    data = Probabilities(task("class", loss="coral"), np.zeros(50), meaning)
    assert data.at_temperature(1.0) == pytest.approx(meaning, abs=1e-5)
    cooler = data.at_temperature(2.0)
    expected = sigmoid(np.log(above / (1 - above)) / 2)
    assert 1 - cooler.cumsum(1)[:, :-1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["class", "binary", "multi-label"])
def test_calibration_lowers_the_error_on_rows_that_the_fit_did_not_see(kind: str) -> None:
    decision = calibrate(overconfident(kind, 2.5), 5, thresholds=False)
    error = decision.scores["calibration_error"]
    assert error.before.value is not None
    assert error.after.value is not None
    assert error.after.value < 0.3 * error.before.value
    assert error.after.ci95 is not None
    assert error.before.ci95 is not None
    assert error.after.ci95[1] < error.before.ci95[0]
    nll = decision.scores["nll"]
    assert (nll.after.value or 9) < (nll.before.value or 0)
    if kind == "class":  # a temperature moves no class past another
        assert decision.scores["accuracy"].before == decision.scores["accuracy"].after


def f1(p: Floats, y: Floats, threshold: float) -> float:
    chosen = p > threshold
    return 2 * float((chosen * y).sum()) / max(1.0, float(chosen.sum() + y.sum()))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("by_accuracy", [True, False])
def test_no_threshold_is_better_than_the_one_chosen(seed: int, by_accuracy: bool) -> None:
    generator = np.random.default_rng(seed)
    p = np.round(generator.random(30), 1 + seed % 2)  # with equal probabilities
    y = (generator.random(30) < 0.3 * p + 0.05).astype(float)

    def score(threshold: float) -> float:
        return float(((p > threshold) == y).mean()) if by_accuracy else f1(p, y, threshold)

    chosen = best_threshold(p, y, accuracy_gain if by_accuracy else f1_gain)
    assert 0 < chosen < 1
    if y.any():
        assert score(chosen) == pytest.approx(max(score(t) for t in np.linspace(0.0005, 0.9995, 1000)))


def test_the_usual_threshold_stays_where_it_is_as_good() -> None:
    assert best_threshold(np.array([0.1, 0.3, 0.8]), np.array([0.0, 0, 1]), f1_gain) == 0.5
    assert best_threshold(np.array([0.9, 0.2]), np.zeros(2), f1_gain) == 0.5


@pytest.mark.slow
def test_thresholds_of_a_rare_label_raise_its_f1() -> None:
    logits = RANDOM.normal(-2, 1.0, (ROWS, 4))
    present = RANDOM.random((ROWS, 4)) < sigmoid(logits)
    sets = (present @ (1 << np.arange(4))).astype(float)
    data = Probabilities(task("multi-label", metric="macro_f1"), sets, sigmoid(logits))
    decision = calibrate(data, 5)
    assert len(decision.thresholds) == 4
    assert all(threshold < 0.5 for threshold in decision.thresholds)
    macro = decision.scores["macro_f1"]
    assert (macro.after.value or 0) > (macro.before.value or 1) + 0.05


@pytest.mark.parametrize("seed", range(10))
def test_no_thresholds_together_have_a_better_micro_f1(seed: int) -> None:
    generator = np.random.default_rng(seed)
    p = np.round(generator.random((12, 2)), 2)
    present = generator.random((12, 2)) < 0.6 * p + 0.1
    present[0] = True
    data = Probabilities(two_labels("micro_f1"), (present @ np.array([1, 2])).astype(float), p)
    chosen = fit(data, temperature=False).thresholds

    def micro_f1(*thresholds: float) -> float:
        predicted = p > np.array(thresholds)
        return 2 * float((predicted & present).sum()) / float(predicted.sum() + present.sum())

    grid = np.linspace(0.005, 0.995, 100)
    assert micro_f1(*chosen) == pytest.approx(max(micro_f1(a, b) for a in grid for b in grid))


@pytest.mark.slow
def test_the_main_score_of_sets_says_what_their_thresholds_are_good_for() -> None:
    logits = RANDOM.normal(-1.5, 1.0, (ROWS, 2))
    present = RANDOM.random((ROWS, 2)) < sigmoid(logits)
    gold = (present @ np.array([1, 2])).astype(float)
    after = {
        metric: calibrate(Probabilities(two_labels(metric), gold, sigmoid(logits)), 5).scores
        for metric in ("micro_f1", "macro_f1", "subset_accuracy")
    }
    assert (after["micro_f1"]["micro_f1"].after.value or 0) > (after["micro_f1"]["micro_f1"].before.value or 1)
    by_f1, by_accuracy = (after[m]["subset_accuracy"].after.value or 0 for m in ("macro_f1", "subset_accuracy"))
    assert by_accuracy > by_f1 + 0.05


def two_labels(metric: str) -> Task:
    return task("multi-label", metric=metric).model_copy(update={"labels": ("a", "b")})


def test_yes_or_no_is_decided_by_the_main_score() -> None:
    yes = sigmoid(RANDOM.normal(-1.5, 1, ROWS))
    gold = (RANDOM.random(ROWS) < yes).astype(float)
    meaning = np.stack([1 - yes, yes], 1)
    by_f1 = fit(Probabilities(task("binary", metric="f1"), gold, meaning), temperature=False)
    by_accuracy = fit(Probabilities(task("binary"), gold, meaning), temperature=False)
    assert by_f1.thresholds[0] < 0.4
    assert by_accuracy.thresholds[0] == pytest.approx(0.5, abs=0.12)
    assert by_f1.temperature == 1


def test_calibration_error_is_its_definition_with_an_interval_that_covers_it() -> None:
    confidence, correct = np.array([0.95, 0.95, 0.65, 0.65]), np.array([1.0, 0, 1, 1])
    score = calibration_error(confidence, correct)
    assert score.value == pytest.approx(0.5 * 0.45 + 0.5 * 0.35)
    exact = calibration_error(np.full(10, 0.8), np.repeat([1.0, 0.0], [8, 2]))  # zero but for rounding
    assert exact.ci95 is not None
    assert exact.ci95[0] <= (exact.value or 0) < exact.ci95[1] <= 1
    covered = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        sure = generator.choice([0.65, 0.85, 0.95], 400)
        right = (generator.random(400) < sure - 0.2).astype(float)
        interval = calibration_error(sure, right).ci95
        assert interval is not None
        covered += interval[0] <= 0.2 <= interval[1]
    assert covered >= 88


def test_rows_that_share_a_text_stay_together() -> None:
    data = overconfident("binary", 2.0)
    few = Probabilities(data.task, data.gold[:60], data.meaning[:60], np.repeat(np.arange(20), 3))
    decision = calibrate(few, 5)
    assert decision.rows == 60
    alone = calibration_error(few.meaning[:, 1], few.gold)
    together = calibration_error(few.meaning[:, 1], few.gold, few.groups)
    assert together.value == alone.value
    assert together.n == 20
